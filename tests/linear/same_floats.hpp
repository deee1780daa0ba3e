#pragma once
// Equality of floats that need not be numbers.

#include <support/same_bits.hpp>

#include <cmath>
#include <cstddef>
#include <cstring>
#include <span>

namespace tensors {

using support::same_bits;

/// As same_bits, but one NaN is as good as another.
inline bool same_floats(std::span<const float> a, std::span<const float> b) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (std::isnan(a[i]) && std::isnan(b[i])) continue;
        if (std::memcmp(&a[i], &b[i], sizeof(float)) != 0) return false;
    }
    return true;
}

}  // namespace tensors
