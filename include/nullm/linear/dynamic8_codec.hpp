#pragma once
// The 8-bit "dynamic" code bitsandbytes stores NF4's scales in (double quantisation), to the bit.

#include <nullm/core/error.hpp>
#include <nullm/core/simd/lanes_scalar.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// The 256 values, ascending: the means of neighbours of 2^i + 1 points from 0.1 to 1, times 10^(i - 6), for
/// i = 0 .. 6 and both signs; 0 (value 127) and 1 (value 255). bitsandbytes' create_dynamic_map.
inline std::array<float, 256> dynamic8_map() {
    constexpr float powers[7] = {1e-6F, 1e-5F, 1e-4F, 1e-3F, 1e-2F, 1e-1F, 1.0F};
    std::array<float, 256> map{};
    std::size_t n = 0;
    for (std::size_t i = 0; i < 7; ++i) {
        const std::size_t intervals = std::size_t{1} << i;
        const float step = (1.0F - 0.1F) / static_cast<float>(intervals);
        // As torch.linspace: the second half is counted from the end, one rounding a point (a float times a
        // small integer is exact in double).
        const auto point = [&](std::size_t k) {
            return k < (intervals + 1) / 2
                       ? static_cast<float>(double{0.1F} + static_cast<double>(step) * static_cast<double>(k))
                       : static_cast<float>(1.0 -
                                            static_cast<double>(step) * static_cast<double>(intervals - k));
        };
        for (std::size_t k = 0; k < intervals; ++k) {
            const float value = powers[i] * ((point(k) + point(k + 1)) * 0.5F);
            map[n++] = value;
            map[n++] = -value;
        }
    }
    map[n++] = 0.0F;
    map[n++] = 1.0F;
    std::sort(map.begin(), map.end());
    return map;
}

/// Numbers in 8-bit codes: number i is map[code i] * absmax[i / block].
struct dynamic8_view {
    std::span<const std::byte> codes;
    std::span<const float> absmax;
    std::span<const float> map;
    std::size_t block = 256;
};

/// The same, owned.
struct dynamic8_data {
    std::vector<std::byte> codes;
    std::vector<float> absmax;
    std::array<float, 256> map{};
    std::size_t block = 256;

    dynamic8_view view() const { return {codes, absmax, map, block}; }
};

/// Throws error if the block is not a power of two, or the codes, scales and values are not as many as they
/// should be.
inline void check_dynamic8(const dynamic8_view& data) {
    if (!std::has_single_bit(data.block)) {
        throw error("dynamic8", "a block of a power of two", std::to_string(data.block));
    }
    const std::size_t blocks = data.codes.size() / data.block + (data.codes.size() % data.block != 0);
    if (data.absmax.size() != blocks) {
        throw error("dynamic8", std::to_string(blocks) + " scales", std::to_string(data.absmax.size()));
    }
    if (data.map.size() != 256) throw error("dynamic8", "256 values", std::to_string(data.map.size()));
}

/// Writes number i as map[code] * absmax + offset, the product and the sum each rounded: bitsandbytes'
/// dequantize_blockwise, and how it adds the mean of the scales again. Throws error if sizes do not fit.
inline void dynamic8_decode(const dynamic8_view& data, float offset, std::span<float> out) {
    check_dynamic8(data);
    if (out.size() != data.codes.size()) {
        throw error("dynamic8_decode", "room for " + std::to_string(data.codes.size()) + " numbers",
                    std::to_string(out.size()));
    }
    for (std::size_t i = 0; i < out.size(); ++i) {
        out[i] = scalar::rounded(data.map[std::to_integer<std::size_t>(data.codes[i])] *
                                 data.absmax[i / data.block]) +
                 offset;
    }
}

/// Encodes as bitsandbytes 0.50 does on x86, which is by a table of 65536 entries and not always to the
/// nearest value: codes 124 to 130 never occur, zero becomes 131. Holds the table; build one, use it often.
class dynamic8_encoder {
 public:
    /// Builds the table for the usual map: about a millisecond.
    dynamic8_encoder() : map_(dynamic8_map()), table_(65536) {
        std::size_t code = 0;
        for (std::size_t k = 0; k < table_.size(); ++k) {
            const float value = 2.0F * static_cast<float>(k) / 65535.0F - 1.0F;
            while (code < 255 && (map_[code] + map_[code + 1]) * 0.5F < value) ++code;
            table_[k] = static_cast<std::byte>(code);
        }
    }

    /// Any number of finite numbers. A block of zeros becomes codes 0 with a scale of 0. Throws error if a
    /// number is not finite (what the original stores then is not defined), or the block is not a power of
    /// two.
    dynamic8_data encode(std::span<const float> x, std::size_t block = 256) const {
        if (!std::has_single_bit(block)) {
            throw error("dynamic8_encoder", "a block of a power of two", std::to_string(block));
        }
        dynamic8_data data{.codes = {}, .absmax = {}, .map = map_, .block = block};
        data.codes.resize(x.size());
        for (std::size_t from = 0; from < x.size(); from += std::min(block, x.size() - from)) {
            const auto part = x.subspan(from, std::min(block, x.size() - from));
            float largest = 0.0F;
            for (const float v : part) {
                if (!std::isfinite(v)) throw error("dynamic8_encoder", "finite numbers", std::to_string(v));
                largest = std::max(largest, std::fabs(v));
            }
            data.absmax.push_back(largest);
            if (largest == 0.0F) continue;
            const float inverse = 1.0F / largest;
            for (std::size_t i = 0; i < part.size(); ++i) {
                data.codes[from + i] = table_[index_of(part[i], inverse)];
            }
        }
        return data;
    }

 private:
    /// Fused as in the original's binary (for every float from -1 to 1 the separate roundings give the same
    /// index). Below about 3e-39 the inverse is infinite and zero gives NaN: the lowest index, as x86
    /// converts it.
    static std::size_t index_of(float x, float inverse) {
        const float scaled = scalar::rounded(x * inverse);
        const float v = scaled > -1.0F ? std::min(scaled, 1.0F) : -1.0F;
        const float half = scalar::rounded((v + 1.0F) * 0.5F);
        return static_cast<std::size_t>(__builtin_fmaf(half, 65535.0F, 0.5F)) & 0xFFFFU;
    }

    std::array<float, 256> map_;
    std::vector<std::byte> table_;
};

}  // namespace nullm::inline NULLM_ABI
