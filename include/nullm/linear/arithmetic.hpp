#pragma once
// How a product of weights and activations is computed: a type, never chosen by batch size.

#include <nullm/core/abi.hpp>

#include <concepts>
#include <cstdint>
#include <string_view>

namespace nullm::inline NULLM_ABI {

/// Reference: weights are dequantised exactly, products are float fused multiply-adds.
struct f32 {
    static constexpr std::string_view name = "f32";
};

/// Activations become 16-bit integers (scale max|x| / 32767 for every 32 of a row), dot products are exact
/// integers. Tensors the file stores as floats are still multiplied in float.
struct i16 {
    static constexpr std::string_view name = "i16";
    using code = std::int16_t;
    static constexpr int max_code = 32767;
};

/// As i16 with 8-bit activations (scale max|x| / 127): the precision llama.cpp computes its quantised formats
/// in.
struct i8 {
    static constexpr std::string_view name = "i8";
    using code = std::int8_t;
    static constexpr int max_code = 127;
};

template <class A>
concept Arithmetic = std::same_as<A, f32> || std::same_as<A, i16> || std::same_as<A, i8>;

/// Whether an arithmetic quantises its activations.
template <class A>
concept IntegerArithmetic = Arithmetic<A> && requires {
    typename A::code;
};

}  // namespace nullm::inline NULLM_ABI
