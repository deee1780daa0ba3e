#pragma once
// Drafter and Sampler: who proposes the next token, and who picks it from the logits.

#include <nullm/core/random.hpp>
#include <nullm/core/token.hpp>

#include <concepts>
#include <cstddef>
#include <optional>
#include <span>

namespace nullm::inline NULLM_ABI {

/// A proposed next token and how far its drafter trusts it, in [0, 1].
struct draft {
    token_id candidate = 0;
    float confidence = 1.0F;
    friend bool operator==(const draft&, const draft&) = default;
};

/// Proposes the token that follows `sequence`, or nothing. The first `settled` of its tokens are certain (prompt and
/// settled text), the others drafts. A function of (sequence, settled) alone: `state` may cache what it has seen (an
/// index, how often a proposal was right), but never change the answer.
/// Models: ngram_drafter, no_drafter.
template <class D>
concept Drafter = std::copyable<D> && std::default_initializable<typename D::state> &&
                  requires(const D& drafter, typename D::state& state, std::span<const token_id> sequence,
                           std::size_t settled) {
                      { drafter.propose(state, sequence, settled) } -> std::same_as<std::optional<draft>>;
                  };

/// False for a drafter that never proposes: the writer's NULL is then a pause, not a provisional position.
template <class D>
inline constexpr bool drafts = true;

/// Picks a token from one row of logits. A function of (logits, key): the same key picks the same token.
/// Models: greedy, temperature_sampler.
template <class S>
concept Sampler = std::copyable<S> &&
                  requires(const S& sampler, std::span<const float> logits, const draw_key& key) {
                      { sampler.sample(logits, key) } -> std::same_as<token_id>;
                  };

}  // namespace nullm::inline NULLM_ABI
