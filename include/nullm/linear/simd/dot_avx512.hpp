#pragma once
// The kernels' needs in AVX-512, without (avx512) and with (vnni) the dot product instructions. Semantics:
// dot_scalar.hpp.

#include <nullm/core/simd/lanes_avx512.hpp>

#include <cstring>

#if defined(__x86_64__)
NULLM_BEGIN_AVX512
namespace nullm::inline NULLM_ABI::avx512 {

using dot_floats = f32x16;
using dot_ints = i32x16;
inline constexpr std::size_t dot_lanes = 16;
inline constexpr std::size_t dot_rows = 4;
inline constexpr std::size_t float_rows = 4;

inline dot_floats dot_zeros() {
    return zeros();
}
inline dot_floats dot_splat(float x) {
    return splat(x);
}
inline dot_ints dot_splat(std::int32_t x) {
    return splat(x);
}
inline dot_ints load_words(const std::byte* p) {
    return {_mm512_loadu_si512(p)};
}
inline dot_floats load_scales(const f16* p) {
    return load(p);
}
inline dot_floats load_scales(const bf16* p) {
    return load(p);
}
inline dot_floats load_scales(const float* p) {
    return load(p);
}

template <int max_code>
inline dot_ints dot4(dot_ints sum, dot_ints codes, const std::int8_t* x) {
    std::int32_t four;
    std::memcpy(&four, x, sizeof(four));
    const __m512i v = _mm512_set1_epi32(four);
    if constexpr (2 * max_code * 127 <= 32767) {
        const __m512i pairs = _mm512_maddubs_epi16(codes.v, v);
        return {_mm512_add_epi32(sum.v, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)))};
    } else {  // vpmaddubsw would saturate: bytes 0, 2 and 1, 3 as 16-bit pairs
        const __m512i even = _mm512_and_si512(codes.v, _mm512_set1_epi32(0x00FF00FF));
        const __m512i odd = _mm512_srli_epi16(codes.v, 8);
        const __m512i x_even = _mm512_srai_epi16(_mm512_slli_epi16(v, 8), 8);
        const __m512i x_odd = _mm512_srai_epi16(v, 8);
        return {_mm512_add_epi32(_mm512_add_epi32(sum.v, _mm512_madd_epi16(even, x_even)),
                                 _mm512_madd_epi16(odd, x_odd))};
    }
}
inline dot_ints dot2(dot_ints sum, dot_ints codes, const std::int16_t* x) {
    std::int32_t two;
    std::memcpy(&two, x, sizeof(two));
    return {_mm512_add_epi32(sum.v, _mm512_madd_epi16(codes.v, _mm512_set1_epi32(two)))};
}

struct table16 {
    __m512 entries;
};
inline table16 make_table(const float* entries) {
    return {_mm512_loadu_ps(entries)};
}
inline dot_floats lookup(const table16& table, dot_ints index) {  // vpermps reads the low four bits alone
    return {_mm512_permutexvar_ps(index.v, table.entries)};
}
template <int byte>
inline dot_floats centred_byte(dot_ints word) {
    const __m512i centred = _mm512_xor_si512(word.v, _mm512_set1_epi32(INT32_C(0x80) << (8 * byte)));
    return {_mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_slli_epi32(centred, 24 - 8 * byte), 24))};
}

inline void store_first(float* p, dot_floats a, std::size_t n) {
    if (n == 16) {
        _mm512_storeu_ps(p, a.v);
    } else {
        store_partial(p, a, n);
    }
}

inline void store_codes(std::int8_t* p, i32x16 codes) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(codes.v));
}
inline void store_codes(std::int16_t* p, i32x16 codes) {
    const __m512i ordered = _mm512_shuffle_epi32(codes.v, static_cast<_MM_PERM_ENUM>(0xD8));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(ordered));
}

inline i32x16 count_not_at_most(i32x16 n, f32x16 a, f32x16 b) {
    const __mmask16 above = _mm512_cmp_ps_mask(a.v, b.v, _CMP_NLE_UQ);
    return {_mm512_mask_add_epi32(n.v, above, n.v, _mm512_set1_epi32(1))};
}

struct codes16 {
    __m512i entries;  // twice
};
inline codes16 make_codes(const std::int16_t* entries) {
    return {_mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(entries)))};
}
struct codes8 {
    __m512i entries;  // four times
};
inline codes8 make_codes(const std::uint8_t* entries) {
    return {_mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(entries)))};
}
template <int high>
inline void lookup_pairs(const codes16& table, dot_ints word, dot_ints& even, dot_ints& odd) {
    // vpermw reads five bits of an index; the fifth does not matter, the table being there twice.
    const __m512i shifted = high == 0 ? word.v : _mm512_srli_epi16(word.v, 4);
    even.v = _mm512_permutexvar_epi16(shifted, table.entries);
    odd.v = _mm512_permutexvar_epi16(_mm512_srli_epi16(word.v, 8 + 4 * high), table.entries);
}
inline dot_ints lookup_bytes(const codes8& table, dot_ints nibbles) {
    return {_mm512_shuffle_epi8(table.entries, nibbles.v)};
}

}  // namespace nullm::inline NULLM_ABI::avx512
NULLM_END_TARGET

NULLM_BEGIN_VNNI
namespace nullm::inline NULLM_ABI::vnni {

using avx512::add;
using avx512::bit_and;
using avx512::codes16;
using avx512::codes8;
using avx512::dot_floats;
using avx512::dot_ints;
using avx512::dot_lanes;
using avx512::dot_splat;
using avx512::dot_zeros;
using avx512::fma;
using avx512::load_scales;
using avx512::load_words;
using avx512::lookup_bytes;
using avx512::lookup_pairs;
using avx512::make_codes;
using avx512::mul;
using avx512::shift_right_logical;
using avx512::store_first;
using avx512::to_float;
inline constexpr std::size_t dot_rows = 8;

template <int max_code>
inline dot_ints dot4(dot_ints sum, dot_ints codes, const std::int8_t* x) {
    std::int32_t four;
    std::memcpy(&four, x, sizeof(four));
    return {_mm512_dpbusd_epi32(sum.v, codes.v, _mm512_set1_epi32(four))};
}
inline dot_ints dot2(dot_ints sum, dot_ints codes, const std::int16_t* x) {
    std::int32_t two;
    std::memcpy(&two, x, sizeof(two));
    return {_mm512_dpwssd_epi32(sum.v, codes.v, _mm512_set1_epi32(two))};
}

}  // namespace nullm::inline NULLM_ABI::vnni
NULLM_END_TARGET
#endif
