#pragma once
// Sixteen lanes in one zmm register. Semantics: lanes_scalar.hpp.

#include <nullm/core/half.hpp>
#include <nullm/core/simd/target.hpp>

#include <cstddef>
#include <cstdint>

#if defined(__x86_64__)
NULLM_BEGIN_AVX512
namespace nullm::inline NULLM_ABI::avx512 {

using mask16 = std::uint16_t;
struct f32x16 {
    __m512 v;
};
struct i32x16 {
    __m512i v;
};

[[gnu::always_inline]] inline f32x16 splat(float x) { return {_mm512_set1_ps(x)}; }
[[gnu::always_inline]] inline f32x16 zeros() { return {_mm512_setzero_ps()}; }
[[gnu::always_inline]] inline f32x16 load(const float* p) { return {_mm512_loadu_ps(p)}; }
[[gnu::always_inline]] inline f32x16 load(const f16* p) {
    return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
[[gnu::always_inline]] inline f32x16 load(const bf16* p) {
    const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16))};
}
[[gnu::always_inline]] inline void store(float* p, f32x16 a) { _mm512_storeu_ps(p, a.v); }
[[gnu::always_inline]] inline void store(f16* p, f32x16 a) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                        _mm512_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
[[gnu::always_inline]] inline void store(bf16* p, f32x16 a) {
    const __m512i u = _mm512_castps_si512(a.v);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    const __m512i up = _mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7FFF)), odd);
    const __mmask16 nan = _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q);
    const __m512i quiet = _mm512_or_si512(u, _mm512_set1_epi32(0x400000));
    const __m512i chosen = _mm512_mask_mov_epi32(up, nan, quiet);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(_mm512_srli_epi32(chosen, 16)));
}
[[gnu::always_inline]] inline f32x16 load_partial(const float* p, std::size_t n) {
    if (n == 16) return load(p);  // a branch that is predicted costs less than making the mask
    return {_mm512_maskz_loadu_ps(static_cast<__mmask16>((1U << n) - 1U), p)};
}
[[gnu::always_inline]] inline void store_partial(float* p, f32x16 a, std::size_t n) {
    if (n == 16) return store(p, a);
    _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1U << n) - 1U), a.v);
}

[[gnu::always_inline]] inline f32x16 add(f32x16 a, f32x16 b) { return {_mm512_add_ps(a.v, b.v)}; }
[[gnu::always_inline]] inline f32x16 sub(f32x16 a, f32x16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
[[gnu::always_inline]] inline f32x16 mul(f32x16 a, f32x16 b) {
    __m512 product = _mm512_mul_ps(a.v, b.v);
    asm("" : "+v"(product));  // not to be contracted: compilers fuse intrinsics too
    return {product};
}
[[gnu::always_inline]] inline f32x16 div(f32x16 a, f32x16 b) { return {_mm512_div_ps(a.v, b.v)}; }
[[gnu::always_inline]] inline f32x16 fma(f32x16 a, f32x16 b, f32x16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
[[gnu::always_inline]] inline f32x16 max(f32x16 a, f32x16 b) { return {_mm512_max_ps(a.v, b.v)}; }
[[gnu::always_inline]] inline f32x16 min(f32x16 a, f32x16 b) { return {_mm512_min_ps(a.v, b.v)}; }
[[gnu::always_inline]] inline f32x16 abs(f32x16 a) { return {_mm512_abs_ps(a.v)}; }
[[gnu::always_inline]] inline mask16 greater(f32x16 a, f32x16 b) { return _mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ); }
[[gnu::always_inline]] inline f32x16 select(mask16 m, f32x16 a, f32x16 b) { return {_mm512_mask_mov_ps(b.v, m, a.v)}; }
[[gnu::always_inline]] inline f32x16 select_or_zero(mask16 m, f32x16 a) { return {_mm512_maskz_mov_ps(m, a.v)}; }

template <int distance>
[[gnu::always_inline]] inline f32x16 swap_lanes(f32x16 a) {
    if constexpr (distance <= 2) return {_mm512_permute_ps(a.v, distance == 1 ? 0xB1 : 0x4E)};
    return {_mm512_shuffle_f32x4(a.v, a.v, distance == 4 ? 0xB1 : 0x4E)};
}

[[gnu::always_inline]] inline i32x16 splat(std::int32_t x) { return {_mm512_set1_epi32(x)}; }
[[gnu::always_inline]] inline i32x16 load(const std::int32_t* p) { return {_mm512_loadu_si512(p)}; }
[[gnu::always_inline]] inline void store(std::int32_t* p, i32x16 a) { _mm512_storeu_si512(p, a.v); }
[[gnu::always_inline]] inline i32x16 iota() { return {_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)}; }
[[gnu::always_inline]] inline i32x16 add(i32x16 a, i32x16 b) { return {_mm512_add_epi32(a.v, b.v)}; }
[[gnu::always_inline]] inline i32x16 max(i32x16 a, i32x16 b) { return {_mm512_max_epi32(a.v, b.v)}; }
[[gnu::always_inline]] inline i32x16 bit_xor(i32x16 a, i32x16 b) { return {_mm512_xor_si512(a.v, b.v)}; }
[[gnu::always_inline]] inline i32x16 bit_and(i32x16 a, i32x16 b) { return {_mm512_and_si512(a.v, b.v)}; }
template <int n>
[[gnu::always_inline]] inline i32x16 shift_right_logical(i32x16 a) { return {_mm512_srli_epi32(a.v, n)}; }
template <int n>
[[gnu::always_inline]] inline i32x16 shift_left(i32x16 a) { return {_mm512_slli_epi32(a.v, n)}; }
[[gnu::always_inline]] inline i32x16 mul_low(i32x16 a, i32x16 b) { return {_mm512_mullo_epi32(a.v, b.v)}; }
[[gnu::always_inline]] inline i32x16 mul_high(i32x16 a, i32x16 b) {
    const __m512i even = _mm512_srli_epi64(_mm512_mul_epu32(a.v, b.v), 32);
    const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(a.v, 32), _mm512_srli_epi64(b.v, 32));
    return {_mm512_mask_mov_epi32(even, 0xAAAA, odd)};
}
[[gnu::always_inline]] inline i32x16 round_to_int(f32x16 a) {
    return {_mm512_cvt_roundps_epi32(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
[[gnu::always_inline]] inline f32x16 to_float(i32x16 a) { return {_mm512_cvtepi32_ps(a.v)}; }
[[gnu::always_inline]] inline f32x16 bits_to_float(i32x16 a) { return {_mm512_castsi512_ps(a.v)}; }
[[gnu::always_inline]] inline i32x16 bits_to_int(f32x16 a) { return {_mm512_castps_si512(a.v)}; }

[[gnu::always_inline]] inline float reduce_add(f32x16 a) {
    const __m256 x = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
    const __m128 y = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    const __m128 z = _mm_add_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_add_ss(z, _mm_shuffle_ps(z, z, 1)));
}
[[gnu::always_inline]] inline float reduce_max(f32x16 a) {
    const __m256 x = _mm256_max_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
    const __m128 y = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    const __m128 z = _mm_max_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_max_ss(z, _mm_shuffle_ps(z, z, 1)));
}

/// As reduce_add() of each register: halves of two are joined in the order its tree adds them.
[[gnu::always_inline]] inline f32x16 reduce_add_each(const f32x16 (&a)[16]) {
    __m512 half[8], quarter[4], eighth[2];
    for (int i = 0; i < 8; ++i) {
        const __m512 x = a[2 * i].v, y = a[2 * i + 1].v;
        half[i] = _mm512_add_ps(_mm512_shuffle_f32x4(x, y, 0x44), _mm512_shuffle_f32x4(x, y, 0xEE));
    }
    for (int i = 0; i < 4; ++i) {
        const __m512 x = half[2 * i], y = half[2 * i + 1];
        quarter[i] = _mm512_add_ps(_mm512_shuffle_f32x4(x, y, 0x88), _mm512_shuffle_f32x4(x, y, 0xDD));
    }
    for (int i = 0; i < 2; ++i) {
        const __m512d x = _mm512_castps_pd(quarter[2 * i]), y = _mm512_castps_pd(quarter[2 * i + 1]);
        eighth[i] = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(x, y)),
                                  _mm512_castpd_ps(_mm512_unpackhi_pd(x, y)));
    }
    const __m512 all = _mm512_add_ps(_mm512_shuffle_ps(eighth[0], eighth[1], 0x88),
                                     _mm512_shuffle_ps(eighth[0], eighth[1], 0xDD));
    const __m512i order = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    return {_mm512_permutexvar_ps(order, all)};
}

struct larger {
    [[gnu::always_inline]] __m512i operator()(__m512i x, __m512i y) const { return _mm512_max_epi32(x, y); }
};
struct total {
    [[gnu::always_inline]] __m512i operator()(__m512i x, __m512i y) const { return _mm512_add_epi32(x, y); }
};
// Sixteen sums or maxima at once: halves of two registers are joined until lane 4 i + j holds register i + 4 j's.
template <class Join>
[[gnu::always_inline]] inline i32x16 reduce_each(const i32x16 (&a)[16], Join join) {
    __m512i half[8], quarter[4], eighth[2];
    for (int i = 0; i < 8; ++i) {
        const __m512i x = a[2 * i].v, y = a[2 * i + 1].v;
        half[i] = join(_mm512_shuffle_i64x2(x, y, 0x44), _mm512_shuffle_i64x2(x, y, 0xEE));
    }
    for (int i = 0; i < 4; ++i) {
        const __m512i x = half[2 * i], y = half[2 * i + 1];
        quarter[i] = join(_mm512_shuffle_i64x2(x, y, 0x88), _mm512_shuffle_i64x2(x, y, 0xDD));
    }
    for (int i = 0; i < 2; ++i) {
        const __m512i x = quarter[2 * i], y = quarter[2 * i + 1];
        eighth[i] = join(_mm512_unpacklo_epi64(x, y), _mm512_unpackhi_epi64(x, y));
    }
    const __m512 x = _mm512_castsi512_ps(eighth[0]), y = _mm512_castsi512_ps(eighth[1]);
    const __m512i all = join(_mm512_castps_si512(_mm512_shuffle_ps(x, y, 0x88)),
                             _mm512_castps_si512(_mm512_shuffle_ps(x, y, 0xDD)));
    const __m512i order = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    return {_mm512_permutexvar_epi32(order, all)};
}
[[gnu::always_inline]] inline i32x16 reduce_max_each(const i32x16 (&a)[16]) {
    return reduce_each(a, larger{});
}
[[gnu::always_inline]] inline i32x16 reduce_add_each(const i32x16 (&a)[16]) {
    return reduce_each(a, total{});
}

}  // namespace nullm::inline NULLM_ABI::avx512
NULLM_END_TARGET
#endif
