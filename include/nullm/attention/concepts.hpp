#pragma once
// Attention: queries against the cache of all earlier positions.

#include <nullm/attention/kv_cache.hpp>
#include <nullm/core/matrix_view.hpp>
#include <nullm/core/thread_pool.hpp>

#include <concepts>
#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// What an attention needs to know of a session to set up its state.
struct attention_shape {
    std::size_t heads =
        0;  // query heads; a multiple of cache.kv_heads, each KV head serving heads / kv_heads of them
    kv_shape cache;
    std::size_t sample_from = 0;  // queries at earlier positions are never sampled
};

/// Names the type keys and values are stored as: float, f16 or bf16.
template <class A>
concept HasCacheType = requires {
    typename kv_cache<typename A::cache_type>;
};

/// Has a state for its scratch memory (and, if it keeps one, its index), made for an attention and a shape.
template <class A>
concept HasAttentionState = std::constructible_from<typename A::state, const A&, const attention_shape&>;

/// Attends m query rows, standing at positions first, first + 1, ..., to the cached positions up to each
/// one's own, which the caller has already stored. q and o are m x (heads * head_size) and do not overlap.
template <class A>
concept Attends = requires(const A attention, typename A::state& state, std::size_t layer,
                           matrix_view<const float> q, std::size_t first,
                           const kv_cache<typename A::cache_type>& cache, matrix_view<float> o,
                           thread_pool& pool) {
    { attention.attend(state, layer, q, first, cache, o, pool) } -> std::same_as<void>;
};

/// Keeps an index beside the cache, and follows when the cache goes back: truncate() forgets what belongs to
/// positions from n on, save() sets the index aside and restore() takes it back. Optional.
template <class A>
concept KeepsIndex = std::copyable<typename A::snapshot> &&
    requires(const A attention, typename A::state& state, const typename A::state& seen,
             const typename A::snapshot& saved, std::size_t n) {
    { attention.truncate(state, n) } -> std::same_as<void>;
    { attention.save(seen) } -> std::same_as<typename A::snapshot>;
    { attention.restore(state, saved) } -> std::same_as<void>;
};

/// Picks single keys out of the cache in some layers, which should hold them in rows there (kv_cache):
/// whether it does, by layer. Optional; an attention reads a cache of either kind.
template <class A>
concept PicksKeys = requires(const A attention, std::size_t layer) {
    { attention.picks_keys(layer) } -> std::same_as<bool>;
};

/// The cache an attention reads fastest. Throws what kv_cache throws.
template <HasCacheType A>
kv_cache<typename A::cache_type> make_cache(const A& attention, kv_shape shape, std::size_t capacity) {
    std::vector<bool> rows;
    if constexpr (PicksKeys<A>) {
        for (std::size_t layer = 0; layer < shape.layers; ++layer)
            rows.push_back(attention.picks_keys(layer));
    }
    return {shape, capacity, std::move(rows)};
}

/// Counts what it reads, for the user to see. Optional.
template <class A>
concept CountsKeys = requires(const A attention, const typename A::state& seen) {
    attention.counts(seen);
    requires std::copyable<std::remove_cvref_t<decltype(attention.counts(seen))>>;
};

namespace detail {

struct no_index {};
template <class A>
struct index_snapshot_of {
    using type = no_index;
};
template <KeepsIndex A>
struct index_snapshot_of<A> {
    using type = typename A::snapshot;
};

}  // namespace detail

/// What a model sets aside of an attention's state: its index, or nothing.
template <class A>
using index_snapshot = typename detail::index_snapshot_of<A>::type;

/// Causal attention of one layer: an immutable description over a state the caller owns. A row of o depends
/// on its query, its position and the cache below it alone, bit for bit: not on the rows it came with, the
/// number of threads or the instruction set. Models: exact_attention, sampled_attention. Reference:
/// docs/concepts.md#attention.
template <class A>
concept Attention = std::copyable<A> && HasCacheType<A> && HasAttentionState<A> && Attends<A>;

}  // namespace nullm::inline NULLM_ABI
