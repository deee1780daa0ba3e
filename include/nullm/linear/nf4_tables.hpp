#pragma once
// The sixteen values of NF4, what separates them, and their integer forms.

#include <nullm/core/abi.hpp>
#include <nullm/core/nf4_codebook.hpp>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace nullm::inline NULLM_ABI {

/// The NormalFloat4 codebook (Dettmers et al. 2023, "QLoRA", appendix E), to the bit as bitsandbytes 0.50 has
/// it: ascending, the ends -1 and 1, code 7 zero. A weight is codebook[code] * absmax of its block.
inline constexpr std::array<float, 16> nf4_codebook = [] {
    std::array<float, 16> values{};
    for (std::size_t i = 0; i < 16; ++i) values[i] = std::bit_cast<float>(nf4_codebook_bits[i]);
    return values;
}();

/// Boundary i lies between the values i and i + 1, half way: the sum rounded to float, the half exact.
inline constexpr std::array<float, 15> nf4_boundaries = [] {
    std::array<float, 15> middle{};
    for (std::size_t i = 0; i < 15; ++i) middle[i] = (nf4_codebook[i] + nf4_codebook[i + 1]) * 0.5F;
    return middle;
}();

/// Code of 0.
inline constexpr unsigned nf4_zero = 7;

/// The codebook in integers, for activations of type Code: value = integer / scale, about. The scales are
/// those that hit the values best in the mean of normally distributed weights (each code weighed with how
/// often it falls in blocks of 64), below what the arithmetic has room for.
template <class Code>
struct nf4_integers;

/// Relative RMS error 1.9e-4. The largest dot product of 32, 32 * 1722 * 32767, is below 2^31.
template <>
struct nf4_integers<std::int16_t> {
    static constexpr float scale = 1722.092F;
    static constexpr std::array<std::int16_t, 16> codes = {-1722, -1199, -904, -680, -490, -318, -157, 0,
                                                           137,   277,   424,  582,  759,  969,  1245, 1722};
};

/// Relative RMS error 4.4e-3. Stored plus 128, because vpdpbusd wants one side unsigned.
template <>
struct nf4_integers<std::int8_t> {
    static constexpr float scale = 124.116F;
    static constexpr std::array<std::int8_t, 16> codes = {-124, -86, -65, -49, -35, -23, -11, 0,
                                                          10,   20,  31,  42,  55,  70,  90,  124};
};

}  // namespace nullm::inline NULLM_ABI
