#pragma once
// A batch of inputs, prepared once for every matrix that reads it.

#include <nullm/core/aligned.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/matrix_view.hpp>
#include <nullm/core/thread_pool.hpp>
#include <nullm/linear/activations.hpp>
#include <nullm/linear/arithmetic.hpp>
#include <nullm/linear/tile_layout.hpp>

#include <algorithm>
#include <cstddef>
#include <string>

namespace nullm::inline NULLM_ABI {

/// A block of 32 activations as arithmetic A multiplies it.
template <Arithmetic A>
struct block_for {
    using type = float_block;
};
template <IntegerArithmetic A>
struct block_for<A> {
    using type = activation_block<typename A::code>;
};

/// Rows of activations in the forms the kernels of arithmetic A read: quantised blocks (i16, i8), and floats.
/// Buffers grow to the largest batch seen and are then reused. A value that is not finite makes every output
/// of its row NaN in quantised matrices under i16 and i8; with f32, and in float matrices, it takes part as
/// IEEE arithmetic has it.
template <Arithmetic A>
class prepared_rows {
 public:
    using block = typename block_for<A>::type;

    /// Keep a copy of the rows in floats. f32 always does; i16 and i8 need it only for matrices stored as
    /// floats (native_linear::reads_floats), and save the copy where a model has none.
    bool keep_floats = true;
    /// Instruction set used to prepare; the result is the same on all.
    isa level = active_isa();

    /// Prepares x: m x cols, m >= 1. Costs about one pass over x. Pieces of eight rows and 512 columns are
    /// shared out over the pool, but for less than two microseconds of work no thread is woken. Throws error
    /// if x is empty.
    void assign(matrix_view<const float> x, thread_pool& pool) {
        if (x.rows == 0 || x.cols == 0) {
            throw error("linear input", "at least one row and column",
                        std::to_string(x.rows) + " x " + std::to_string(x.cols));
        }
        rows_ = x.rows;
        cols_ = x.cols;
        const std::size_t needed = rows_ * blocks();
        if constexpr (IntegerArithmetic<A>) grow(codes_, needed);
        has_floats_ = keep_floats || !IntegerArithmetic<A>;
        if (has_floats_) grow(floats_, needed);
        const std::size_t pieces = (blocks() + piece_blocks - 1) / piece_blocks;
        const std::size_t piece = std::min(rows_, panel_rows) * std::min(cols_, piece_blocks * 32);
        const std::size_t grain = (serial_elements + piece - 1) / piece;
        pool.for_each(panels() * pieces, grain,
                      [&](std::size_t i) { prepare(x, i / pieces, i % pieces * piece_blocks); });
    }

    std::size_t rows() const { return rows_; }
    std::size_t cols() const { return cols_; }
    std::size_t panels() const { return (rows_ + panel_rows - 1) / panel_rows; }
    /// Blocks a row is stored in: an even number.
    std::size_t blocks() const { return 2 * groups_of(cols_); }
    bool has_floats() const { return has_floats_; }

    /// First block of a panel, quantised.
    const block* codes(std::size_t panel) const requires IntegerArithmetic<A> {
        return codes_.data() + panel_start(panel, blocks());
    }
    /// First block of a panel, in floats; only if has_floats().
    const float_block* floats(std::size_t panel) const {
        return floats_.data() + panel_start(panel, blocks());
    }

 private:
    template <class T>
    static void grow(aligned_vector<T>& buffer, std::size_t n) {
        if (buffer.size() < n) buffer.resize(n);
    }

    // A panel's blocks [first, first + piece_blocks).
    void prepare(matrix_view<const float> x, std::size_t panel, std::size_t first) {
        const std::size_t rows = rows_in_panel(panel, rows_);
        const std::size_t count = std::min(piece_blocks, blocks() - first);
        const std::size_t begin = std::min(first * 32, cols_);
        const std::size_t cols = std::min(count * 32, cols_ - begin);
        for (std::size_t r = 0; r < rows; ++r) {
            const float* row = x[panel * panel_rows + r] + begin;
            const std::size_t to = panel_start(panel, blocks()) + first * rows + r;
            if constexpr (IntegerArithmetic<A>) {
                NULLM_DISPATCH(level, quantize_row(row, cols, count, A::max_code, codes_.data() + to, rows));
            }
            if (has_floats_) NULLM_DISPATCH(level, copy_row(row, cols, count, floats_.data() + to, rows));
        }
    }

    static constexpr std::size_t piece_blocks = 16;
    static constexpr std::size_t serial_elements = 4096;  // about two microseconds' work

    std::size_t rows_ = 0;
    std::size_t cols_ = 0;
    bool has_floats_ = false;
    aligned_vector<block> codes_;
    aligned_vector<float_block> floats_;
};

}  // namespace nullm::inline NULLM_ABI
