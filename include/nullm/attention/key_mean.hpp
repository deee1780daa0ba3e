#pragma once
// The mean of a layer's keys over a range of positions, and keys less that mean.

#include <nullm/attention/kv_cache.hpp>
#include <nullm/core/simd.hpp>

#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#define NULLM_KERNELS <nullm/attention/key_mean.inl>
#include <nullm/core/simd/foreach_isa.hpp>

namespace nullm::inline NULLM_ABI {

/// One key where the cache holds it: element d is `stride` d behind the first.
template <CacheElement T>
struct cached_key {
    cached_key(const kv_cache<T>& cache, std::size_t layer, std::size_t kv_head, std::size_t position) {
        const std::size_t at = position % kv_cache<T>::chunk_positions;
        const T* keys = cache.keys(position / kv_cache<T>::chunk_positions, layer, kv_head);
        const bool in_rows = cache.keys_in_rows(layer);
        first =
            keys + (in_rows ? at * cache.value_stride() : at / 16 * 16 * cache.shape().head_size + at % 16);
        stride = in_rows ? 1 : 16;
    }
    float operator[](std::size_t d) const { return to_float(first[d * stride]); }

    const T* first;
    std::size_t stride;
};

/// Mean of the cached keys at positions [first, last) of one layer and KV head, into head_size floats; summed
/// in double, in order of position. first < last, all stored.
template <CacheElement T>
void mean_key(const kv_cache<T>& cache, std::size_t layer, std::size_t kv_head, std::size_t first,
              std::size_t last, std::span<float> mean) {
    const std::size_t size = cache.shape().head_size;
    std::vector<double> sum(size);
    for (std::size_t p = first; p < last; ++p) {
        const cached_key key(cache, layer, kv_head, p);
        for (std::size_t d = 0; d < size; ++d) sum[d] += static_cast<double>(key[d]);
    }
    const auto count = static_cast<double>(last - first);
    for (std::size_t d = 0; d < size; ++d) mean[d] = static_cast<float>(sum[d] / count);
}

/// The cached key at a position less the mean; all zeros if that is not finite, or shorter than 2^-10 of the
/// mean. The direction of such a difference would be rounding noise: a product with it is computed from the
/// whole key, and errs by some head_size 2^-24 of that one's length.
template <CacheElement T>
void centred_key(const kv_cache<T>& cache, std::size_t layer, std::size_t kv_head, std::size_t position,
                 std::span<const float> mean, std::span<float> centred, isa level = active_isa()) {
    const cached_key key(cache, layer, kv_head, position);
    const T* row = key.first;
    std::vector<T> copied;
    if (key.stride != 1) {
        copied.resize(cache.value_stride());
        for (std::size_t d = 0; d < centred.size(); ++d) copied[d] = key.first[d * key.stride];
        row = copied.data();
    }
    float square = 0;
    float mean_square = 0;
    NULLM_DISPATCH(level, centre_key(row, mean.data(), centred.size(), centred.data(), square, mean_square));
    const bool has_direction = std::isfinite(square) && square > 0x1p-20F * mean_square;
    if (!has_direction) {
        for (float& x : centred) x = 0;
    }
}

}  // namespace nullm::inline NULLM_ABI
