#pragma once
// The linear layer whose weights are NF4: encoded at load from any tensor, or taken from a checkpoint.

#include <nullm/core/error.hpp>
#include <nullm/core/matrix_view.hpp>
#include <nullm/core/tensor.hpp>
#include <nullm/core/thread_pool.hpp>
#include <nullm/linear/arithmetic.hpp>
#include <nullm/linear/concepts.hpp>
#include <nullm/linear/nf4_codec.hpp>
#include <nullm/linear/nf4_kernels.hpp>
#include <nullm/linear/nf4_layout.hpp>
#include <nullm/linear/prepared_rows.hpp>
#include <nullm/linear/tile_stack.hpp>
#include <nullm/linear/weight_arena.hpp>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// A matrix of rows x cols in NF4, its blocks running over the flat array as in a bitsandbytes checkpoint.
struct nf4_matrix {
    std::string_view name;
    std::size_t rows = 0;
    std::size_t cols = 0;
    nf4_view data;
};

/// y = W x for a batch of rows, W in NF4 with one float32 scale for every `Block` weights (4.5 bits a weight
/// at 64), in arithmetic A: f32 multiplies with the floats bitsandbytes decodes; i16 and i8 with integers
/// in their place (nf4_integers), 2e-4 and 4e-3 off in the mean. Immutable. A row's outputs are the same bits
/// for any batch, thread count and instruction set. Repacked without loss: decode_row() gives bitsandbytes'
/// floats.
///
/// Under i16 and i8 sums are formed before they are scaled: where max|x| times the sum of a row's |w| exceeds
/// about 1e35 they overflow to infinity or NaN. Fastest where rows are whole blocks; rows of other lengths
/// cost up to twice the memory and time (nf4_layout.hpp).
template <std::size_t Block = 64, Arithmetic A = i16>
class nf4_linear {
    static_assert(is_nf4_block(Block),
                  "nf4_linear: Block is a power of two from 32 to 4096, as bitsandbytes has it");

 public:
    using input = prepared_rows<A>;

    /// Encodes the tensors with nf4_encode, each with blocks over its own flat array (those that are NF4 of
    /// such blocks already are taken as they are), and repacks them, on the pool; their bytes are not needed afterwards and need no alignment. Throws error if there is no
    /// part, the parts' cols differ or are not whole blocks of their format, or a tensor's bytes do not match
    /// its shape. Weights are not examined: one that is not finite makes outputs of its block's rows so.
    static nf4_linear from(std::span<const tensor_view> parts, thread_pool& pool, isa level = active_isa()) {
        return from_tensors(parts, pool, level, allocate_weights);
    }
    /// The same, in memory of the arena.
    static nf4_linear from(std::span<const tensor_view> parts, thread_pool& pool, weight_arena& arena,
                           isa level = active_isa()) {
        return from_tensors(parts, pool, level, [&](std::size_t size) { return arena.allocate(size); });
    }

    /// Repacks matrices that are NF4 already, stacked by rows; what they point to is not needed afterwards.
    /// Scales may be negative. Throws error if there is no part, the parts' cols differ, a block is not
    /// Block, or the codes and scales are not as many as the shape asks for.
    static nf4_linear from_encoded(std::span<const nf4_matrix> parts, thread_pool& pool,
                                   isa level = active_isa()) {
        return from_matrices(parts, pool, level, allocate_weights);
    }
    /// The same, in memory of the arena.
    static nf4_linear from_encoded(std::span<const nf4_matrix> parts, thread_pool& pool, weight_arena& arena,
                                   isa level = active_isa()) {
        return from_matrices(parts, pool, level, [&](std::size_t size) { return arena.allocate(size); });
    }

    std::size_t in() const { return stack_.in(); }
    std::size_t out() const { return stack_.out(); }
    /// Whether apply() reads the float copy of its input: under f32 alone.
    bool reads_floats() const { return !IntegerArithmetic<A>; }
    /// Bytes apply() reads once for a small batch: codes and scales, padding included.
    std::size_t bytes() const { return stack_.bytes(); }

    /// y (rows of x) x out() = x W^T. Threads share out tiles, so sums are never split. Allocates nothing.
    /// Throws error if x or y does not fit.
    void apply(const input& x, matrix_view<float> y, thread_pool& pool) const { stack_.apply(x, y, pool); }

    /// Row r of W as floats, out.size() == in(): bit for bit what nf4_decode gives for its matrix. Throws
    /// error if there is no such row or `out` has another length.
    void decode_row(std::size_t r, std::span<float> out) const {
        if (r >= this->out()) {
            throw error("nf4_linear::decode_row", "a row below " + std::to_string(this->out()),
                        std::to_string(r));
        }
        if (out.size() != in()) {
            throw error("nf4_linear::decode_row", "room for " + std::to_string(in()) + " elements",
                        std::to_string(out.size()));
        }
        for (const tiled_part<A>& part : stack_.parts()) {
            const std::size_t row = r - part.first_row;
            if (r < part.first_row || row >= part.rows) continue;
            nf4_read_row<Block>(stack_.tile(part, row / tile_rows), row, in(), out);
        }
    }

 private:
    explicit nf4_linear(std::size_t cols) : stack_("nf4_linear", cols) {}

    template <class Allocate>
    static nf4_linear from_tensors(std::span<const tensor_view> tensors, thread_pool& pool, isa level,
                                   const Allocate& allocate) {
        if (tensors.empty()) throw error("nf4_linear", "at least one tensor", "none");
        nf4_linear linear(tensors.front().cols);
        for (const tensor_view& tensor : tensors) {
            check_tensor(tensor, linear.in());
            linear.push(tensor.rows, level);
        }
        linear.stack_.place(allocate(linear.stack_.size()));
        for (std::size_t i = 0; i < tensors.size(); ++i) {
            const bool encoded = tensors[i].type == tensor_type::nf4 && Block == nf4_scale_block;
            if (encoded) {
                linear.repack(i, nf4_of(tensors[i]), pool);
            } else {
                linear.repack(i, nf4_encode(tensors[i], Block, pool, level).view(), pool);
            }
        }
        return linear;
    }

    template <class Allocate>
    static nf4_linear from_matrices(std::span<const nf4_matrix> matrices, thread_pool& pool, isa level,
                                    const Allocate& allocate) {
        if (matrices.empty()) throw error("nf4_linear", "at least one matrix", "none");
        nf4_linear linear(matrices.front().cols);
        for (const nf4_matrix& matrix : matrices) {
            check_matrix(matrix, linear.in());
            linear.push(matrix.rows, level);
        }
        linear.stack_.place(allocate(linear.stack_.size()));
        for (std::size_t i = 0; i < matrices.size(); ++i) linear.repack(i, matrices[i].data, pool);
        return linear;
    }

    static void check_matrix(const nf4_matrix& matrix, std::size_t cols) {
        const std::string where = "NF4 matrix " + std::string(matrix.name);
        if (matrix.cols != cols || cols == 0) {
            throw error(
                where,
                cols == 0 ? "at least one column" : std::to_string(cols) + " columns, as the part before",
                std::to_string(matrix.cols));
        }
        // Tiles round both sides up and store pieces twice: far below 64 bytes an element.
        if (cols > std::numeric_limits<std::size_t>::max() / 4096 ||
            matrix.rows > std::numeric_limits<std::size_t>::max() / 4096 / cols ||
            matrix.data.elements != matrix.rows * cols) {
            throw error(where, "elements for " + std::to_string(matrix.rows) + " x " + std::to_string(cols),
                        std::to_string(matrix.data.elements));
        }
        if (matrix.data.block != Block) {
            throw error(where, "blocks of " + std::to_string(Block), std::to_string(matrix.data.block));
        }
        check_nf4(matrix.data, where);
    }

    void push(std::size_t rows, isa level) {
        level = std::min(level, detected_isa());
        tiled_part<A> part{.rows = rows};
        choose_nf4_kernel<Block>(part, in(), level);
        stack_.push(part);
    }

    void repack(std::size_t index, const nf4_view& matrix, thread_pool& pool) {
        const tiled_part<A>& part = stack_.parts()[index];
        stack_.fill(part, pool, [&](std::size_t t, std::byte* tile) {
            nf4_repack_tile<Block>(matrix, part.rows, in(), t * tile_rows, tile);
        });
    }

    tile_stack<A> stack_;
};

}  // namespace nullm::inline NULLM_ABI
