#pragma once
// Multiplies one tile of weights with one panel of activations, on the instruction set asked for.

#include <nullm/core/simd.hpp>
#include <nullm/linear/activations.hpp>
#include <nullm/linear/tile_layout.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

namespace nullm::inline NULLM_ABI {

/// One tile times the rows of one panel.
template <class Block>
struct tile_job {
    const std::byte* tile = nullptr;  // 64-byte aligned
    std::size_t groups = 0;           // of a quantised tile
    std::size_t cols = 0;             // of a float tile
    const Block* x = nullptr;         // first block of the panel's first row
    std::size_t x_stride = 0;         // blocks from one block of a row to its next: the rows in the panel
    float* y = nullptr;               // first output of the tile for the panel's first row
    std::size_t y_stride = 0;
    std::size_t lanes = 0;  // outputs the tile has, 1 to 16
};

}  // namespace nullm::inline NULLM_ABI

#define NULLM_KERNELS <nullm/linear/integer_kernels.inl>
#include <nullm/core/simd/foreach_isa.hpp>

#define NULLM_KERNELS <nullm/linear/float_kernels.inl>
#include <nullm/core/simd/foreach_isa.hpp>

#define NULLM_KERNELS <nullm/linear/integer_kernels.inl>
#include <nullm/core/simd/for_vnni.hpp>

namespace nullm::inline NULLM_ABI {

/// A tile times 1 to panel_rows rows.
template <class Block>
using tile_kernel = void (*)(tile_job<Block> job, std::size_t rows);

/// The kernel of a quantised format with Code activations.
template <class Format, class Code>
tile_kernel<activation_block<Code>> integer_kernel(isa level) {
#if defined(__x86_64__)
    if (level == isa::vnni) return vnni::multiply_tile<Format, Code>;
    if (level == isa::avx512) return avx512::multiply_tile<Format, Code>;
    if (level == isa::avx2) return avx2::multiply_tile<Format, Code>;
#endif
    return scalar::multiply_tile<Format, Code>;
}

/// The kernel of a format, or of float, f16 or bf16 weights, with float activations.
template <class Weights>
tile_kernel<float_block> float_kernel(isa level) {
#if defined(__x86_64__)
    if (level >= isa::avx512) return avx512::multiply_float_tile<Weights>;
    if (level == isa::avx2) return avx2::multiply_float_tile<Weights>;
#endif
    return scalar::multiply_float_tile<Weights>;
}

}  // namespace nullm::inline NULLM_ABI
