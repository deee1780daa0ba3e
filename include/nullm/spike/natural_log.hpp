#pragma once
// ln x with the same bits on every machine.

#include <nullm/core/abi.hpp>

#include <bit>
#include <cmath>
#include <cstdint>

namespace nullm::inline NULLM_ABI {

/// ln x for a normal, finite x > 0, within 2 ulp of the larger of 1 and the result: x = 2^e m with m in [2/3,
/// 4/3), and ln m = 2 artanh((m - 1) / (m + 1)) by its series up to the ninth power. Library functions may
/// differ in the last bit between processors.
inline float natural_log(float x) {
    const auto bits = std::bit_cast<std::uint32_t>(x);
    const auto exponent = static_cast<std::int32_t>(bits - 0x3F2AAAABU) >> 23;  // 0x3F2AAAAB is 2/3
    const auto m = std::bit_cast<float>(bits - (static_cast<std::uint32_t>(exponent) << 23));
    const float s = (m - 1.0F) / (m + 1.0F);
    const float square = s * s;
    float sum = std::fmaf(square, 1.0F / 9.0F, 1.0F / 7.0F);
    sum = std::fmaf(square, sum, 1.0F / 5.0F);
    sum = std::fmaf(square, sum, 1.0F / 3.0F);
    sum = std::fmaf(square, sum, 1.0F);
    return std::fmaf(static_cast<float>(exponent), 0.693147181F, 2.0F * s * sum);
}

}  // namespace nullm::inline NULLM_ABI
