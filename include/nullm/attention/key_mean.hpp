#pragma once
// The mean of a layer's keys over a range of positions, and keys less that mean.

#include <nullm/attention/kv_cache.hpp>

#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// The first element of a cached key; element d is 16 d further on (kv_cache interleaves sixteen keys).
template <CacheElement T>
const T* cached_key(const kv_cache<T>& cache, std::size_t layer, std::size_t kv_head, std::size_t position) {
    const std::size_t at = position % kv_cache<T>::chunk_positions;
    return cache.keys(position / kv_cache<T>::chunk_positions, layer, kv_head) +
           at / 16 * 16 * cache.shape().head_size + at % 16;
}

/// Mean of the cached keys at positions [first, last) of one layer and KV head, into head_size floats; summed
/// in double, in order of position. first < last, all stored.
template <CacheElement T>
void mean_key(const kv_cache<T>& cache, std::size_t layer, std::size_t kv_head, std::size_t first,
              std::size_t last, std::span<float> mean) {
    const std::size_t size = cache.shape().head_size;
    std::vector<double> sum(size);
    for (std::size_t p = first; p < last; ++p) {
        const T* key = cached_key(cache, layer, kv_head, p);
        for (std::size_t d = 0; d < size; ++d) sum[d] += static_cast<double>(to_float(key[d * 16]));
    }
    const auto count = static_cast<double>(last - first);
    for (std::size_t d = 0; d < size; ++d) mean[d] = static_cast<float>(sum[d] / count);
}

/// The cached key at a position less the mean; all zeros if that is not finite, or shorter than 2^-10 of the
/// mean. The direction of such a difference would be rounding noise: a product with it is computed from the
/// whole key, and errs by some head_size 2^-24 of that one's length.
template <CacheElement T>
void centred_key(const kv_cache<T>& cache, std::size_t layer, std::size_t kv_head, std::size_t position,
                 std::span<const float> mean, std::span<float> centred) {
    const T* key = cached_key(cache, layer, kv_head, position);
    float length = 0;
    float mean_length = 0;
    for (std::size_t d = 0; d < centred.size(); ++d) {
        centred[d] = to_float(key[d * 16]) - mean[d];
        length = __builtin_fmaf(centred[d], centred[d], length);
        mean_length = __builtin_fmaf(mean[d], mean[d], mean_length);
    }
    const bool has_direction = std::isfinite(length) && length > 0x1p-20F * mean_length;
    if (!has_direction) {
        for (float& x : centred) x = 0;
    }
}

}  // namespace nullm::inline NULLM_ABI
