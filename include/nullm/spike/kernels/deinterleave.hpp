#pragma once
// Four words of sixteen blocks, told apart: the one lane operation of the encoder that core/simd has no name
// for.

#include <nullm/core/simd.hpp>

namespace nullm::inline NULLM_ABI::scalar {

/// out[w] lane l = p[4 l + w], from 64 floats.
inline void deinterleave4(const float* p, f32x16* out) {
    for (int w = 0; w < 4; ++w) {
        for (int l = 0; l < 16; ++l) out[w].lane[l] = p[4 * l + w];
    }
}

}  // namespace nullm::inline NULLM_ABI::scalar

#if defined(__x86_64__)
NULLM_BEGIN_AVX2
namespace nullm::inline NULLM_ABI::avx2 {

/// Blocks first .. first + 3 in the lower half and first + 4 .. first + 7 in the upper, transposed as 4 x 4.
inline void deinterleave_half(const float* p, __m256* out) {
    __m256 row[4];
    for (int r = 0; r < 4; ++r) {
        row[r] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p + 4 * r)),
                                      _mm_loadu_ps(p + 16 + 4 * r), 1);
    }
    const __m256 a = _mm256_unpacklo_ps(row[0], row[1]);
    const __m256 b = _mm256_unpackhi_ps(row[0], row[1]);
    const __m256 c = _mm256_unpacklo_ps(row[2], row[3]);
    const __m256 d = _mm256_unpackhi_ps(row[2], row[3]);
    out[0] = _mm256_shuffle_ps(a, c, 0x44);
    out[1] = _mm256_shuffle_ps(a, c, 0xEE);
    out[2] = _mm256_shuffle_ps(b, d, 0x44);
    out[3] = _mm256_shuffle_ps(b, d, 0xEE);
}
inline void deinterleave4(const float* p, f32x16* out) {
    __m256 low[4];
    __m256 high[4];
    deinterleave_half(p, low);
    deinterleave_half(p + 32, high);
    for (int w = 0; w < 4; ++w) out[w] = {low[w], high[w]};
}

}  // namespace nullm::inline NULLM_ABI::avx2
NULLM_END_TARGET

NULLM_BEGIN_AVX512
namespace nullm::inline NULLM_ABI::avx512 {

inline void deinterleave4(const float* p, f32x16* out) {
    const __m512i every_fourth = _mm512_set_epi32(0, 0, 0, 0, 0, 0, 0, 0, 28, 24, 20, 16, 12, 8, 4, 0);
    for (int w = 0; w < 4; ++w) {
        const __m512i from = _mm512_add_epi32(every_fourth, _mm512_set1_epi32(w));
        const __m512 low = _mm512_permutex2var_ps(_mm512_loadu_ps(p), from, _mm512_loadu_ps(p + 16));
        const __m512 high = _mm512_permutex2var_ps(_mm512_loadu_ps(p + 32), from, _mm512_loadu_ps(p + 48));
        out[w] = {_mm512_shuffle_f32x4(low, high, 0x44)};
    }
}

}  // namespace nullm::inline NULLM_ABI::avx512
NULLM_END_TARGET
#endif
