#pragma once
// Equality of bits: 0 and -0 differ, a NaN equals itself.

#include <cstring>
#include <span>

namespace support {

inline bool same_bits(std::span<const float> a, std::span<const float> b) {
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0);
}

}  // namespace support
