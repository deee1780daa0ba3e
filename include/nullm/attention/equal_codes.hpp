#pragma once
// Which of 64 codes equal a given one, for each instruction set.

#include <nullm/core/simd/target.hpp>

#include <cstddef>
#include <cstdint>

namespace nullm::inline NULLM_ABI::scalar {

/// Bit i: whether codes[i] == wanted, for i in [0, 64).
inline std::uint64_t equal_codes(const std::uint16_t* codes, std::uint16_t wanted) {
    std::uint64_t equal = 0;
    for (std::size_t i = 0; i < 64; ++i) equal |= std::uint64_t{codes[i] == wanted} << i;
    return equal;
}

}  // namespace nullm::inline NULLM_ABI::scalar

#if defined(__x86_64__)
NULLM_BEGIN_AVX2
namespace nullm::inline NULLM_ABI::avx2 {

inline std::uint64_t equal_codes(const std::uint16_t* codes, std::uint16_t wanted) {
    const __m256i code = _mm256_set1_epi16(static_cast<short>(wanted));
    const auto* p = reinterpret_cast<const __m256i*>(codes);
    const auto half = [&](const __m256i* from) {
        const __m256i low = _mm256_cmpeq_epi16(_mm256_loadu_si256(from), code);
        const __m256i high = _mm256_cmpeq_epi16(_mm256_loadu_si256(from + 1), code);
        // Packing interleaves the 128-bit halves; 0xD8 puts them back in order.
        const __m256i bytes = _mm256_permute4x64_epi64(_mm256_packs_epi16(low, high), 0xD8);
        return static_cast<std::uint64_t>(static_cast<std::uint32_t>(_mm256_movemask_epi8(bytes)));
    };
    return half(p) | half(p + 2) << 32U;
}

}  // namespace nullm::inline NULLM_ABI::avx2
NULLM_END_TARGET

NULLM_BEGIN_AVX512
namespace nullm::inline NULLM_ABI::avx512 {

inline std::uint64_t equal_codes(const std::uint16_t* codes, std::uint16_t wanted) {
    const __m512i code = _mm512_set1_epi16(static_cast<short>(wanted));
    const __mmask32 low = _mm512_cmpeq_epi16_mask(_mm512_loadu_si512(codes), code);
    const __mmask32 high = _mm512_cmpeq_epi16_mask(_mm512_loadu_si512(codes + 32), code);
    // Not shifted and joined as integers: g++ 12 takes a comparison's mask for extended to 64 bits already,
    // and where it spills one it stores 32 and loads 64 (seen under ThreadSanitizer).
    return _cvtmask64_u64(_mm512_kunpackd(high, low));
}

}  // namespace nullm::inline NULLM_ABI::avx512
NULLM_END_TARGET
#endif
