#pragma once
// What a mask keeps of sixteen keys, packed, for each instruction set.

#include <nullm/core/simd.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>

namespace nullm::inline NULLM_ABI::detail {

/// Writes `first` + l and u[l] for each l whose bit in `kept` is set, in order, to positions and chances;
/// returns how many it was.
inline std::size_t keep_one_by_one(std::uint32_t kept, std::uint32_t first, const float* u,
                                   std::uint32_t* positions, float* chances) {
    std::size_t n = 0;
    for (; kept != 0; kept &= kept - 1) {
        const auto l = static_cast<std::uint32_t>(std::countr_zero(kept));
        positions[n] = first + l;
        chances[n++] = u[l];
    }
    return n;
}

}  // namespace nullm::inline NULLM_ABI::detail

namespace nullm::inline NULLM_ABI::scalar {

/// The same with u in lanes. Up to sixteen elements of positions and chances may be written.
inline std::size_t keep_lanes(mask16 kept, std::uint32_t first, f32x16 u, std::uint32_t* positions,
                              float* chances) {
    return detail::keep_one_by_one(kept, first, u.lane, positions, chances);
}

}  // namespace nullm::inline NULLM_ABI::scalar

#if defined(__x86_64__)
NULLM_BEGIN_AVX2
namespace nullm::inline NULLM_ABI::avx2 {

inline std::size_t keep_lanes(mask16 kept, std::uint32_t first, f32x16 u, std::uint32_t* positions,
                              float* chances) {
    float lane[16];
    store(lane, u);
    return detail::keep_one_by_one(kept, first, lane, positions, chances);
}

}  // namespace nullm::inline NULLM_ABI::avx2
NULLM_END_TARGET

NULLM_BEGIN_AVX512
namespace nullm::inline NULLM_ABI::avx512 {

// Nothing to foretell: which keys are kept is random, so a loop over them would guess wrong half the time.
inline std::size_t keep_lanes(mask16 kept, std::uint32_t first, f32x16 u, std::uint32_t* positions,
                              float* chances) {
    const __m512i lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i numbers = _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(first)), lanes);
    _mm512_storeu_si512(positions, _mm512_maskz_compress_epi32(kept, numbers));
    _mm512_storeu_ps(chances, _mm512_maskz_compress_ps(kept, u.v));
    return static_cast<std::size_t>(std::popcount(kept));
}

}  // namespace nullm::inline NULLM_ABI::avx512
NULLM_END_TARGET
#endif
