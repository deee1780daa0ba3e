#pragma once
// How far a figure could be off if other texts of the same kind had been read: the bootstrap over groups.

#include <nullm/core/error.hpp>
#include <nullm/core/random.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace nullm::inline NULLM_ABI {

struct interval {
    double low = 0;
    double high = 0;
    friend bool operator==(const interval&, const interval&) = default;
};

struct bootstrap_options {
    std::uint32_t replicates = 1000;
    double level = 0.95;  // of the interval, in (0, 1)
    std::uint64_t seed = 0;
};

/// How often each of `groups` groups is drawn when as many are drawn with replacement. A function of its
/// arguments alone, so figures that share (groups, seed, replicate) are compared on the same texts.
inline std::vector<std::uint32_t> resample(std::size_t groups, std::uint64_t seed, std::uint32_t replicate) {
    if (groups > std::numeric_limits<std::uint32_t>::max()) {
        throw error("resample", "fewer than 2^32 groups", std::to_string(groups));
    }
    std::vector<std::uint32_t> times(groups, 0);
    const draw_key key{.seed = seed, .stream = draw_stream::bootstrap, .position = replicate};
    for (std::uint32_t i = 0; i < groups; ++i) {
        // The high half of the product is uniform over the groups to within groups / 2^32.
        ++times[static_cast<std::size_t>((std::uint64_t{draw_u32(key, i)} * groups) >> 32)];
    }
    return times;
}

/// The quantiles (1 - level) / 2 and (1 + level) / 2; between two values they interpolate (Hyndman and Fan's
/// type 7). Values that are NaN are left out; of no values both ends are NaN. Throws nullm::error unless
/// 0 < level < 1.
inline interval percentile_interval(std::vector<double> values, double level = 0.95) {
    if (!(level > 0 && level < 1)) {
        throw error("percentile_interval level", "a number between 0 and 1", std::to_string(level));
    }
    std::erase_if(values, [](double x) { return std::isnan(x); });
    constexpr double none = std::numeric_limits<double>::quiet_NaN();
    if (values.empty()) return {none, none};
    std::sort(values.begin(), values.end());
    const auto quantile = [&](double q) {
        const double at = q * static_cast<double>(values.size() - 1);
        const auto below = static_cast<std::size_t>(at);
        const std::size_t above = std::min(below + 1, values.size() - 1);
        return values[below] + (at - static_cast<double>(below)) * (values[above] - values[below]);
    };
    return {quantile((1 - level) / 2), quantile((1 + level) / 2)};
}

/// The percentile bootstrap (Efron 1979): the interval of statistic(times) over replicates, where times[g]
/// says how often group g was drawn. Groups, and not the positions in them, are what was sampled: positions
/// of one article resemble each other. With few groups (ten, say) such an interval is too narrow. Throws
/// nullm::error for no groups.
template <std::invocable<std::span<const std::uint32_t>> Statistic>
interval bootstrap(std::size_t groups, Statistic&& statistic, const bootstrap_options& options = {}) {
    if (groups == 0) throw error("bootstrap", "at least one group", "none");
    std::vector<double> values(options.replicates);
    for (std::uint32_t r = 0; r < options.replicates; ++r) {
        const auto times = resample(groups, options.seed, r);
        values[r] = statistic(std::span<const std::uint32_t>(times));
    }
    return percentile_interval(std::move(values), options.level);
}

}  // namespace nullm::inline NULLM_ABI
