#pragma once
// The original idea word for word, kept for comparison: a gate on the last token alone, NULL fed back as
// token 0.

#include <nullm/core/error.hpp>
#include <nullm/core/random.hpp>
#include <nullm/core/step.hpp>
#include <nullm/generate/concepts.hpp>
#include <nullm/model/concepts.hpp>
#include <nullm/spike/gate.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace nullm::inline NULLM_ABI {

struct literal_options {
    std::uint32_t max_tokens = 128;  // positions, NULLs included
    std::vector<token_id> stop_tokens;
    std::uint64_t seed = 0;
    bool carry_membrane = false;  // the original makes a new neuron at every call
};

struct literal_statistics {
    std::uint64_t positions = 0;
    std::uint64_t nulls = 0;  // positions that token 0 stands in for: the text is NOT the dense text
    std::uint64_t passes = 0;
};

/// Lossy. Each step the gate sees the last token; below theta the step is NULL and token 0 joins the
/// sequence, else the model runs on what it has not seen and the sampler picks. With one encoder step a call,
/// a new membrane a call and a strict threshold of 1, a binary input cannot fire: the literal idea says NULL
/// for ever.
template <Model M, Gate G, Sampler S>
class literal_writer {
 public:
    /// `model` must outlive the writer; prompt: at least one token.
    literal_writer(const M& model, typename M::state state, G gate, S sampler,
                   std::span<const token_id> prompt, literal_options options)
        : model_(model),
          state_(std::move(state)),
          gate_(std::move(gate)),
          gate_state_(gate_.initial()),
          sampler_(std::move(sampler)),
          sequence_(prompt.begin(), prompt.end()),
          options_(std::move(options)) {
        if (prompt.empty()) throw error("prompt", "at least one token", "none");
        const std::size_t room = model_.context(state_);
        if (prompt.size() >= room) {
            throw error("prompt", "fewer than " + std::to_string(room) + " tokens (the context)",
                        std::to_string(prompt.size()));
        }
        limit_ = std::min<std::size_t>(options_.max_tokens, room - prompt.size());
        finished_ = limit_ == 0;
    }

    bool finished() const { return finished_; }
    /// The stop token that ended the text, if one did.
    std::optional<token_id> stopped_by() const { return stopped_by_; }
    const literal_statistics& statistics() const { return statistics_; }
    /// Tokens the model chose, NULLs left out.
    const std::vector<token_id>& text() const { return text_; }

    step next() {
        if (finished_) throw error("literal_writer::next", "a writer that is not finished", "one that is");
        if (!options_.carry_membrane) gate_state_ = gate_.initial();
        const auto position = static_cast<std::int64_t>(sequence_.size());
        const gate_decision decision = gate_.step(
            gate_state_, {.token = sequence_.back(), .position = position - 1, .seed = options_.seed});
        step now;
        now.position = position;
        now.rate = decision.rate;
        now.theta = decision.theta;
        token_id next = 0;
        if (decision.fire) {
            const auto unseen = std::span(sequence_).subspan(model_.length(state_));
            const auto logits = model_.forward(state_, unseen, 1);
            next = sampler_.sample(logits.row(0), {options_.seed, draw_stream::sampler, position});
            now.token = next;
            now.reason = wake_reason::rate;
            ++statistics_.passes;
        }
        const bool stopped =
            decision.fire && std::find(options_.stop_tokens.begin(), options_.stop_tokens.end(), next) !=
                                 options_.stop_tokens.end();
        if (stopped) {
            stopped_by_ = next;
        } else {
            gate_.settle(gate_state_, sequence_.back(), decision.fire);
            sequence_.push_back(next);
            if (decision.fire) text_.push_back(next);
            ++statistics_.positions;
            statistics_.nulls += decision.fire ? 0 : 1;
        }
        finished_ = stopped || statistics_.positions == limit_;
        now.pending = static_cast<std::uint32_t>(sequence_.size() - model_.length(state_));
        return now;
    }

 private:
    const M& model_;
    typename M::state state_;
    G gate_;
    typename G::state gate_state_;
    S sampler_;
    std::vector<token_id> sequence_;
    std::vector<token_id> text_;
    literal_options options_;
    literal_statistics statistics_;
    std::size_t limit_ = 0;
    std::optional<token_id> stopped_by_;
    bool finished_ = false;
};

}  // namespace nullm::inline NULLM_ABI
