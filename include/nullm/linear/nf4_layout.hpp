#pragma once
// How NF4 weights lie in tiles, and the way there and back. Lossless: codes and scales are moved, never
// changed.

#include <nullm/linear/nf4_codec.hpp>
#include <nullm/linear/tile_layout.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace nullm::inline NULLM_ABI {

// A tile of 16 rows is a sequence of runs, each one scale a row and the codes it belongs to:
//
//     f32 scale[16]
//     u32 word[pieces][4][16]     pieces of 32 elements, as in the nibble tiles of tile_layout.hpp
//
// If rows are whole blocks, a run is a block. If they are not, blocks straddle rows and begin at another
// place in each; a run is then one piece. Pieces that end where a block may are enough when rows are a
// multiple of 32 long. Otherwise a block may end inside a piece, once, and every piece is stored twice: first
// with the scale of its first element and codes of zero from there on where another block begins, then with
// the scale of its last element and codes of zero before.

enum class nf4_rows : std::uint8_t { whole_blocks, whole_pieces, split_pieces };

template <std::size_t Block>
constexpr nf4_rows nf4_rows_of(std::size_t cols) {
    if (cols % Block == 0) return nf4_rows::whole_blocks;
    return cols % 32 == 0 ? nf4_rows::whole_pieces : nf4_rows::split_pieces;
}

/// What a kernel is compiled for.
template <std::size_t Pieces, std::size_t Copies>
struct nf4_format {
    static constexpr std::size_t pieces = Pieces;  // of a run
    static constexpr std::size_t copies = Copies;  // runs that read the same activations
    static constexpr std::size_t run_bytes = tile_rows * (sizeof(float) + Pieces * 4 * sizeof(std::uint32_t));
    // As the nibble formats of tile_layout.hpp name them.
    static constexpr int words = 4;
    static constexpr int max_code = 255;
    static constexpr int offset = 128;  // of the 8-bit integers
    static constexpr bool has_min = false;
};
template <std::size_t Block>
using nf4_whole = nf4_format<Block / 32, 1>;
using nf4_piece = nf4_format<1, 1>;
using nf4_split = nf4_format<1, 2>;

/// Runs of a tile.
template <std::size_t Block>
constexpr std::size_t nf4_runs(std::size_t cols) {
    switch (nf4_rows_of<Block>(cols)) {
        case nf4_rows::whole_blocks:
            return cols / Block;
        case nf4_rows::whole_pieces:
            return cols / 32;
        case nf4_rows::split_pieces:
            break;
    }
    return 2 * (cols / 32 + 1);
}
template <std::size_t Block>
constexpr std::size_t nf4_run_bytes(std::size_t cols) {
    return nf4_rows_of<Block>(cols) == nf4_rows::whole_blocks ? nf4_whole<Block>::run_bytes
                                                              : nf4_piece::run_bytes;
}
template <std::size_t Block>
constexpr std::size_t nf4_tile_bytes(std::size_t cols) {
    return nf4_runs<Block>(cols) * nf4_run_bytes<Block>(cols);
}

/// Lane `lane` of run `run` as it is stored.
template <std::size_t Block>
class nf4_lane {
 public:
    nf4_lane(std::byte* tile, std::size_t cols, std::size_t run, std::size_t lane)
        : at_(tile + run * nf4_run_bytes<Block>(cols) + lane * 4) {}

    void set_scale(float scale) { std::memcpy(at_, &scale, 4); }
    float scale() const { return read_unaligned<float>(at_); }
    /// 32 codes: eight to a word, element b in the low and 4 + b in the high half of byte b.
    void set_codes(std::size_t piece, const std::uint8_t* codes) {
        for (std::size_t w = 0; w < 4; ++w) {
            std::uint32_t low, high;
            std::memcpy(&low, codes + 8 * w, 4);
            std::memcpy(&high, codes + 8 * w + 4, 4);
            const std::uint32_t word = low | high << 4;
            std::memcpy(words(piece) + w * tile_rows * 4, &word, 4);
        }
    }
    unsigned code(std::size_t piece, unsigned element) const {
        const auto word =
            read_unaligned<std::uint32_t>(words(piece) + word_of<nf4_piece>(element) * tile_rows * 4);
        return word >> shift_of<nf4_piece>(element) & 15U;
    }

 private:
    std::byte* words(std::size_t piece) const { return at_ + tile_rows * 4 * (1 + piece * 4); }

    std::byte* at_;
};

/// Writes one tile: rows first .. first + 15 of a rows x cols matrix in NF4 whose blocks run over its flat
/// array. What the matrix does not have gets scales of zero.
template <std::size_t Block>
void nf4_repack_tile(const nf4_view& matrix, std::size_t rows, std::size_t cols, std::size_t first,
                     std::byte* tile) {
    std::memset(tile, 0, nf4_tile_bytes<Block>(cols));
    const nf4_rows layout = nf4_rows_of<Block>(cols);
    constexpr std::size_t whole = nf4_whole<Block>::pieces;
    std::vector<std::uint8_t> codes(round_up(cols, 32));
    for (std::size_t lane = 0; lane < std::min(tile_rows, rows - first); ++lane) {
        const std::size_t start = (first + lane) * cols;
        std::fill(codes.begin(), codes.end(), static_cast<std::uint8_t>(nf4_zero));
        for (std::size_t k = 0; k < cols; ++k) {
            codes[k] = static_cast<std::uint8_t>(nf4_code(matrix.packed, start + k));
        }
        for (std::size_t piece = 0; piece * 32 < cols; ++piece) {
            const std::uint8_t* const own = codes.data() + piece * 32;
            const std::size_t from = start + piece * 32;
            const float scale = matrix.absmax[from / Block];
            if (layout == nf4_rows::whole_blocks) {
                nf4_lane<Block> run(tile, cols, piece / whole, lane);
                run.set_scale(scale);
                run.set_codes(piece % whole, own);
            } else if (layout == nf4_rows::whole_pieces) {
                nf4_lane<Block> run(tile, cols, piece, lane);
                run.set_scale(scale);
                run.set_codes(0, own);
            } else {
                const std::size_t there = std::min<std::size_t>(32, cols - piece * 32);
                const std::size_t before = std::min(there, Block - from % Block);
                std::array<std::uint8_t, 32> part;
                part.fill(static_cast<std::uint8_t>(nf4_zero));
                std::copy_n(own, before, part.begin());
                nf4_lane<Block> run(tile, cols, 2 * piece, lane);
                run.set_scale(scale);
                run.set_codes(0, part.data());
                std::copy_n(own, 32, part.begin());
                std::fill_n(part.begin(), before, static_cast<std::uint8_t>(nf4_zero));
                nf4_lane<Block> next(tile, cols, 2 * piece + 1, lane);
                next.set_scale(before < there ? matrix.absmax[from / Block + 1] : 0.0F);
                next.set_codes(0, part.data());
            }
        }
    }
}

/// Row `row` of the matrix out of the tile that holds it, as floats: the bits nf4_decode gives.
template <std::size_t Block>
void nf4_read_row(const std::byte* tile, std::size_t row, std::size_t cols, std::span<float> out) {
    const nf4_rows layout = nf4_rows_of<Block>(cols);
    constexpr std::size_t whole = nf4_whole<Block>::pieces;
    auto* const bytes = const_cast<std::byte*>(tile);  // only read
    for (std::size_t k = 0; k < cols; ++k) {
        const std::size_t piece = k / 32;
        std::size_t run = piece;
        std::size_t inside = 0;
        if (layout == nf4_rows::whole_blocks) {
            run = piece / whole;
            inside = piece % whole;
        } else if (layout == nf4_rows::split_pieces) {
            const std::size_t start = row * cols;
            run = 2 * piece + ((start + k) / Block != (start + piece * 32) / Block ? 1 : 0);
        }
        const nf4_lane<Block> lane(bytes, cols, run, row % tile_rows);
        out[k] = nf4_codebook[lane.code(inside, static_cast<unsigned>(k % 32))] * lane.scale();
    }
}

}  // namespace nullm::inline NULLM_ABI
