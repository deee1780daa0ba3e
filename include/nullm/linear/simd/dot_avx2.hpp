#pragma once
// The kernels' needs in AVX2, eight output rows at a time. Semantics: dot_scalar.hpp.

#include <nullm/core/simd/lanes_avx2.hpp>

#include <cstring>

#if defined(__x86_64__)
NULLM_BEGIN_AVX2
namespace nullm::inline NULLM_ABI::avx2 {

struct dot_floats {
    __m256 v;
};
struct dot_ints {
    __m256i v;
};
inline constexpr std::size_t dot_lanes = 8;
inline constexpr std::size_t dot_rows = 4;
inline constexpr std::size_t float_rows = 2;

inline dot_floats dot_zeros() {
    return {_mm256_setzero_ps()};
}
inline dot_floats dot_splat(float x) {
    return {_mm256_set1_ps(x)};
}
inline dot_ints dot_splat(std::int32_t x) {
    return {_mm256_set1_epi32(x)};
}
inline dot_ints load_words(const std::byte* p) {
    return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))};
}
inline dot_floats load_scales(const f16* p) {
    return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
inline dot_floats load_scales(const bf16* p) {
    const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16))};
}
inline dot_floats load_scales(const float* p) {
    return {_mm256_loadu_ps(p)};
}
inline dot_floats mul(dot_floats a, dot_floats b) {
    __m256 product = _mm256_mul_ps(a.v, b.v);
    asm("" : "+x"(product));  // not to be contracted
    return {product};
}
inline dot_floats add(dot_floats a, dot_floats b) {
    return {_mm256_add_ps(a.v, b.v)};
}
inline dot_floats fma(dot_floats a, dot_floats b, dot_floats c) {
    return {_mm256_fmadd_ps(a.v, b.v, c.v)};
}
inline dot_floats to_float(dot_ints a) {
    return {_mm256_cvtepi32_ps(a.v)};
}
inline dot_ints bit_and(dot_ints a, dot_ints b) {
    return {_mm256_and_si256(a.v, b.v)};
}
template <int n>
dot_ints shift_right_logical(dot_ints a) {
    return {_mm256_srli_epi32(a.v, n)};
}

template <int max_code>
inline dot_ints dot4(dot_ints sum, dot_ints codes, const std::int8_t* x) {
    std::int32_t four;
    std::memcpy(&four, x, sizeof(four));
    const __m256i v = _mm256_set1_epi32(four);
    if constexpr (2 * max_code * 127 <= 32767) {
        const __m256i pairs = _mm256_maddubs_epi16(codes.v, v);
        return {_mm256_add_epi32(sum.v, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))};
    } else {  // vpmaddubsw would saturate: bytes 0, 2 and 1, 3 as 16-bit pairs
        const __m256i even = _mm256_and_si256(codes.v, _mm256_set1_epi32(0x00FF00FF));
        const __m256i odd = _mm256_srli_epi16(codes.v, 8);
        const __m256i x_even = _mm256_srai_epi16(_mm256_slli_epi16(v, 8), 8);
        const __m256i x_odd = _mm256_srai_epi16(v, 8);
        return {_mm256_add_epi32(_mm256_add_epi32(sum.v, _mm256_madd_epi16(even, x_even)),
                                 _mm256_madd_epi16(odd, x_odd))};
    }
}
inline dot_ints dot2(dot_ints sum, dot_ints codes, const std::int16_t* x) {
    std::int32_t two;
    std::memcpy(&two, x, sizeof(two));
    return {_mm256_add_epi32(sum.v, _mm256_madd_epi16(codes.v, _mm256_set1_epi32(two)))};
}

struct table16 {
    __m256 low, high;
};
inline table16 make_table(const float* entries) {
    return {_mm256_loadu_ps(entries), _mm256_loadu_ps(entries + 8)};
}
inline dot_floats lookup(const table16& table, dot_ints index) {
    const __m256 low = _mm256_permutevar8x32_ps(table.low, index.v);
    const __m256 high = _mm256_permutevar8x32_ps(table.high, index.v);
    return {_mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(index.v, 28)))};
}
template <int byte>
inline dot_floats centred_byte(dot_ints word) {
    const __m256i centred = _mm256_xor_si256(word.v, _mm256_set1_epi32(INT32_C(0x80) << (8 * byte)));
    return {_mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_slli_epi32(centred, 24 - 8 * byte), 24))};
}

inline void store_first(float* p, dot_floats a, std::size_t n) {
    if (n == 8) {
        _mm256_storeu_ps(p, a.v);
    } else {
        _mm256_maskstore_ps(p, first_lanes(n), a.v);
    }
}

inline void store_codes(std::int8_t* p, i32x16 codes) {
    const __m256i pairs = _mm256_packs_epi32(codes.low, codes.high);  // 0-3, 8-11, 4-7, 12-15
    const __m256i ordered = _mm256_permute4x64_epi64(pairs, 0xD8);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                     _mm_packs_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1)));
}
inline void store_codes(std::int16_t* p, i32x16 codes) {
    const __m256i low = _mm256_shuffle_epi32(codes.low, 0xD8);
    const __m256i high = _mm256_shuffle_epi32(codes.high, 0xD8);
    const __m256i ordered = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xD8);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), ordered);
}

inline i32x16 count_not_at_most(i32x16 n, f32x16 a, f32x16 b) {
    const __m256i low = _mm256_castps_si256(_mm256_cmp_ps(a.low, b.low, _CMP_NLE_UQ));
    const __m256i high = _mm256_castps_si256(_mm256_cmp_ps(a.high, b.high, _CMP_NLE_UQ));
    return {_mm256_sub_epi32(n.low, low), _mm256_sub_epi32(n.high, high)};
}

struct codes16 {
    __m256i low, high;  // the integers' low and high bytes
};
inline codes16 make_codes(const std::int16_t* entries) {
    std::uint8_t low[16], high[16];
    for (int i = 0; i < 16; ++i) {
        low[i] = static_cast<std::uint8_t>(entries[i]);
        high[i] = static_cast<std::uint8_t>(entries[i] >> 8);
    }
    return {_mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(low))),
            _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(high)))};
}
struct codes8 {
    __m256i entries;
};
inline codes8 make_codes(const std::uint8_t* entries) {
    return {_mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(entries)))};
}
template <int high>
inline void lookup_pairs(const codes16& table, dot_ints word, dot_ints& even, dot_ints& odd) {
    const __m256i shifted = high == 0 ? word.v : _mm256_srli_epi32(word.v, 4);
    const __m256i nibbles = _mm256_and_si256(shifted, _mm256_set1_epi32(0x0F0F0F0F));
    const __m256i low_bytes = _mm256_shuffle_epi8(table.low, nibbles);
    const __m256i high_bytes = _mm256_shuffle_epi8(table.high, nibbles);
    const __m256i mask = _mm256_set1_epi32(0x00FF00FF);
    even.v = _mm256_or_si256(_mm256_and_si256(low_bytes, mask), _mm256_slli_epi16(high_bytes, 8));
    odd.v = _mm256_or_si256(_mm256_srli_epi16(low_bytes, 8), _mm256_andnot_si256(mask, high_bytes));
}
inline dot_ints lookup_bytes(const codes8& table, dot_ints nibbles) {
    return {_mm256_shuffle_epi8(table.entries, nibbles.v)};
}

}  // namespace nullm::inline NULLM_ABI::avx2
NULLM_END_TARGET
#endif
