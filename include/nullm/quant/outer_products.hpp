#pragma once
// Sums of outer products over the rows of two matrices: what second moments and drifts are made of. Eigen's
// product is as fast as the instructions a program is compiled for; this one has those of the machine.

#include <nullm/core/aligned.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/matrix_view.hpp>
#include <nullm/core/simd.hpp>
#include <nullm/core/thread_pool.hpp>

#include <algorithm>
#include <cstddef>
#include <string>

// Vectors of b in a tile, four rows high: what the register file holds.
namespace nullm::inline NULLM_ABI {
namespace scalar {
inline constexpr std::size_t outer_product_tile = 1;
}
namespace avx2 {
inline constexpr std::size_t outer_product_tile = 1;
}
namespace avx512 {
inline constexpr std::size_t outer_product_tile = 4;
}
}  // namespace nullm::inline NULLM_ABI

#define NULLM_KERNELS <nullm/quant/outer_products.inl>
#include <nullm/core/simd/foreach_isa.hpp>

namespace nullm::inline NULLM_ABI {

enum class outer_part : bool { whole, lower };  // lower: tiles on and below the diagonal

/// sum += a^T b, (a.cols, b.cols) by rows, its values in the order of the rows of a and b: the same bits for
/// any number of threads and any instruction set. Costs a.rows * a.cols * b.cols fma, half of it for the lower
/// part. Throws error unless a and b have as many rows, and columns in whole blocks of 64.
inline void add_outer_products(matrix_view<const float> a, matrix_view<const float> b, matrix_view<float> sum,
                               outer_part part, thread_pool& pool, isa level = active_isa()) {
    constexpr std::size_t block = 64;
    if (a.rows != b.rows || a.cols % block != 0 || b.cols % block != 0 || sum.rows != a.cols || sum.cols != b.cols) {
        throw error("outer products", "as many rows of both, and columns in whole blocks of 64",
                    std::to_string(a.rows) + " x " + std::to_string(a.cols) + " and " + std::to_string(b.rows) +
                        " x " + std::to_string(b.cols));
    }
    level = std::min(level, detected_isa());
    constexpr std::size_t tile = 3 * block;  // on a side
    constexpr std::size_t depth = 128;       // rows at once: a block of b stays in the first-level cache
    const std::size_t down = (a.cols + tile - 1) / tile, across = (b.cols + tile - 1) / tile;
    pool.for_each(down * across, 1, [&](std::size_t job) {
        const std::size_t top = job / across * tile, left = job % across * tile;
        if (part == outer_part::lower && left > top) return;
        const std::size_t height = std::min(tile, a.cols - top), width = std::min(tile, b.cols - left);
        aligned_vector<float> as(depth * tile), bs(depth * tile);  // [four or 64 columns][row][column]
        const auto pack = [](matrix_view<const float> from, std::size_t first, std::size_t count, std::size_t row,
                             std::size_t rows, std::size_t group, float* to) {
            for (std::size_t c = 0; c < count; c += group) {
                for (std::size_t t = 0; t < rows; ++t) to = std::copy_n(from[row + t] + first + c, group, to);
            }
        };
        for (std::size_t row = 0; row < a.rows; row += depth) {
            const std::size_t rows = std::min(depth, a.rows - row);
            pack(a, top, height, row, rows, 4, as.data());
            pack(b, left, width, row, rows, block, bs.data());
            for (std::size_t j = 0; j < width; j += block) {
                for (std::size_t i = 0; i < height; i += 4) {
                    NULLM_DISPATCH(level, add_outer_tile(sum[top + i] + left + j, sum.stride,
                                                             as.data() + i * rows, bs.data() + j * rows, rows));
                }
            }
        }
    });
}

}  // namespace nullm::inline NULLM_ABI
