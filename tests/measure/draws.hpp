#pragma once
// Scores with many ties, flags and amounts, drawn by number.

#include <nullm/core/random.hpp>

#include <cstdint>
#include <vector>

namespace measure_test {

struct sample {
    std::vector<float> scores;        // of few values, so that they tie
    std::vector<std::uint8_t> flags;  // more often set where the score is high
    std::vector<float> amounts;       // from 0 to 4
};

inline sample draw_sample(std::size_t n, std::uint64_t seed, std::uint32_t values = 5) {
    sample drawn;
    for (std::uint32_t i = 0; i < n; ++i) {
        const nullm::draw_key key{.seed = seed};
        const std::uint32_t level = nullm::draw_u32(key, 3 * i) % values;
        drawn.scores.push_back(static_cast<float>(level));
        const float chance = 0.2F + 0.6F * static_cast<float>(level) / static_cast<float>(values);
        drawn.flags.push_back(nullm::draw_uniform(key, 3 * i + 1) < chance ? 1 : 0);
        drawn.amounts.push_back(4 * nullm::draw_uniform(key, 3 * i + 2));
    }
    return drawn;
}

/// The sample with position p repeated times[p] times.
inline sample repeated(const sample& from, const std::vector<std::uint32_t>& times) {
    sample all;
    for (std::size_t p = 0; p < times.size(); ++p) {
        all.scores.insert(all.scores.end(), times[p], from.scores[p]);
        all.flags.insert(all.flags.end(), times[p], from.flags[p]);
        all.amounts.insert(all.amounts.end(), times[p], from.amounts[p]);
    }
    return all;
}

}  // namespace measure_test
