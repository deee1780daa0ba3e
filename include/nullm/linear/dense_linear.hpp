#pragma once
// The linear layer that keeps weights as floats, float32 or bfloat16, whatever the file has.

#include <nullm/core/error.hpp>
#include <nullm/core/half.hpp>
#include <nullm/core/matrix_view.hpp>
#include <nullm/core/tensor.hpp>
#include <nullm/core/thread_pool.hpp>
#include <nullm/linear/arithmetic.hpp>
#include <nullm/linear/check_tensor.hpp>
#include <nullm/linear/concepts.hpp>
#include <nullm/linear/dequantize.hpp>
#include <nullm/linear/kernels.hpp>
#include <nullm/linear/prepared_rows.hpp>
#include <nullm/linear/tile_stack.hpp>
#include <nullm/linear/weight_arena.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// y = W x for a batch of rows, in float arithmetic (four chains of fma an output, float_kernels.inl). W is
/// one tensor or several stacked by rows, dequantised at load: float keeps every bit, bf16 rounds to nearest
/// even. Immutable. A row's outputs are the same bits for any batch, thread count and instruction set.
///
/// The reference, and the layer for models that fit; float takes eight times the memory of a 4-bit format.
template <class T>
requires std::same_as<T, float> || std::same_as<T, bf16>
class dense_linear {
 public:
    using input = prepared_rows<f32>;

    /// Converts the tensors into tiles, on the pool; their bytes are not needed afterwards and need no
    /// alignment. Throws error if there is no part, the parts' cols differ or are not whole blocks of their
    /// format, or a tensor's bytes do not match its shape.
    static dense_linear from(std::span<const tensor_view> parts, thread_pool& pool,
                             isa level = active_isa()) {
        dense_linear linear(parts, level);
        linear.stack_.place(allocate_weights(linear.stack_.size()));
        linear.convert(parts, pool);
        return linear;
    }
    /// The same, in memory of the arena.
    static dense_linear from(std::span<const tensor_view> parts, thread_pool& pool, weight_arena& arena,
                             isa level = active_isa()) {
        dense_linear linear(parts, level);
        linear.stack_.place(arena.allocate(linear.stack_.size()));
        linear.convert(parts, pool);
        return linear;
    }

    std::size_t in() const { return stack_.in(); }
    std::size_t out() const { return stack_.out(); }
    /// Whether apply() reads the float copy of its input: always.
    bool reads_floats() const { return true; }
    /// Bytes apply() reads once for a small batch, padding included.
    std::size_t bytes() const { return stack_.bytes(); }

    /// y (rows of x) x out() = x W^T. Threads share out tiles, so sums are never split. Allocates nothing.
    /// Throws error if x or y does not fit.
    void apply(const input& x, matrix_view<float> y, thread_pool& pool) const { stack_.apply(x, y, pool); }

 private:
    dense_linear(std::span<const tensor_view> tensors, isa level) {
        level = std::min(level, detected_isa());
        if (tensors.empty()) throw error("dense_linear", "at least one tensor", "none");
        const std::size_t cols = tensors.front().cols;
        stack_ = tile_stack<f32>("dense_linear", cols);
        for (const tensor_view& tensor : tensors) {
            check_tensor(tensor, cols);
            constexpr tensor_type stored = std::same_as<T, float> ? tensor_type::f32 : tensor_type::bf16;
            stack_.push({.rows = tensor.rows,
                         .stride = tile_bytes(stored, cols),
                         .by_floats = float_kernel<T>(level)});
        }
    }

    void convert(std::span<const tensor_view> tensors, thread_pool& pool) {
        for (std::size_t i = 0; i < tensors.size(); ++i) {
            const tensor_view& tensor = tensors[i];
            const tiled_part<f32>& part = stack_.parts()[i];
            stack_.fill(part, pool, [&](std::size_t t, std::byte* tile) {
                std::memset(tile, 0, part.stride);
                std::vector<float> row(tensor.cols);
                const std::size_t lanes = std::min(tile_rows, tensor.rows - t * tile_rows);
                for (std::size_t lane = 0; lane < lanes; ++lane) {
                    dequantize_row(tensor, t * tile_rows + lane, row);
                    for (std::size_t k = 0; k < tensor.cols; ++k) {
                        const T value = from_float<T>(row[k]);
                        std::memcpy(tile + (k * tile_rows + lane) * sizeof(T), &value, sizeof(T));
                    }
                }
            });
        }
    }

    tile_stack<f32> stack_;
};

}  // namespace nullm::inline NULLM_ABI
