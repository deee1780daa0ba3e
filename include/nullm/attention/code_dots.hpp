#pragma once
// Products of four unsigned codes with four signed bytes, for each instruction set.

#include <nullm/core/simd.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace nullm::inline NULLM_ABI::scalar {

/// sum + the products of each lane's four bytes, codes of at most 15, with x[0..4), none -128.
inline i32x16 dot_codes(i32x16 sum, i32x16 codes, const std::int8_t* x) {
    for (std::size_t l = 0; l < 16; ++l) {
        const auto word = static_cast<std::uint32_t>(codes.lane[l]);
        for (std::size_t b = 0; b < 4; ++b)
            sum.lane[l] += static_cast<std::int32_t>(word >> 8 * b & 255U) * x[b];
    }
    return sum;
}
// Groups of 16 keys scored side by side: what the register file holds. Never shows in the results.
inline constexpr int scored_groups = 1;

}  // namespace nullm::inline NULLM_ABI::scalar

#if defined(__x86_64__)
NULLM_BEGIN_AVX2
namespace nullm::inline NULLM_ABI::avx2 {

inline i32x16 dot_codes(i32x16 sum, i32x16 codes, const std::int8_t* x) {
    std::int32_t four;
    std::memcpy(&four, x, sizeof(four));
    const __m256i v = _mm256_set1_epi32(four);
    const __m256i one = _mm256_set1_epi16(1);  // two products of 15 x 127 do not saturate
    return {_mm256_add_epi32(sum.low, _mm256_madd_epi16(_mm256_maddubs_epi16(codes.low, v), one)),
            _mm256_add_epi32(sum.high, _mm256_madd_epi16(_mm256_maddubs_epi16(codes.high, v), one))};
}
inline constexpr int scored_groups = 1;

}  // namespace nullm::inline NULLM_ABI::avx2
NULLM_END_TARGET

NULLM_BEGIN_AVX512
namespace nullm::inline NULLM_ABI::avx512 {

inline i32x16 dot_codes(i32x16 sum, i32x16 codes, const std::int8_t* x) {
    std::int32_t four;
    std::memcpy(&four, x, sizeof(four));
    const __m512i pairs = _mm512_maddubs_epi16(codes.v, _mm512_set1_epi32(four));
    return {_mm512_add_epi32(sum.v, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)))};
}
inline constexpr int scored_groups = 4;

}  // namespace nullm::inline NULLM_ABI::avx512
NULLM_END_TARGET

NULLM_BEGIN_VNNI
namespace nullm::inline NULLM_ABI::vnni {

using avx512::add;
using avx512::bit_and;
using avx512::bits_to_float;
using avx512::f32x16;
using avx512::fma;
using avx512::i32x16;
using avx512::load;
using avx512::min;
using avx512::mul;
using avx512::scored_groups;
using avx512::shift_left;
using avx512::shift_right_logical;
using avx512::splat;
using avx512::store;
using avx512::to_float;

inline i32x16 dot_codes(i32x16 sum, i32x16 codes, const std::int8_t* x) {
    std::int32_t four;
    std::memcpy(&four, x, sizeof(four));
    return {_mm512_dpbusd_epi32(sum.v, codes.v, _mm512_set1_epi32(four))};
}

}  // namespace nullm::inline NULLM_ABI::vnni
NULLM_END_TARGET
#endif
