#pragma once
// Model: tokens in, logits out, with a cache that the caller owns.

#include <nullm/core/matrix_view.hpp>
#include <nullm/core/token.hpp>

#include <concepts>
#include <cstddef>
#include <span>

namespace nullm::inline NULLM_ABI {

/// Runs tokens at the positions that follow the cache, and returns logits of the last `wanted` of them
/// (wanted x vocabulary, valid until the next call on the same state; wanted <= tokens.size(), and may be 0).
template <class M>
concept RunsForward = requires(const M& model, typename M::state& state, std::span<const token_id> tokens,
                               std::size_t wanted) {
    { model.forward(state, tokens, wanted) } -> std::convertible_to<matrix_view<const float>>;
};

/// Knows how many positions its cache holds, and forgets those from n on.
template <class M>
concept TruncatesCache = requires(const M& model, typename M::state& state, const typename M::state& seen,
                                  std::size_t n) {
    { model.length(seen) } -> std::convertible_to<std::size_t>;
    { model.truncate(state, n) } -> std::same_as<void>;
};

/// States its sizes: the vocabulary, and how many positions this state's cache may hold.
template <class M>
concept HasModelShape = requires(const M& model, const typename M::state& state) {
    { model.vocabulary() } -> std::convertible_to<std::size_t>;
    { model.context(state) } -> std::convertible_to<std::size_t>;
};

/// Copies its cache aside and takes it back.
template <class M>
concept SnapshotsCache = std::copyable<typename M::snapshot> &&
                         requires(const M& model, typename M::state& state, const typename M::state& seen,
                                  const typename M::snapshot& saved) {
                             { model.save(seen) } -> std::same_as<typename M::snapshot>;
                             { model.restore(state, saved) } -> std::same_as<void>;
                         };

/// A language model. Immutable, so that any number of states (one a session) may run over it on any threads.
/// Logits of a position depend on the tokens up to it alone, bit for bit: not on how they were batched, truncated
/// or restored. forward() either appends all its tokens or, if it throws, none.
template <class M>
concept Model = RunsForward<M> && TruncatesCache<M> && HasModelShape<M> && SnapshotsCache<M>;

}  // namespace nullm::inline NULLM_ABI
