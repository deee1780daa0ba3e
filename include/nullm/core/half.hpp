#pragma once
// 16-bit floats as storage: IEEE binary16 and bfloat16. Arithmetic is always done in float.

#include <nullm/core/abi.hpp>

#include <bit>
#include <cstdint>
#include <type_traits>

namespace nullm::inline NULLM_ABI {

/// IEEE 754 binary16. Conversions round to nearest even and agree bit for bit with vcvtps2ph / vcvtph2ps.
struct f16 {
    std::uint16_t bits = 0;
    friend bool operator==(f16, f16) = default;
};

/// The upper half of a float32. Conversion rounds to nearest even; NaN stays NaN.
struct bf16 {
    std::uint16_t bits = 0;
    friend bool operator==(bf16, bf16) = default;
};

constexpr float to_float(float x) { return x; }

constexpr float to_float(bf16 x) { return std::bit_cast<float>(static_cast<std::uint32_t>(x.bits) << 16); }

constexpr float to_float(f16 x) {
    const std::uint32_t sign = static_cast<std::uint32_t>(x.bits & 0x8000U) << 16;
    const std::uint32_t exponent = (x.bits >> 10) & 0x1FU;
    const std::uint32_t fraction = x.bits & 0x3FFU;
    if (exponent == 31) {  // infinity, or NaN made quiet as the hardware does
        return std::bit_cast<float>(sign | 0x7F800000U | (fraction << 13) | (fraction != 0 ? 0x400000U : 0U));
    }
    if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (fraction << 13));
    const float magnitude = static_cast<float>(fraction) * 0x1p-24F;  // subnormal: exact
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
}

constexpr bf16 to_bf16(float x) {
    const auto u = std::bit_cast<std::uint32_t>(x);
    if ((u & 0x7FFFFFFFU) > 0x7F800000U) return {static_cast<std::uint16_t>((u >> 16) | 0x40U)};
    return {static_cast<std::uint16_t>((u + 0x7FFFU + ((u >> 16) & 1U)) >> 16)};
}

constexpr f16 to_f16(float x) {
    const auto u = std::bit_cast<std::uint32_t>(x);
    const std::uint32_t sign = (u >> 16) & 0x8000U;
    const std::uint32_t magnitude = u & 0x7FFFFFFFU;
    std::uint32_t half = 0;
    if (magnitude > 0x7F800000U) {
        half = 0x7E00U | ((magnitude >> 13) & 0x3FFU);
    } else if (magnitude >= 0x47800000U) {  // 2^16 and above
        half = 0x7C00U;
    } else if (magnitude >= 0x38800000U) {  // 2^-14 and above: normal; a carry may reach infinity, as it should
        half = (magnitude - 0x38000000U + 0xFFFU + ((magnitude >> 13) & 1U)) >> 13;
    } else if (magnitude >= 0x33000000U) {  // 2^-25 and above: subnormal
        const std::uint32_t shift = 126U - (magnitude >> 23);
        const std::uint32_t fraction = (magnitude & 0x7FFFFFU) | 0x800000U;
        half = fraction >> shift;
        const std::uint32_t rest = fraction & ((1U << shift) - 1U);
        const std::uint32_t tie = 1U << (shift - 1U);
        half += (rest > tie || (rest == tie && (half & 1U) != 0)) ? 1U : 0U;
    }
    return {static_cast<std::uint16_t>(sign | half)};
}

/// Rounds x to the storage type T (float, f16 or bf16).
template <class T>
constexpr T from_float(float x) {
    if constexpr (std::is_same_v<T, f16>) {
        return to_f16(x);
    } else if constexpr (std::is_same_v<T, bf16>) {
        return to_bf16(x);
    } else {
        return x;
    }
}

}  // namespace nullm::inline NULLM_ABI
