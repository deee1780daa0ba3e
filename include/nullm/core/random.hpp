#pragma once
// Counter-based random numbers: every draw is a function of (seed, stream, position, index), never of how many
// draws came before. That is what makes a rewound, batched or re-threaded run draw the same numbers.

#include <nullm/core/abi.hpp>

#include <array>
#include <cstdint>

namespace nullm::inline NULLM_ABI {

/// Philox4x32-10 (Salmon et al., SC'11, table 2; the Random123 constants). A bijection of the counter for each key.
constexpr std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                                  std::array<std::uint32_t, 2> key) {
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t p0 = std::uint64_t{0xD2511F53U} * counter[0];
        const std::uint64_t p1 = std::uint64_t{0xCD9E8D57U} * counter[2];
        counter = {static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(p1),
                   static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(p0)};
        key[0] += 0x9E3779B9U;
        key[1] += 0xBB67AE85U;
    }
    return counter;
}

/// The parts of the library that draw; one number each, so that no two ever share a draw.
enum class draw_stream : std::uint32_t {
    encoder = 1,
    sampler = 2,
    explore = 3,
    gate = 4,
    attention = 5,
    test = 6,
    bootstrap = 7,
    prototypes = 8,
};

/// Names one sequence of draws: those of one component, for one position of one seeded run. `repeat` tells apart
/// several steps at the same position (a writer that pauses).
struct draw_key {
    std::uint64_t seed = 0;
    draw_stream stream = draw_stream::test;
    std::int64_t position = 0;
    std::uint32_t repeat = 0;
};

/// Four 32-bit draws: numbers 4*block .. 4*block+3 of the key's sequence.
/// Counter = (block, position low, position high + repeat << 8 folded in below, stream); key = seed.
constexpr std::array<std::uint32_t, 4> draw_block(const draw_key& key, std::uint32_t block) {
    const auto position = static_cast<std::uint64_t>(key.position);
    // Positions stay far below 2^40, so the upper 24 bits of the third word are free for `repeat`.
    return philox4x32({block, static_cast<std::uint32_t>(position),
                       static_cast<std::uint32_t>(position >> 32) ^ (key.repeat << 8),
                       static_cast<std::uint32_t>(key.stream)},
                      {static_cast<std::uint32_t>(key.seed), static_cast<std::uint32_t>(key.seed >> 32)});
}

constexpr std::uint32_t draw_u32(const draw_key& key, std::uint32_t index = 0) {
    return draw_block(key, index / 4)[index % 4];
}

/// Uniform in [0, 1) on a grid of 2^-24: exact in float.
constexpr float draw_uniform(const draw_key& key, std::uint32_t index = 0) {
    return static_cast<float>(draw_u32(key, index) >> 8) * 0x1p-24F;
}

/// Uniform in [0, 1) on a grid of 2^-53, from draws 2*index and 2*index+1.
constexpr double draw_uniform_double(const draw_key& key, std::uint32_t index = 0) {
    const auto block = draw_block(key, index / 2);
    const std::uint64_t high = block[(index % 2) * 2];
    const std::uint64_t low = block[(index % 2) * 2 + 1];
    return static_cast<double>(((high << 32) | low) >> 11) * 0x1p-53;
}

}  // namespace nullm::inline NULLM_ABI
