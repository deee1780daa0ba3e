#pragma once
// How a batch of input rows lies in memory for the kernels: panels of up to eight rows, block by block.

#include <nullm/core/simd.hpp>
#include <nullm/linear/simd/dot_avx2.hpp>
#include <nullm/linear/simd/dot_avx512.hpp>
#include <nullm/linear/simd/dot_scalar.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace nullm::inline NULLM_ABI {

/// Most rows a kernel multiplies at once.
inline constexpr std::size_t panel_rows = 8;

/// 32 consecutive elements of one row, quantised: x is about scale * code. Codes are in the order
/// tile_layout.hpp asks for. A block with a value that is not finite has codes of zero and a scale of NaN,
/// which makes every output of its row NaN; one whose max|x| is below smallest_scaled counts as all zero.
template <class Code>
struct activation_block {
    Code codes[32];
    float scale;                 // max|x| / max_code
    std::int32_t minus_8_sum;    // -8 * sum of codes: what Q4_0's offset contributes to the dot product
    std::int32_t minus_128_sum;  // the same for Q8_0's codes + 128
    float scaled_sum;            // scale * sum of codes, rounded once: what Q4_1's m is multiplied with
};

/// 2^-100: below, max_code / max|x| could overflow.
inline constexpr float smallest_scaled = 0x1p-100F;

/// 32 consecutive elements of one row as they are.
struct float_block {
    float values[32];
};

// Blocks of m rows are stored as [panel][block][row in panel]. Panel p holds rows 8p .. 8p + n - 1 with
// n = min(8, m - 8p), so a kernel walks memory in sequence and reaches its n rows by constant distances.

/// Index of the first block of a panel's first row.
constexpr std::size_t panel_start(std::size_t panel, std::size_t blocks) {
    return panel * panel_rows * blocks;
}

constexpr std::size_t rows_in_panel(std::size_t panel, std::size_t rows) {
    return std::min(panel_rows, rows - panel * panel_rows);
}

}  // namespace nullm::inline NULLM_ABI

#define NULLM_KERNELS <nullm/linear/quantize.inl>
#include <nullm/core/simd/foreach_isa.hpp>
