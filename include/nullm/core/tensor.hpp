#pragma once
// A named matrix inside a file: the common ground of the readers in io/ and the layers in linear/.

#include <nullm/core/abi.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace nullm::inline NULLM_ABI {

/// Storage formats the library computes with. Those named q are GGUF's: blocks of 32 consecutive elements of a row.
enum class tensor_type : std::uint8_t {
    f32,
    f16,
    bf16,
    q4_0,  // 18 bytes: f16 d, 16 bytes of nibbles (low: elements 0..15, high: 16..31);  w = d (q - 8)
    q4_1,  // 20 bytes: f16 d, f16 m, 16 bytes of nibbles;                               w = d q + m
    q8_0,  // 34 bytes: f16 d, 32 int8;                                                  w = d q
    nf4,   // bitsandbytes': a byte of two codes, the first in the high half, the scales apart; w = codebook[q] scale
};

constexpr std::string_view name_of(tensor_type type) {
    constexpr std::string_view names[] = {"F32", "F16", "BF16", "Q4_0", "Q4_1", "Q8_0", "NF4"};
    return names[static_cast<std::size_t>(type)];
}

/// Elements a block of bytes holds; a row's length is a multiple of it.
constexpr std::size_t block_elements(tensor_type type) {
    constexpr std::size_t elements[] = {1, 1, 1, 32, 32, 32, 2};
    return elements[static_cast<std::size_t>(type)];
}

constexpr std::size_t block_bytes(tensor_type type) {
    constexpr std::size_t bytes[] = {4, 2, 2, 18, 20, 34, 1};
    return bytes[static_cast<std::size_t>(type)];
}

/// Elements of an NF4 tensor that share a scale, counted over the flat array: those of one may lie in two rows.
inline constexpr std::size_t nf4_scale_block = 64;

/// rows x cols, row-major, in the file's own bytes (little-endian, no alignment promised). A vector has one row.
/// Whoever made the view checked that bytes.size() == rows * cols / block_elements * block_bytes.
struct tensor_view {
    std::string_view name;
    tensor_type type = tensor_type::f32;
    std::size_t rows = 0;
    std::size_t cols = 0;
    std::span<const std::byte> bytes;
    std::span<const float> scales = {};  // of NF4 alone: one for every nf4_scale_block elements, the last begun one too

    std::size_t row_bytes() const { return cols / block_elements(type) * block_bytes(type); }
    std::span<const std::byte> row(std::size_t r) const { return bytes.subspan(r * row_bytes(), row_bytes()); }
};

}  // namespace nullm::inline NULLM_ABI
