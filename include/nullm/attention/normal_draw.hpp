#pragma once
// Normal draws with the same bits everywhere: the inverse of the normal distribution function in explicit
// arithmetic.

#include <nullm/core/random.hpp>

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

namespace nullm::inline NULLM_ABI {

/// Natural logarithm of a normal positive double within 1e-15 + 1e-15 |log x|. The C library's may differ
/// from one to the next in its last bit; sums of explicit fma do not.
inline double portable_log(double x) {
    const auto bits = std::bit_cast<std::uint64_t>(x);
    double exponent = static_cast<double>(bits >> 52U) - 1023;
    double m = std::bit_cast<double>((bits & 0xFFFFFFFFFFFFFULL) | 0x3FF0000000000000ULL);  // in [1, 2)
    if (m > 1.4142135623730951) {
        m *= 0.5;
        exponent += 1;
    }
    // log m = 2 artanh s, s = (m - 1) / (m + 1), |s| < 0.172: s^25 / 25 is below 1e-20.
    const double s = (m - 1) / (m + 1);
    const double square = s * s;
    double sum = 1.0 / 23;
    for (int k = 21; k > 0; k -= 2) sum = __builtin_fma(sum, square, 1.0 / k);
    return __builtin_fma(exponent, 0.69314718055994531, 2 * s * sum);
}

/// The x below which a standard normal variable falls with probability p in (0, 1): Wichura's PPND7 (Applied
/// Statistics 37, 1988, algorithm AS 241), good to about 7 digits.
inline double normal_quantile(double p) {
    const auto fma = [](double a, double b, double c) { return __builtin_fma(a, b, c); };
    const double q = p - 0.5;
    if (std::fabs(q) <= 0.425) {
        const double r = fma(-q, q, 0.180625);
        const double above = fma(fma(fma(59.109374720, r, 159.29113202), r, 50.434271938), r, 3.3871327179);
        const double below = fma(fma(fma(67.187563600, r, 78.757757664), r, 17.895169469), r, 1.0);
        return q * above / below;
    }
    double r = std::sqrt(-portable_log(q < 0 ? p : 1 - p));
    double x = 0;
    if (r <= 5) {
        r -= 1.6;
        x = fma(fma(fma(0.17023821103, r, 1.3067284816), r, 2.7568153900), r, 1.4234372777) /
            fma(fma(0.12021132975, r, 0.73700164250), r, 1.0);
    } else {
        r -= 5;
        x = fma(fma(fma(0.017337203997, r, 0.42868294337), r, 3.0812263860), r, 6.6579051150) /
            fma(fma(0.012258202635, r, 0.24197894225), r, 1.0);
    }
    return q < 0 ? -x : x;
}

/// Four independent standard normal draws: numbers 4 * block .. 4 * block + 3 of the key's sequence.
inline std::array<float, 4> draw_normals(const draw_key& key, std::uint32_t block) {
    const auto bits = draw_block(key, block);
    std::array<float, 4> x{};
    for (std::size_t i = 0; i < 4; ++i) {
        x[i] = static_cast<float>(normal_quantile((static_cast<double>(bits[i]) + 0.5) * 0x1p-32));
    }
    return x;
}

}  // namespace nullm::inline NULLM_ABI
