#pragma once
// The element types of safetensors files: their names and sizes (safetensors 0.8.0).

#include <nullm/core/abi.hpp>
#include <nullm/core/tensor.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace nullm::inline NULLM_ABI {

static_assert(std::endian::native == std::endian::little,
              "nullm: weights are used as the file has them, little-endian");

/// All element types of the format. The library computes with f32, f16 and bf16 (see storage_of) and reads U8
/// as packed NF4; the others are known so that a file that has them can be read around them.
enum class safetensors_dtype : std::uint8_t {
    boolean,
    f4,
    f6_e2m3,
    f6_e3m2,
    u8,
    i8,
    f8_e5m2,
    f8_e4m3,
    f8_e8m0,
    f8_e4m3fnuz,
    f8_e5m2fnuz,
    i16,
    u16,
    f16,
    bf16,
    i32,
    u32,
    f32,
    c64,
    f64,
    i64,
    u64,
};

inline constexpr std::size_t safetensors_dtype_count = 22;

/// The name the file spells, in capitals.
constexpr std::string_view name_of(safetensors_dtype dtype) {
    constexpr std::string_view names[safetensors_dtype_count] = {
        "BOOL",    "F4",          "F6_E2M3",     "F6_E3M2", "U8",  "I8",  "F8_E5M2", "F8_E4M3",
        "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "I16",     "U16", "F16", "BF16",    "I32",
        "U32",     "F32",         "C64",         "F64",     "I64", "U64"};
    return names[static_cast<std::size_t>(dtype)];
}

/// Bits of one element; fewer than eight are packed without gaps.
constexpr std::size_t bits_of(safetensors_dtype dtype) {
    constexpr std::uint8_t bits[safetensors_dtype_count] = {8,  4,  6,  6,  8,  8,  8,  8,  8,  8,  8,
                                                            16, 16, 16, 16, 32, 32, 32, 64, 64, 64, 64};
    return bits[static_cast<std::size_t>(dtype)];
}

/// The type of that name, nothing for another name; case matters.
constexpr std::optional<safetensors_dtype> safetensors_dtype_of(std::string_view name) {
    for (std::size_t i = 0; i < safetensors_dtype_count; ++i) {
        const auto dtype = static_cast<safetensors_dtype>(i);
        if (name == name_of(dtype)) return dtype;
    }
    return std::nullopt;
}

/// The storage format the library computes with, for F32, F16 and BF16; nothing for the others.
constexpr std::optional<tensor_type> storage_of(safetensors_dtype dtype) {
    if (dtype == safetensors_dtype::f32) return tensor_type::f32;
    if (dtype == safetensors_dtype::f16) return tensor_type::f16;
    if (dtype == safetensors_dtype::bf16) return tensor_type::bf16;
    return std::nullopt;
}

/// Limits of the reader and of the writer. The first is the format's own.
struct safetensors_limits {
    static constexpr std::size_t header_bytes = 100'000'000;
    static constexpr std::size_t nesting = 64;     // of JSON in fields that are ignored
    static constexpr std::size_t dimensions = 64;  // of a tensor
};

}  // namespace nullm::inline NULLM_ABI
