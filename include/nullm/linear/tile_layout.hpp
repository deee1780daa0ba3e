#pragma once
// How weights lie in memory once loaded: tiles of 16 output rows, one lane a row, read strictly in sequence.

#include <nullm/core/half.hpp>
#include <nullm/core/tensor.hpp>

#include <cstddef>
#include <cstdint>

namespace nullm::inline NULLM_ABI {

/// Output rows of a tile: the lanes of one 512-bit register.
inline constexpr std::size_t tile_rows = 16;

/// Elements of a row that one group of a quantised tile holds: two file blocks, so that every group starts at
/// a cache line whatever the format. (NF4's block is this long, too.)
inline constexpr std::size_t group_elements = 64;

// A group of a quantised tile, each line 16 lanes wide:
//
//     f16 d[2][16]            scales of the two blocks
//     f16 m[2][16]            Q4_1 only: their offsets
//     u32 word[2][words][16]  the codes
//
// A nibble word holds elements 8w .. 8w+7 of its block: element b in the low, 4 + b in the high nibble of
// byte b. So `word & 0x0F0F0F0F` and `(word >> 4) & 0x0F0F0F0F` are four consecutive elements each, one a
// byte, and
// `(word >> 4 s) & 0x000F000F`, s = 0..3, are the pairs (0,2) (4,6) (1,3) (5,7). A byte word holds elements
// 4w .. 4w+3; `word & 0x00FF00FF` and `(word >> 8) & 0x00FF00FF` are the pairs (0,2) (1,3). Activations are
// stored to match: 8-bit codes in order, 16-bit codes in the order 0,2,1,3 of every four.
//
// An odd last block is followed by one with scale, offset and codes of zero; so are missing rows.

struct q4_0_format {
    static constexpr tensor_type type = tensor_type::q4_0;
    static constexpr int words = 4;      // u32 words a block and row
    static constexpr int max_code = 15;  // codes are 0 .. max_code
    static constexpr int offset = 8;     // w = d (code - offset)
    static constexpr bool has_min = false;
};
struct q4_1_format {
    static constexpr tensor_type type = tensor_type::q4_1;
    static constexpr int words = 4;
    static constexpr int max_code = 15;
    static constexpr int offset = 0;
    static constexpr bool has_min = true;  // w = d code + m
};
struct q8_0_format {
    static constexpr tensor_type type = tensor_type::q8_0;
    static constexpr int words = 8;
    static constexpr int max_code = 255;  // the file's signed byte plus 128: vpdpbusd wants one side unsigned
    static constexpr int offset = 128;
    static constexpr bool has_min = false;
};

/// Bytes of one group of a quantised tile. A multiple of 64.
template <class Format>
inline constexpr std::size_t group_bytes = 2 * tile_rows*(sizeof(f16) * (Format::has_min ? 2 : 1) +
                                                          sizeof(std::uint32_t) * Format::words);

/// Where the codes of a group start.
template <class Format>
inline constexpr std::size_t codes_at = 2 * tile_rows * sizeof(f16) * (Format::has_min ? 2 : 1);

/// Bit position of element `element` of a block within its word, and which word that is.
template <class Format>
constexpr unsigned shift_of(unsigned element) {
    if (Format::words == 8) return 8 * (element % 4);
    return 8 * (element % 4) + (element % 8 < 4 ? 0 : 4);
}
template <class Format>
constexpr unsigned word_of(unsigned element) {
    return Format::words == 8 ? element / 4 : element / 8;
}

// A tile of a float tensor is [cols][16] elements of the tensor's own type, its end padded to a cache line.

constexpr std::size_t groups_of(std::size_t cols) {
    return cols / group_elements + (cols % group_elements != 0);
}

constexpr std::size_t tiles_of(std::size_t rows) {
    return rows / tile_rows + (rows % tile_rows != 0);
}

constexpr std::size_t tile_bytes(tensor_type type, std::size_t cols) {
    switch (type) {
        case tensor_type::f32:
            return cols * tile_rows * 4;
        case tensor_type::f16:
        case tensor_type::bf16:
            return (cols + cols % 2) * tile_rows * 2;
        case tensor_type::q4_0:
            return groups_of(cols) * group_bytes<q4_0_format>;
        case tensor_type::q4_1:
            return groups_of(cols) * group_bytes<q4_1_format>;
        case tensor_type::q8_0:
            return groups_of(cols) * group_bytes<q8_0_format>;
        case tensor_type::nf4:
            break;  // tiles of its own: nf4_tile_bytes
    }
    return 0;
}

}  // namespace nullm::inline NULLM_ABI
