#pragma once
// Tensor bytes of a file into tiles (tile_layout.hpp). Lossless: codes and scales are moved, never changed.

#include <nullm/linear/dequantize.hpp>
#include <nullm/linear/tile_layout.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace nullm::inline NULLM_ABI {

/// Writes the tile holding rows first .. first + 15 (those the tensor has) to `tile`, which is all zero
/// before.
template <class Format>
void repack_quantized_tile(const tensor_view& tensor, std::size_t first, std::byte* tile) {
    const std::size_t lanes = std::min(tile_rows, tensor.rows - first);
    const std::size_t blocks = tensor.cols / 32;
    for (std::size_t lane = 0; lane < lanes; ++lane) {
        const std::byte* block = tensor.row(first + lane).data();
        for (std::size_t b = 0; b < blocks; ++b, block += block_bytes(Format::type)) {
            std::byte* group = tile + b / 2 * group_bytes<Format>;
            const std::size_t half = b % 2;
            std::memcpy(group + (half * tile_rows + lane) * sizeof(f16), block, sizeof(f16));
            if (Format::has_min) {
                std::memcpy(group + ((2 + half) * tile_rows + lane) * sizeof(f16), block + 2, sizeof(f16));
            }
            std::uint32_t words[Format::words] = {};
            for_each_code(Format::type, block, [&](unsigned element, unsigned code) {
                words[word_of<Format>(element)] |= code << shift_of<Format>(element);
            });
            std::byte* codes = group + codes_at<Format> + half * Format::words * tile_rows * 4;
            for (std::size_t w = 0; w < Format::words; ++w) {
                std::memcpy(codes + (w * tile_rows + lane) * 4, &words[w], 4);
            }
        }
    }
}

inline void repack_float_tile(const tensor_view& tensor, std::size_t first, std::byte* tile) {
    const std::size_t lanes = std::min(tile_rows, tensor.rows - first);
    const std::size_t size = block_bytes(tensor.type);
    for (std::size_t lane = 0; lane < lanes; ++lane) {
        const std::byte* row = tensor.row(first + lane).data();
        for (std::size_t k = 0; k < tensor.cols; ++k) {
            std::memcpy(tile + (k * tile_rows + lane) * size, row + k * size, size);
        }
    }
}

/// Writes one tile of tile_bytes(tensor.type, tensor.cols) bytes, all zero before, whatever the format. The
/// tensor's bytes need no alignment.
inline void repack_tile(const tensor_view& tensor, std::size_t tile_index, std::byte* tile) {
    const std::size_t first = tile_index * tile_rows;
    switch (tensor.type) {
        case tensor_type::q4_0:
            return repack_quantized_tile<q4_0_format>(tensor, first, tile);
        case tensor_type::q4_1:
            return repack_quantized_tile<q4_1_format>(tensor, first, tile);
        case tensor_type::q8_0:
            return repack_quantized_tile<q8_0_format>(tensor, first, tile);
        default:
            return repack_float_tile(tensor, first, tile);
    }
}

}  // namespace nullm::inline NULLM_ABI
