#pragma once
// The linear layer that multiplies with the weights as the file has them: F32, F16, BF16, Q4_0, Q4_1,
// Q8_0, NF4.

#include <nullm/core/error.hpp>
#include <nullm/core/matrix_view.hpp>
#include <nullm/core/tensor.hpp>
#include <nullm/core/thread_pool.hpp>
#include <nullm/linear/arithmetic.hpp>
#include <nullm/linear/check_tensor.hpp>
#include <nullm/linear/concepts.hpp>
#include <nullm/linear/kernels.hpp>
#include <nullm/linear/nf4_codec.hpp>
#include <nullm/linear/nf4_kernels.hpp>
#include <nullm/linear/prepared_rows.hpp>
#include <nullm/linear/repack.hpp>
#include <nullm/linear/tile_stack.hpp>
#include <nullm/linear/weight_arena.hpp>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>

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
        linear.stack_.place(allocate_weights(linear.stack_.size()));
        linear.repack(parts, pool);
        return linear;
    }

    /// The same, in memory of the arena: for matrices below 2 MB, which have no huge page of their own
    /// otherwise.
    static native_linear from(std::span<const tensor_view> parts, thread_pool& pool, weight_arena& arena,
                              isa level = active_isa()) {
        native_linear linear(parts, level);
        linear.stack_.place(arena.allocate(linear.stack_.size()));
        linear.repack(parts, pool);
        return linear;
    }

    std::size_t in() const { return stack_.in(); }
    std::size_t out() const { return stack_.out(); }
    /// Whether apply() reads the float copy of its input: under f32, or if a part is stored as floats.
    bool reads_floats() const { return stack_.reads_floats(); }
    /// Bytes apply() reads once for a small batch: weights and scales, padding included.
    std::size_t bytes() const { return stack_.bytes(); }

    /// y (rows of x) x out() = x W^T. Threads share out tiles, so sums are never split. Allocates nothing.
    /// Throws error if x or y does not fit.
    void apply(const input& x, matrix_view<float> y, thread_pool& pool) const { stack_.apply(x, y, pool); }

 private:
    native_linear(std::span<const tensor_view> tensors, isa level) {
        level = std::min(level, detected_isa());
        if (tensors.empty()) throw error("native_linear", "at least one tensor", "none");
        const std::size_t cols = tensors.front().cols;
        stack_ = tile_stack<A>("native_linear", cols);
        for (const tensor_view& tensor : tensors) {
            check_tensor(tensor, cols);
            tiled_part<A> part{
                .rows = tensor.rows, .stride = tile_bytes(tensor.type, cols), .groups = groups_of(cols)};
            choose_kernel(part, tensor.type, cols, level);
            stack_.push(part);
        }
    }

    void repack(std::span<const tensor_view> tensors, thread_pool& pool) {
        for (std::size_t i = 0; i < tensors.size(); ++i) {
            const tiled_part<A>& part = stack_.parts()[i];
            stack_.fill(part, pool, [&](std::size_t t, std::byte* tile) {
                if (tensors[i].type == tensor_type::nf4) {
                    return nf4_repack_tile<nf4_scale_block>(nf4_of(tensors[i]), part.rows, in(), t * tile_rows, tile);
                }
                std::memset(tile, 0, part.stride);
                repack_tile(tensors[i], t, tile);
            });
        }
    }

    template <class Format>
    static void choose_quantized(tiled_part<A>& p, isa level) {
        if constexpr (IntegerArithmetic<A>) {
            p.by_codes = integer_kernel<Format, typename A::code>(level);
        } else {
            p.by_floats = float_kernel<Format>(level);
        }
    }

    static void choose_kernel(tiled_part<A>& p, tensor_type type, std::size_t cols, isa level) {
        switch (type) {
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
            case tensor_type::nf4:
                return choose_nf4_kernel<nf4_scale_block>(p, cols, level);
        }
    }

    tile_stack<A> stack_;
};

}  // namespace nullm::inline NULLM_ABI
