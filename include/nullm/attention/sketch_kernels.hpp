#pragma once
// The kernels of sketch_sampler: scores of all keys, and which of them a draw keeps.

#include <nullm/attention/code_dots.hpp>
#include <nullm/attention/kept_lanes.hpp>
#include <nullm/core/simd.hpp>
#include <nullm/core/simd/philox_runs.hpp>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#define NULLM_KERNELS <nullm/attention/sketch_scan.inl>
#include <nullm/core/simd/foreach_isa.hpp>
#define NULLM_KERNELS <nullm/attention/sketch_scan.inl>
#include <nullm/core/simd/for_vnni.hpp>
#define NULLM_KERNELS <nullm/attention/sketch_choice.inl>
#include <nullm/core/simd/foreach_isa.hpp>

namespace nullm::inline NULLM_ABI {

/// See sketch_scan.inl.
template <int bits>
void score_codes(isa level, std::size_t queries, const std::int32_t* codes, std::size_t words,
                 std::size_t groups, const std::int32_t* ahead, const std::int8_t* const* q,
                 const std::int32_t* offset, const float* factor, const float* square, float* const* scores) {
#if defined(__x86_64__)
    if (level == isa::vnni) {
        return vnni::score_codes<bits>(queries, codes, words, groups, ahead, q, offset, factor, square,
                                       scores);
    }
#endif
    NULLM_DISPATCH(
        level, score_codes<bits>(queries, codes, words, groups, ahead, q, offset, factor, square, scores));
}

}  // namespace nullm::inline NULLM_ABI
