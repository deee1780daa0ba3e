#pragma once
// How many keys a query should read, and the threshold that makes it so.

#include <nullm/core/abi.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace nullm::inline NULLM_ABI {

/// Keys to read of those that may be chosen, in the mean: a share of them, and never fewer than some. The error of
/// a sum falls with the root of the number of keys read, whatever share of all they are; so beyond `linear_until`
/// keys the number grows with the root of theirs.
struct key_budget {
    float share = 0.04F;
    std::size_t least = 128;
    std::size_t linear_until = 8192;

    float of(std::size_t keys) const {
        const auto n = static_cast<float>(keys);
        const auto linear = static_cast<float>(linear_until);
        return std::max(share * (n <= linear ? n : std::sqrt(n * linear)), static_cast<float>(least));
    }
};

/// Scores s, counted in steps of an eighth from 0 down to -32, to find the t in [-32, 0] for which the sum of
/// min(1, max(floor, e^(s - t))) is a given number: counts suffice, since e^s varies by an eighth within a
/// step.
struct score_histogram {
    static constexpr std::size_t bins = 256;
    static constexpr float per_unit = 8;

    /// counts[b]: of scores in (-(b + 1) / 8, -b / 8]; what lies outside is in the first and the last.
    std::array<std::uint32_t, bins> counts{};

    /// t for `wanted` keys, where each score counted stands for `weight` of them; -32 if even with that there
    /// are fewer. Within a step the sum is taken as linear. floor in [0, 1].
    float threshold(float wanted, float weight, float floor) const {
        // e^(-1/8) and its root.
        constexpr float step = 0.882496903F;
        constexpr float half_step = 0.939413063F;
        // certain[b]: all down to and including bin b; decaying[b]: those below it, e^-1/8 each step.
        std::array<float, bins + 1> certain;
        std::array<float, bins + 1> decaying;
        certain[0] = 0;
        for (std::size_t b = 0; b < bins; ++b) certain[b + 1] = certain[b] + static_cast<float>(counts[b]);
        decaying[bins] = 0;
        for (std::size_t b = bins; b-- > 0;) {
            decaying[b] = __builtin_fmaf(decaying[b + 1], step, static_cast<float>(counts[b]));
        }
        // The floor is reached so many steps below t.
        std::size_t reach = 0;
        float at_reach = 1;
        for (; reach < bins && at_reach * half_step > floor; ++reach) at_reach *= step;

        float previous = 0;
        for (std::size_t b = 1; b <= bins; ++b) {  // t = -b / 8
            const std::size_t end = std::min(bins, b + reach);
            const float far = end == bins ? 0.0F : decaying[end] * at_reach;
            const float some = (decaying[b] - far) * half_step;
            const float rest = (certain[bins] - certain[end]) * floor;
            const float sum = weight * (certain[b] + some + rest);
            if (sum >= wanted) {
                const float part = sum > previous ? (wanted - previous) / (sum - previous) : 1.0F;
                return (1.0F - static_cast<float>(b) - std::clamp(part, 0.0F, 1.0F)) / per_unit;
            }
            previous = sum;
        }
        return -static_cast<float>(bins) / per_unit;
    }
};

}  // namespace nullm::inline NULLM_ABI
