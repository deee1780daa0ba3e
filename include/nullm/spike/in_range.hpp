#pragma once
// The check every parameter of this room passes once, where it enters.

#include <nullm/core/error.hpp>

#include <string>
#include <string_view>

namespace nullm::inline NULLM_ABI {

/// x if it lies in [low, high], else throws nullm::error (NaN lies nowhere).
inline float in_range(std::string_view where, float x, float low = 0.0F, float high = 1.0F) {
    if (x >= low && x <= high) return x;
    throw error(where, "a number from " + std::to_string(low) + " to " + std::to_string(high),
                std::to_string(x));
}

}  // namespace nullm::inline NULLM_ABI
