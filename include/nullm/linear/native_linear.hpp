#pragma once
// The linear layer that multiplies with the weights as the file has them: F32, F16, BF16, Q4_0, Q4_1, Q8_0.

#include <nullm/core/error.hpp>
#include <nullm/core/matrix_view.hpp>
#include <nullm/core/tensor.hpp>
#include <nullm/core/thread_pool.hpp>
#include <nullm/linear/arithmetic.hpp>
#include <nullm/linear/concepts.hpp>
#include <nullm/linear/kernels.hpp>
#include <nullm/linear/prepared_rows.hpp>
#include <nullm/linear/repack.hpp>
#include <nullm/linear/weight_arena.hpp>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// y = W x for a batch of rows, in arithmetic A. W is one tensor or several stacked by rows (fused query, key
/// and value; gate and up), each in its own format, repacked without loss to tiles of 16 rows
/// (tile_layout.hpp). Immutable. A row's outputs are the same bits for any batch, thread count and
/// instruction set.
///
/// Tensors stored as floats are multiplied in float whatever A is.
template <Arithmetic A>
class native_linear {
 public:
    using input = prepared_rows<A>;

    /// Copies the tensors into tiles, on the pool; their bytes are not needed afterwards and need no
    /// alignment. Throws error if there is no part, the parts' cols differ or are not whole blocks, or a
    /// tensor's bytes do not match its shape. Scales are not examined: one that is not finite makes its own
    /// row's outputs so.
    static native_linear from(std::span<const tensor_view> parts, thread_pool& pool,
                              isa level = active_isa()) {
        native_linear linear(parts, level);
        linear.weights_ = allocate_weights(linear.size_of_parts());
        linear.repack(parts, pool);
        return linear;
    }

    /// The same, in memory of the arena: for matrices below 2 MB, which have no huge page of their own
    /// otherwise.
    static native_linear from(std::span<const tensor_view> parts, thread_pool& pool, weight_arena& arena,
                              isa level = active_isa()) {
        native_linear linear(parts, level);
        linear.weights_ = arena.allocate(linear.size_of_parts());
        linear.repack(parts, pool);
        return linear;
    }

    std::size_t in() const { return in_; }
    std::size_t out() const { return out_; }
    /// Whether apply() reads the float copy of its input: under f32, or if a part is stored as floats.
    bool reads_floats() const { return reads_floats_; }
    /// Bytes apply() reads once for a small batch: weights and scales, padding included.
    std::size_t bytes() const { return weights_.size; }

    /// y (rows of x) x out() = x W^T. Threads share out tiles, so sums are never split. Allocates nothing.
    /// Throws error if x or y does not fit.
    void apply(const input& x, matrix_view<float> y, thread_pool& pool) const {
        check_shapes(x, y);
        // Rows beyond a cache's worth are taken in turns, so that a turn's activations stay close while tiles
        // pass by.
        const std::size_t turn = std::max<std::size_t>(1, turn_blocks / x.blocks() / panel_rows);
        const std::size_t turns = (x.panels() + turn - 1) / turn;
        const std::size_t jobs = turns * tiles_;
        const std::size_t grain = std::max<std::size_t>(1, jobs / (pool.size() * 8));
        pool.for_each_range(jobs, grain, [&](std::size_t begin, std::size_t end) {
            while (begin < end) {
                const std::size_t t = begin / tiles_;
                const std::size_t first = begin % tiles_;
                const std::size_t last = std::min(tiles_, first + (end - begin));
                run(x, y, first, last, t * turn, std::min(x.panels(), (t + 1) * turn));
                begin += last - first;
            }
        });
    }

 private:
    /// Blocks of activations of a turn: 192 kB of 8-bit ones.
    static constexpr std::size_t turn_blocks = 4096;
    /// Tiles that take a panel one after the other, while it is in the innermost cache; their outputs lie side
    /// by side, too (measured at 512 rows: a fifth faster than tile by tile).
    static constexpr std::size_t neighbours = 4;

    /// The tiles of one tensor. It has a kernel for floats or for the arithmetic's quantised blocks, never
    /// both.
    struct part {
        tensor_type type;
        std::size_t rows, first_row;    // of the tensor, and where they start in the stack
        std::size_t tiles, first_tile;  // likewise
        std::size_t at, stride;         // bytes from the start of the storage, and a tile
        tile_kernel<float_block> by_floats = nullptr;
        tile_kernel<typename input::block> by_codes = nullptr;
    };

    native_linear(std::span<const tensor_view> tensors, isa level) {
        level = std::min(level, detected_isa());
        if (tensors.empty()) throw error("native_linear", "at least one tensor", "none");
        in_ = tensors.front().cols;
        std::size_t size = 0;
        for (const tensor_view& tensor : tensors) {
            check_tensor(tensor, in_);
            part made{.type = tensor.type,
                      .rows = tensor.rows,
                      .first_row = out_,
                      .tiles = tiles_of(tensor.rows),
                      .first_tile = tiles_,
                      .at = size,
                      .stride = tile_bytes(tensor.type, in_)};
            choose_kernel(made, level);
            out_ += made.rows;
            tiles_ += made.tiles;
            size += made.tiles * made.stride;
            reads_floats_ = reads_floats_ || made.by_floats != nullptr;
            parts_.push_back(made);
        }
    }

    std::size_t size_of_parts() const {
        return parts_.back().at + parts_.back().tiles * parts_.back().stride;
    }

    void repack(std::span<const tensor_view> tensors, thread_pool& pool) {
        for (std::size_t i = 0; i < tensors.size(); ++i) {
            const part& made = parts_[i];
            pool.for_each_range(made.tiles, 8, [&](std::size_t first, std::size_t last) {
                for (std::size_t t = first; t < last; ++t) {
                    std::byte* const tile = weights_.first.get() + made.at + t * made.stride;
                    std::memset(tile, 0, made.stride);
                    repack_tile(tensors[i], t, tile);
                }
            });
        }
    }

    static void check_tensor(const tensor_view& tensor, std::size_t cols) {
        const std::string where = "tensor " + std::string(tensor.name);
        if (tensor.cols != cols || cols == 0) {
            throw error(
                where,
                cols == 0 ? "at least one column" : std::to_string(cols) + " columns, as the part before",
                std::to_string(tensor.cols));
        }
        if (tensor.type > tensor_type::q8_0) {
            throw error(where, "a type the library knows", std::to_string(static_cast<int>(tensor.type)));
        }
        if (cols % block_elements(tensor.type) != 0) {
            throw error(where, "columns in whole blocks of 32", std::to_string(cols));
        }
        const std::size_t bytes = tensor.bytes.size();
        const bool fits = tensor.rows == 0
                              ? bytes == 0
                              : bytes % tensor.rows == 0 && bytes / tensor.rows == tensor.row_bytes();
        if (!fits || cols > std::numeric_limits<std::size_t>::max() / 64) {
            throw error(where,
                        "bytes for " + std::to_string(tensor.rows) + " x " + std::to_string(cols) + " of " +
                            std::string(name_of(tensor.type)),
                        std::to_string(bytes));
        }
    }

    template <class Format>
    static void choose_quantized(part& p, isa level) {
        if constexpr (IntegerArithmetic<A>) {
            p.by_codes = integer_kernel<Format, typename A::code>(level);
        } else {
            p.by_floats = float_kernel<Format>(level);
        }
    }

    static void choose_kernel(part& p, isa level) {
        switch (p.type) {
            case tensor_type::f32:
                p.by_floats = float_kernel<float>(level);
                return;
            case tensor_type::f16:
                p.by_floats = float_kernel<f16>(level);
                return;
            case tensor_type::bf16:
                p.by_floats = float_kernel<bf16>(level);
                return;
            case tensor_type::q4_0:
                return choose_quantized<q4_0_format>(p, level);
            case tensor_type::q4_1:
                return choose_quantized<q4_1_format>(p, level);
            case tensor_type::q8_0:
                return choose_quantized<q8_0_format>(p, level);
        }
    }

    void check_shapes(const input& x, const matrix_view<float>& y) const {
        if (x.cols() != in_) {
            throw error("native_linear::apply", std::to_string(in_) + " columns of input",
                        std::to_string(x.cols()));
        }
        if (y.rows != x.rows() || y.cols != out_) {
            throw error("native_linear::apply",
                        "an output of " + std::to_string(x.rows()) + " x " + std::to_string(out_),
                        std::to_string(y.rows) + " x " + std::to_string(y.cols));
        }
        if (reads_floats_ && !x.has_floats()) {
            throw error("native_linear::apply", "an input that keeps floats (a part is stored as floats)",
                        "none kept");
        }
    }

    /// Tiles [first, last) times panels [begin, end).
    void run(const input& x, const matrix_view<float>& y, std::size_t first, std::size_t last,
             std::size_t begin, std::size_t end) const {
        for (const part& p : parts_) {
            const std::size_t from_tile = std::max(first, p.first_tile);
            const std::size_t to_tile = std::min(last, p.first_tile + p.tiles);
            for (std::size_t near = from_tile; near < to_tile; near += neighbours) {
                for (std::size_t panel = begin; panel < end; ++panel) {
                    for (std::size_t t = near; t < std::min(near + neighbours, to_tile); ++t) {
                        if (p.by_floats != nullptr) {
                            run_tile(p, p.by_floats, t - p.first_tile, x.floats(panel), panel, y);
                        } else if constexpr (IntegerArithmetic<A>) {
                            run_tile(p, p.by_codes, t - p.first_tile, x.codes(panel), panel, y);
                        }
                    }
                }
            }
        }
    }

    template <class Block>
    void run_tile(const part& p, tile_kernel<Block> kernel, std::size_t tile, const Block* x,
                  std::size_t panel, const matrix_view<float>& y) const {
        const std::size_t rows = rows_in_panel(panel, y.rows);
        kernel({.tile = weights_.first.get() + p.at + tile * p.stride,
                .groups = groups_of(in_),
                .cols = in_,
                .x = x,
                .x_stride = rows,
                .y = y[panel * panel_rows] + p.first_row + tile * tile_rows,
                .y_stride = y.stride,
                .lanes = std::min(tile_rows, p.rows - tile * tile_rows)},
               rows);
    }

    std::size_t in_ = 0;
    std::size_t out_ = 0;
    std::size_t tiles_ = 0;
    bool reads_floats_ = false;
    std::vector<part> parts_;
    weight_bytes weights_;
};

}  // namespace nullm::inline NULLM_ABI
