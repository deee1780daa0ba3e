#pragma once
// How many keys a query may read.

#include <nullm/core/abi.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace nullm::inline NULLM_ABI {

/// Keys read for a head whose whole weight is spread evenly over those that may be chosen: a share of them,
/// and never fewer than some. A head that has its weight on sinks, window or a few keys reads fewer. The
/// error of a sum falls with the root of the number of keys read, whatever share of all they are; so beyond
/// `linear_until` keys the number grows with the root of theirs.
struct key_budget {
    float share = 0.12F;
    std::size_t least = 128;
    std::size_t linear_until = 8192;

    float of(std::size_t keys) const {
        const auto n = static_cast<float>(keys);
        const auto linear = static_cast<float>(linear_until);
        return std::max(share * (n <= linear ? n : std::sqrt(n * linear)), static_cast<float>(least));
    }
};

}  // namespace nullm::inline NULLM_ABI
