#pragma once
// Matrices in tiles, stacked by rows, and their product with a batch: what all linear layers share.

#include <nullm/core/error.hpp>
#include <nullm/core/matrix_view.hpp>
#include <nullm/core/thread_pool.hpp>
#include <nullm/linear/arithmetic.hpp>
#include <nullm/linear/kernels.hpp>
#include <nullm/linear/prepared_rows.hpp>
#include <nullm/linear/weight_arena.hpp>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// One matrix of a stack: tiles of `tile_rows` rows, and the kernel that multiplies them, by floats or by the
/// arithmetic's quantised blocks, never both.
template <Arithmetic A>
struct tiled_part {
    using block = typename prepared_rows<A>::block;
    std::size_t rows = 0;
    std::size_t stride = 0;  // bytes of a tile
    std::size_t groups = 0;  // of a tile, as its kernel counts them
    tile_kernel<float_block> by_floats = nullptr;
    tile_kernel<block> by_codes = nullptr;
    // Where it lies in the stack; push() writes them.
    std::size_t tiles = 0;
    std::size_t first_row = 0;
    std::size_t first_tile = 0;
    std::size_t at = 0;  // bytes from the start of the storage
};

/// Parts of equal width stacked by rows. Push them, place the storage, fill the tiles; then only apply().
template <Arithmetic A>
class tile_stack {
 public:
    using input = prepared_rows<A>;

    tile_stack() = default;
    /// `name` appears in errors and outlives the stack.
    tile_stack(std::string_view name, std::size_t cols) : name_(name), in_(cols) {}

    void push(tiled_part<A> part) {
        part.tiles = tiles_of(part.rows);
        part.first_row = out_;
        part.first_tile = tiles_;
        part.at = size_;
        out_ += part.rows;
        tiles_ += part.tiles;
        size_ += part.tiles * part.stride;
        reads_floats_ = reads_floats_ || part.by_floats != nullptr;
        parts_.push_back(part);
    }
    /// Bytes the parts pushed so far need.
    std::size_t size() const { return size_; }
    void place(weight_bytes storage) { weights_ = std::move(storage); }
    std::byte* tile(const tiled_part<A>& part, std::size_t index) const {
        return weights_.first.get() + part.at + index * part.stride;
    }
    /// Calls fill(index, tile) for every tile of a part, on the pool.
    template <class Fill>
    void fill(const tiled_part<A>& part, thread_pool& pool, Fill&& fill_tile) {
        pool.for_each_range(part.tiles, 8, [&](std::size_t first, std::size_t last) {
            for (std::size_t t = first; t < last; ++t) fill_tile(t, tile(part, t));
        });
    }

    const std::vector<tiled_part<A>>& parts() const { return parts_; }
    std::size_t in() const { return in_; }
    std::size_t out() const { return out_; }
    std::size_t bytes() const { return weights_.size; }
    bool reads_floats() const { return reads_floats_; }

    /// y (rows of x) x out() = x W^T. Threads share out tiles, so sums are never split. Allocates nothing.
    /// Throws error if x or y does not fit.
    void apply(const input& x, matrix_view<float> y, thread_pool& pool) const {
        check_shapes(x, y);
        // Rows beyond a cache's worth are taken in turns, so that a turn's activations stay close while tiles
        // pass by.
        const std::size_t turn = std::max<std::size_t>(1, turn_blocks / x.blocks() / panel_rows);
        const std::size_t turns = (x.panels() + turn - 1) / turn;
        const std::size_t jobs = turns * tiles_;
        // Threads meet at the end of every product: a range is as short as claiming it allows, half a
        // microsecond.
        const std::size_t work = x.blocks() * std::max<std::size_t>(3, x.rows());
        const std::size_t few = std::clamp<std::size_t>(range_work / work, 1, 8);
        const std::size_t many = jobs >= 64 * pool.size() ? neighbours : 2;
        const std::size_t grain = x.panels() > 8 ? many : few;
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
    /// Blocks times rows of a range, a row of weights that comes from memory counting as three.
    static constexpr std::size_t range_work = 200;
    /// Tiles that take a panel one after the other, while it is in the innermost cache; their outputs lie
    /// side by side, too.
    static constexpr std::size_t neighbours = 4;

    void check_shapes(const input& x, const matrix_view<float>& y) const {
        const auto where = [&] { return std::string(name_) + "::apply"; };
        if (x.cols() != in_) {
            throw error(where(), std::to_string(in_) + " columns of input", std::to_string(x.cols()));
        }
        if (y.rows != x.rows() || y.cols != out_) {
            throw error(where(), "an output of " + std::to_string(x.rows()) + " x " + std::to_string(out_),
                        std::to_string(y.rows) + " x " + std::to_string(y.cols));
        }
        if (reads_floats_ && !x.has_floats()) {
            throw error(where(), "an input that keeps floats (a part is stored as floats)", "none kept");
        }
    }

    /// Tiles [first, last) times panels [begin, end).
    void run(const input& x, const matrix_view<float>& y, std::size_t first, std::size_t last,
             std::size_t begin, std::size_t end) const {
        for (const tiled_part<A>& p : parts_) {
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
    void run_tile(const tiled_part<A>& p, tile_kernel<Block> kernel, std::size_t index, const Block* x,
                  std::size_t panel, const matrix_view<float>& y) const {
        const std::size_t rows = rows_in_panel(panel, y.rows);
        kernel({.tile = tile(p, index),
                .groups = p.groups,
                .cols = in_,
                .x = x,
                .x_stride = rows,
                .y = y[panel * panel_rows] + p.first_row + index * tile_rows,
                .y_stride = y.stride,
                .lanes = std::min(tile_rows, p.rows - index * tile_rows)},
               rows);
    }

    std::string_view name_;
    std::size_t in_ = 0;
    std::size_t out_ = 0;
    std::size_t tiles_ = 0;
    std::size_t size_ = 0;
    bool reads_floats_ = false;
    std::vector<tiled_part<A>> parts_;
    weight_bytes weights_;
};

}  // namespace nullm::inline NULLM_ABI
