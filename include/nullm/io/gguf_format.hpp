#pragma once
// The facts of the GGUF format: its numbers, their names and sizes (ggml docs/gguf.md, versions 2 and 3).

#include <nullm/core/abi.hpp>
#include <nullm/core/tensor.hpp>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nullm::inline NULLM_ABI {

static_assert(std::endian::native == std::endian::little,
              "nullm: weights are used as the file has them, little-endian");

/// Types of metadata values.
enum class gguf_type : std::uint32_t {
    u8,
    i8,
    u16,
    i16,
    u32,
    i32,
    f32,
    boolean,
    string,
    array,
    u64,
    i64,
    f64
};

inline constexpr std::uint32_t gguf_type_count = 13;

constexpr std::string_view name_of(gguf_type type) {
    constexpr std::string_view names[gguf_type_count] = {
        "u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64"};
    return names[static_cast<std::size_t>(type)];
}

/// Bytes of a number or bool; 0 for strings and arrays, whose size is in the file.
constexpr std::size_t fixed_bytes(gguf_type type) {
    constexpr std::size_t bytes[gguf_type_count] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return bytes[static_cast<std::size_t>(type)];
}

/// Fewest bytes a value can take: what bounds a count before anything is read or allocated. A string is at
/// least its length, an array its element type and count.
constexpr std::size_t least_bytes(gguf_type type) {
    if (type == gguf_type::string) return 8;
    if (type == gguf_type::array) return 12;
    return fixed_bytes(type);
}

/// Limits of this reader, far above any real model. They bound what a hostile file can make us allocate.
struct gguf_limits {
    static constexpr std::uint64_t entries = 65536;       // metadata keys
    static constexpr std::uint64_t tensors = 65536;       // a llama of 1024 layers has 9219
    static constexpr std::uint64_t name_bytes = 65536;    // a key or a tensor name
    static constexpr std::uint64_t alignment = 1U << 20;  // bytes; the format's default is 32
    static constexpr int array_depth = 4;                 // arrays of arrays
    static constexpr std::uint32_t dimensions = 4;
};

/// The storage format behind ggml's number, or nothing if the library does not compute with it.
constexpr std::optional<tensor_type> tensor_type_of_ggml(std::uint32_t number) {
    switch (number) {
        case 0:
            return tensor_type::f32;
        case 1:
            return tensor_type::f16;
        case 2:
            return tensor_type::q4_0;
        case 3:
            return tensor_type::q4_1;
        case 8:
            return tensor_type::q8_0;
        case 30:
            return tensor_type::bf16;
        default:
            return std::nullopt;
    }
}

/// What ggml calls its tensor type (enum ggml_type), so that a refusal names what the file has.
inline std::string ggml_type_name(std::uint32_t number) {
    constexpr std::array<std::string_view, 43> names = {
        "F32",      "F16",      "Q4_0",    "Q4_1",  "Q4_2",       "Q4_3",       "Q5_0",       "Q5_1",
        "Q8_0",     "Q8_1",     "Q2_K",    "Q3_K",  "Q4_K",       "Q5_K",       "Q6_K",       "Q8_K",
        "IQ2_XXS",  "IQ2_XS",   "IQ3_XXS", "IQ1_S", "IQ4_NL",     "IQ3_S",      "IQ2_S",      "IQ4_XS",
        "I8",       "I16",      "I32",     "I64",   "F64",        "IQ1_M",      "BF16",       "Q4_0_4_4",
        "Q4_0_4_8", "Q4_0_8_8", "TQ1_0",   "TQ2_0", "IQ4_NL_4_4", "IQ4_NL_4_8", "IQ4_NL_8_8", "MXFP4",
        "NVFP4",    "Q1_0",     "Q2_0"};
    if (number < names.size()) return std::string(names[number]);
    return "the unknown type number " + std::to_string(number);
}

}  // namespace nullm::inline NULLM_ABI
