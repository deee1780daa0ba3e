#pragma once
// A hash of a sequence of numbers, taken one number at a time.

#include <nullm/core/abi.hpp>

#include <cstdint>

namespace nullm::inline NULLM_ABI {

/// The hash of a sequence and one more value: order matters, nothing cancels. The finaliser of splitmix64
/// (Steele, Lea and Flood 2014) over both.
constexpr std::uint64_t fold_hash(std::uint64_t hash, std::uint64_t value) {
    std::uint64_t z = hash * 0x9E3779B97F4A7C15U + value + 0x632BE59BD9B4E019U;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
}

}  // namespace nullm::inline NULLM_ABI
