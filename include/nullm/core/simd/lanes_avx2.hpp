#pragma once
// Sixteen lanes in two ymm registers. Semantics: lanes_scalar.hpp.

#include <nullm/core/half.hpp>
#include <nullm/core/simd/target.hpp>

#include <cstddef>
#include <cstdint>

#if defined(__x86_64__)
NULLM_BEGIN_AVX2
namespace nullm::inline NULLM_ABI::avx2 {

using mask16 = std::uint16_t;
struct f32x16 {
    __m256 low, high;
};
struct i32x16 {
    __m256i low, high;
};

[[gnu::always_inline]] inline f32x16 splat(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
[[gnu::always_inline]] inline f32x16 zeros() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
[[gnu::always_inline]] inline f32x16 load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
[[gnu::always_inline]] inline f32x16 load(const f16* p) {
    const auto* q = reinterpret_cast<const __m128i*>(p);
    return {_mm256_cvtph_ps(_mm_loadu_si128(q)), _mm256_cvtph_ps(_mm_loadu_si128(q + 1))};
}
[[gnu::always_inline]] inline f32x16 load(const bf16* p) {
    const auto* q = reinterpret_cast<const __m128i*>(p);
    return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(q)), 16)),
            _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(q + 1)), 16))};
}
[[gnu::always_inline]] inline void store(float* p, f32x16 a) {
    _mm256_storeu_ps(p, a.low);
    _mm256_storeu_ps(p + 8, a.high);
}
[[gnu::always_inline]] inline void store(f16* p, f32x16 a) {
    auto* q = reinterpret_cast<__m128i*>(p);
    _mm_storeu_si128(q, _mm256_cvtps_ph(a.low, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    _mm_storeu_si128(q + 1, _mm256_cvtps_ph(a.high, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
[[gnu::always_inline]] inline __m256i bf16_bits(__m256 a) {  // each lane's bfloat16 in the lower half of its dword
    const __m256i u = _mm256_castps_si256(a);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    const __m256i up = _mm256_add_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(0x7FFF)), odd);
    const __m256i quiet = _mm256_or_si256(u, _mm256_set1_epi32(0x400000));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_UNORD_Q));
    return _mm256_srli_epi32(_mm256_blendv_epi8(up, quiet, nan), 16);
}
[[gnu::always_inline]] inline void store(bf16* p, f32x16 a) {
    const __m256i packed = _mm256_packus_epi32(bf16_bits(a.low), bf16_bits(a.high));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(packed, 0xD8));
}
[[gnu::always_inline]] inline __m256i first_lanes(std::size_t n) {  // all ones in lanes below n
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0));
}
[[gnu::always_inline]] inline f32x16 load_partial(const float* p, std::size_t n) {
    if (n == 16) return load(p);  // a branch that is predicted costs less than making the masks
    if (n <= 8) return {_mm256_maskload_ps(p, first_lanes(n)), _mm256_setzero_ps()};
    return {_mm256_loadu_ps(p), _mm256_maskload_ps(p + 8, first_lanes(n - 8))};
}
[[gnu::always_inline]] inline void store_partial(float* p, f32x16 a, std::size_t n) {
    if (n == 16) return store(p, a);
    if (n <= 8) {
        _mm256_maskstore_ps(p, first_lanes(n), a.low);
    } else {
        _mm256_storeu_ps(p, a.low);
        _mm256_maskstore_ps(p + 8, first_lanes(n - 8), a.high);
    }
}

[[gnu::always_inline]] inline f32x16 add(f32x16 a, f32x16 b) { return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)}; }
[[gnu::always_inline]] inline f32x16 sub(f32x16 a, f32x16 b) { return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)}; }
[[gnu::always_inline]] inline f32x16 mul(f32x16 a, f32x16 b) {
    __m256 low = _mm256_mul_ps(a.low, b.low);
    __m256 high = _mm256_mul_ps(a.high, b.high);
    asm("" : "+x"(low), "+x"(high));  // not to be contracted: compilers fuse intrinsics too
    return {low, high};
}
[[gnu::always_inline]] inline f32x16 div(f32x16 a, f32x16 b) { return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)}; }
[[gnu::always_inline]] inline f32x16 fma(f32x16 a, f32x16 b, f32x16 c) {
    return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
[[gnu::always_inline]] inline f32x16 max(f32x16 a, f32x16 b) { return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)}; }
[[gnu::always_inline]] inline f32x16 min(f32x16 a, f32x16 b) { return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)}; }
[[gnu::always_inline]] inline f32x16 abs(f32x16 a) {
    const __m256 sign = _mm256_set1_ps(-0.0F);
    return {_mm256_andnot_ps(sign, a.low), _mm256_andnot_ps(sign, a.high)};
}
[[gnu::always_inline]] inline mask16 greater(f32x16 a, f32x16 b) {
    const int low = _mm256_movemask_ps(_mm256_cmp_ps(a.low, b.low, _CMP_GT_OQ));
    const int high = _mm256_movemask_ps(_mm256_cmp_ps(a.high, b.high, _CMP_GT_OQ));
    return static_cast<mask16>(low | (high << 8));
}
[[gnu::always_inline]] inline __m256 lane_mask(unsigned m) {  // bit l of m spread over lane l
    const __m256i bit = _mm256_set_epi32(128, 64, 32, 16, 8, 4, 2, 1);
    return _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(static_cast<int>(m)), bit), bit));
}
[[gnu::always_inline]] inline f32x16 select(mask16 m, f32x16 a, f32x16 b) {
    return {_mm256_blendv_ps(b.low, a.low, lane_mask(m & 0xFFU)), _mm256_blendv_ps(b.high, a.high, lane_mask(m >> 8U))};
}
[[gnu::always_inline]] inline f32x16 select_or_zero(mask16 m, f32x16 a) {
    return {_mm256_and_ps(a.low, lane_mask(m & 0xFFU)), _mm256_and_ps(a.high, lane_mask(m >> 8U))};
}

template <int distance>
[[gnu::always_inline]] inline f32x16 swap_lanes(f32x16 a) {
    if constexpr (distance == 8) return {a.high, a.low};
    if constexpr (distance == 4) return {_mm256_permute2f128_ps(a.low, a.low, 1), _mm256_permute2f128_ps(a.high, a.high, 1)};
    constexpr int order = distance == 1 ? 0xB1 : 0x4E;
    return {_mm256_permute_ps(a.low, order), _mm256_permute_ps(a.high, order)};
}

[[gnu::always_inline]] inline i32x16 splat(std::int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
[[gnu::always_inline]] inline i32x16 load(const std::int32_t* p) {
    const auto* q = reinterpret_cast<const __m256i*>(p);
    return {_mm256_loadu_si256(q), _mm256_loadu_si256(q + 1)};
}
[[gnu::always_inline]] inline void store(std::int32_t* p, i32x16 a) {
    auto* q = reinterpret_cast<__m256i*>(p);
    _mm256_storeu_si256(q, a.low);
    _mm256_storeu_si256(q + 1, a.high);
}
[[gnu::always_inline]] inline i32x16 iota() {
    return {_mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0), _mm256_set_epi32(15, 14, 13, 12, 11, 10, 9, 8)};
}
[[gnu::always_inline]] inline i32x16 add(i32x16 a, i32x16 b) { return {_mm256_add_epi32(a.low, b.low), _mm256_add_epi32(a.high, b.high)}; }
[[gnu::always_inline]] inline i32x16 max(i32x16 a, i32x16 b) { return {_mm256_max_epi32(a.low, b.low), _mm256_max_epi32(a.high, b.high)}; }
[[gnu::always_inline]] inline i32x16 bit_xor(i32x16 a, i32x16 b) { return {_mm256_xor_si256(a.low, b.low), _mm256_xor_si256(a.high, b.high)}; }
[[gnu::always_inline]] inline i32x16 bit_and(i32x16 a, i32x16 b) { return {_mm256_and_si256(a.low, b.low), _mm256_and_si256(a.high, b.high)}; }
template <int n>
[[gnu::always_inline]] inline i32x16 shift_right_logical(i32x16 a) { return {_mm256_srli_epi32(a.low, n), _mm256_srli_epi32(a.high, n)}; }
template <int n>
[[gnu::always_inline]] inline i32x16 shift_left(i32x16 a) { return {_mm256_slli_epi32(a.low, n), _mm256_slli_epi32(a.high, n)}; }
[[gnu::always_inline]] inline i32x16 mul_low(i32x16 a, i32x16 b) { return {_mm256_mullo_epi32(a.low, b.low), _mm256_mullo_epi32(a.high, b.high)}; }
[[gnu::always_inline]] inline __m256i mul_high(__m256i a, __m256i b) {
    const __m256i even = _mm256_srli_epi64(_mm256_mul_epu32(a, b), 32);
    const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32));
    return _mm256_blend_epi32(even, odd, 0xAA);
}
[[gnu::always_inline]] inline i32x16 mul_high(i32x16 a, i32x16 b) { return {mul_high(a.low, b.low), mul_high(a.high, b.high)}; }
[[gnu::always_inline]] inline i32x16 round_to_int(f32x16 a) { return {_mm256_cvtps_epi32(a.low), _mm256_cvtps_epi32(a.high)}; }
[[gnu::always_inline]] inline f32x16 to_float(i32x16 a) { return {_mm256_cvtepi32_ps(a.low), _mm256_cvtepi32_ps(a.high)}; }
[[gnu::always_inline]] inline f32x16 bits_to_float(i32x16 a) { return {_mm256_castsi256_ps(a.low), _mm256_castsi256_ps(a.high)}; }
[[gnu::always_inline]] inline i32x16 bits_to_int(f32x16 a) { return {_mm256_castps_si256(a.low), _mm256_castps_si256(a.high)}; }

[[gnu::always_inline]] inline float reduce_add(f32x16 a) {
    const __m256 x = _mm256_add_ps(a.low, a.high);
    const __m128 y = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    const __m128 z = _mm_add_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_add_ss(z, _mm_shuffle_ps(z, z, 1)));
}
[[gnu::always_inline]] inline float reduce_max(f32x16 a) {
    const __m256 x = _mm256_max_ps(a.low, a.high);
    const __m128 y = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    const __m128 z = _mm_max_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_max_ss(z, _mm_shuffle_ps(z, z, 1)));
}

[[gnu::always_inline]] inline __m256 reduce_eight(const f32x16* a) {
    __m256 half[4], quarter[2];
    for (int i = 0; i < 4; ++i) {
        const __m256 x = _mm256_add_ps(a[2 * i].low, a[2 * i].high);
        const __m256 y = _mm256_add_ps(a[2 * i + 1].low, a[2 * i + 1].high);
        half[i] = _mm256_add_ps(_mm256_permute2f128_ps(x, y, 0x20), _mm256_permute2f128_ps(x, y, 0x31));
    }
    for (int i = 0; i < 2; ++i) {
        const __m256d x = _mm256_castps_pd(half[2 * i]), y = _mm256_castps_pd(half[2 * i + 1]);
        quarter[i] = _mm256_add_ps(_mm256_castpd_ps(_mm256_unpacklo_pd(x, y)),
                                   _mm256_castpd_ps(_mm256_unpackhi_pd(x, y)));
    }
    const __m256 all = _mm256_add_ps(_mm256_shuffle_ps(quarter[0], quarter[1], 0x88),
                                     _mm256_shuffle_ps(quarter[0], quarter[1], 0xDD));
    return _mm256_permutevar8x32_ps(all, _mm256_set_epi32(7, 3, 6, 2, 5, 1, 4, 0));
}
/// As reduce_add() of each register.
[[gnu::always_inline]] inline f32x16 reduce_add_each(const f32x16 (&a)[16]) {
    return {reduce_eight(a), reduce_eight(a + 8)};
}

struct larger {
    [[gnu::always_inline]] __m256i operator()(__m256i x, __m256i y) const { return _mm256_max_epi32(x, y); }
};
struct total {
    [[gnu::always_inline]] __m256i operator()(__m256i x, __m256i y) const { return _mm256_add_epi32(x, y); }
};
// Eight sums or maxima at once: halves of two registers are joined until lane 4 i + j holds register i + 2 j's.
template <class Join>
[[gnu::always_inline]] inline __m256i reduce_eight(const i32x16* a, Join join) {
    __m256i half[4], quarter[2];
    for (int i = 0; i < 4; ++i) {
        const __m256i x = join(a[2 * i].low, a[2 * i].high), y = join(a[2 * i + 1].low, a[2 * i + 1].high);
        half[i] = join(_mm256_permute2x128_si256(x, y, 0x20), _mm256_permute2x128_si256(x, y, 0x31));
    }
    for (int i = 0; i < 2; ++i) {
        const __m256i x = half[2 * i], y = half[2 * i + 1];
        quarter[i] = join(_mm256_unpacklo_epi64(x, y), _mm256_unpackhi_epi64(x, y));
    }
    const __m256 x = _mm256_castsi256_ps(quarter[0]), y = _mm256_castsi256_ps(quarter[1]);
    const __m256i all = join(_mm256_castps_si256(_mm256_shuffle_ps(x, y, 0x88)),
                             _mm256_castps_si256(_mm256_shuffle_ps(x, y, 0xDD)));
    return _mm256_permutevar8x32_epi32(all, _mm256_set_epi32(7, 3, 6, 2, 5, 1, 4, 0));
}
[[gnu::always_inline]] inline i32x16 reduce_max_each(const i32x16 (&a)[16]) {
    return {reduce_eight(a, larger{}), reduce_eight(a + 8, larger{})};
}
[[gnu::always_inline]] inline i32x16 reduce_add_each(const i32x16 (&a)[16]) {
    return {reduce_eight(a, total{}), reduce_eight(a + 8, total{})};
}

}  // namespace nullm::inline NULLM_ABI::avx2
NULLM_END_TARGET
#endif
