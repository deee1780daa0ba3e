#pragma once

#include <cstddef>
#include <random>
#include <vector>

namespace model_test {

/// Normal variates.
inline std::vector<float> random_values(std::size_t size, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> values(size);
    for (auto& x : values) x = normal(random);
    return values;
}

}  // namespace model_test
