#pragma once
// Attention: queries against the cache of all earlier positions.

#include <nullm/attention/kv_cache.hpp>
#include <nullm/core/matrix_view.hpp>
#include <nullm/core/thread_pool.hpp>

#include <concepts>
#include <cstddef>

namespace nullm::inline NULLM_ABI {

/// The sizes an attention needs to set up its state.
struct attention_shape {
    std::size_t heads =
        0;  // query heads; a multiple of cache.kv_heads, each KV head serving heads / kv_heads of them
    kv_shape cache;
};

/// Names the type keys and values are stored as: float, f16 or bf16.
template <class A>
concept HasCacheType = requires {
    typename kv_cache<typename A::cache_type>;
};

/// Has a state for its scratch memory (and, if it keeps one, its index), made from the shape.
template <class A>
concept HasAttentionState = std::constructible_from<typename A::state, const attention_shape&>;

/// Attends m query rows, standing at positions first, first + 1, ..., to the cached positions up to each
/// one's own, which the caller has already stored. q and o are m x (heads * head_size) and do not overlap.
template <class A>
concept Attends = requires(const A attention, typename A::state& state, std::size_t layer,
                           matrix_view<const float> q, std::size_t first,
                           const kv_cache<typename A::cache_type>& cache, matrix_view<float> o,
                           thread_pool& pool) {
    { attention.attend(state, layer, q, first, cache, o, pool) } -> std::same_as<void>;
};

/// Causal attention of one layer: an immutable description over a state the caller owns. A row of o depends
/// on its query, its position and the cache below it alone, bit for bit: not on the rows it came with, the
/// number of threads or the instruction set. Models: exact_attention. Reference: docs/concepts.md#attention.
template <class A>
concept Attention = std::copyable<A> && HasCacheType<A> && HasAttentionState<A> && Attends<A>;

}  // namespace nullm::inline NULLM_ABI
