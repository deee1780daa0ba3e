#pragma once
// 64 consecutive draws at once, in order.

#include <nullm/core/random.hpp>
#include <nullm/core/simd.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace nullm::inline NULLM_ABI::scalar {

/// Draws of the 16 blocks from counter[0] on (core/random.hpp): lane l of run[j] is draw 16 j + l.
inline void philox_runs(const std::array<std::uint32_t, 4>& counter, std::array<std::uint32_t, 2> key,
                        i32x16 (&run)[4]) {
    for (std::uint32_t b = 0; b < 16; ++b) {
        const auto words = ::nullm::philox4x32({counter[0] + b, counter[1], counter[2], counter[3]}, key);
        for (std::uint32_t w = 0; w < 4; ++w) {
            run[b / 4].lane[4 * (b % 4) + w] = static_cast<std::int32_t>(words[w]);
        }
    }
}

}  // namespace nullm::inline NULLM_ABI::scalar

// Each counter has 64-bit lanes of its own, one a word: the word is the lower half, and what is above it is
// never read. So a product's lower half is the next round's word as it stands, and its upper half one shift
// away. Counters lie in the order that makes neighbours of them when words are put together at the end.
#if defined(__x86_64__)
NULLM_BEGIN_AVX2
namespace nullm::inline NULLM_ABI::avx2 {

/// 32 draws from eight counters, block to block + 7.
NULLM_INLINED void philox_two_runs(std::uint32_t block, const std::array<std::uint32_t, 4>& counter,
                                   std::array<std::uint32_t, 2> key, i32x16* run) {
    const __m256i m0 = _mm256_set1_epi32(static_cast<int>(0xD2511F53U));
    const __m256i m1 = _mm256_set1_epi32(static_cast<int>(0xCD9E8D57U));
    __m256i word[2][4];
    NULLM_UNROLLED
    for (std::uint32_t g = 0; g < 2; ++g) {
        word[g][0] = _mm256_add_epi32(_mm256_set1_epi32(static_cast<int>(block + 4 * g)),
                                      _mm256_set_epi64x(3, 1, 2, 0));
        for (std::size_t w = 1; w < 4; ++w) word[g][w] = _mm256_set1_epi32(static_cast<int>(counter[w]));
    }
    NULLM_UNROLLED
    for (int round = 0; round < 10; ++round) {
        const __m256i k0 = _mm256_set1_epi32(static_cast<int>(key[0]));
        const __m256i k1 = _mm256_set1_epi32(static_cast<int>(key[1]));
        NULLM_UNROLLED
        for (auto& w : word) {  // side by side: one alone waits for its own products
            const __m256i p0 = _mm256_mul_epu32(w[0], m0);
            const __m256i p1 = _mm256_mul_epu32(w[2], m1);
            w[0] = _mm256_xor_si256(_mm256_srli_epi64(p1, 32), _mm256_xor_si256(w[1], k0));
            w[1] = p1;
            w[2] = _mm256_xor_si256(_mm256_srli_epi64(p0, 32), _mm256_xor_si256(w[3], k1));
            w[3] = p0;
        }
        key[0] += 0x9E3779B9U;
        key[1] += 0xBB67AE85U;
    }
    NULLM_UNROLLED
    for (int g = 0; g < 2; ++g) {
        const __m256i front = _mm256_blend_epi32(word[g][0], _mm256_slli_epi64(word[g][1], 32), 0xAA);
        const __m256i back = _mm256_blend_epi32(word[g][2], _mm256_slli_epi64(word[g][3], 32), 0xAA);
        run[g] = {_mm256_unpacklo_epi64(front, back), _mm256_unpackhi_epi64(front, back)};
    }
}

NULLM_INLINED void philox_runs(const std::array<std::uint32_t, 4>& counter, std::array<std::uint32_t, 2> key,
                               i32x16 (&run)[4]) {
    philox_two_runs(counter[0], counter, key, run);
    philox_two_runs(counter[0] + 8, counter, key, run + 2);
}

}  // namespace nullm::inline NULLM_ABI::avx2
NULLM_END_TARGET

NULLM_BEGIN_AVX512
namespace nullm::inline NULLM_ABI::avx512 {

NULLM_INLINED void philox_runs(const std::array<std::uint32_t, 4>& counter, std::array<std::uint32_t, 2> key,
                               i32x16 (&run)[4]) {
    constexpr int exclusive_or = 0x96;
    constexpr auto up = static_cast<_MM_PERM_ENUM>(0xA0);  // even lanes to odd ones
    const __m512i m0 = _mm512_set1_epi32(static_cast<int>(0xD2511F53U));
    const __m512i m1 = _mm512_set1_epi32(static_cast<int>(0xCD9E8D57U));
    __m512i word[2][4];  // of eight counters each
    NULLM_UNROLLED
    for (std::uint32_t g = 0; g < 2; ++g) {
        word[g][0] = _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(counter[0] + 8 * g)),
                                      _mm512_set_epi64(7, 3, 6, 2, 5, 1, 4, 0));
        for (std::size_t w = 1; w < 4; ++w) word[g][w] = _mm512_set1_epi32(static_cast<int>(counter[w]));
    }
    NULLM_UNROLLED
    for (int round = 0; round < 10; ++round) {
        const __m512i k0 = _mm512_set1_epi32(static_cast<int>(key[0]));
        const __m512i k1 = _mm512_set1_epi32(static_cast<int>(key[1]));
        NULLM_UNROLLED
        for (auto& w : word) {  // side by side: one alone waits for its own products
            const __m512i p0 = _mm512_mul_epu32(w[0], m0);
            const __m512i p1 = _mm512_mul_epu32(w[2], m1);
            w[0] = _mm512_ternarylogic_epi32(_mm512_srli_epi64(p1, 32), w[1], k0, exclusive_or);
            w[1] = p1;
            w[2] = _mm512_ternarylogic_epi32(_mm512_srli_epi64(p0, 32), w[3], k1, exclusive_or);
            w[3] = p0;
        }
        key[0] += 0x9E3779B9U;
        key[1] += 0xBB67AE85U;
    }
    NULLM_UNROLLED
    for (int g = 0; g < 2; ++g) {
        const __m512i front = _mm512_mask_shuffle_epi32(word[g][0], 0xAAAA, word[g][1], up);
        const __m512i back = _mm512_mask_shuffle_epi32(word[g][2], 0xAAAA, word[g][3], up);
        run[2 * g] = {_mm512_unpacklo_epi64(front, back)};
        run[2 * g + 1] = {_mm512_unpackhi_epi64(front, back)};
    }
}

}  // namespace nullm::inline NULLM_ABI::avx512
NULLM_END_TARGET
#endif
