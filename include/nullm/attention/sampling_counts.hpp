#pragma once
// How much of the keys sampled attention has read.

#include <nullm/core/abi.hpp>

#include <cstdint>

namespace nullm::inline NULLM_ABI {

/// Sums over query heads that were sampled; those attended exactly are not counted.
struct sampling_counts {
    std::uint64_t queries = 0;
    std::uint64_t candidates = 0;  // keys the sampler could choose from
    std::uint64_t chosen = 0;      // of these
    std::uint64_t always = 0;      // sinks and window: read whatever the sampler chose
    std::uint64_t rows = 0;        // keys read with their values; once for heads that chose the same ones
    std::uint64_t bytes = 0;       // of those rows, and of the index where the sampler tells
    std::uint64_t floored = 0;     // chosen keys whose probability was below the sampler's floor
    std::uint64_t effective = 0;   // (sum of weights)^2 / sum of squared weights, rounded: keys that count
    std::uint64_t refined = 0;     // queries whose error was above the limit at first, so that more was read
    std::uint64_t dense = 0;       // of these: still above it, so that all was
    std::uint64_t error = 0;       // estimated relative error, in millionths, where there is a limit to it

    constexpr sampling_counts& operator+=(const sampling_counts& other) {
        queries += other.queries;
        candidates += other.candidates;
        chosen += other.chosen;
        always += other.always;
        rows += other.rows;
        bytes += other.bytes;
        floored += other.floored;
        effective += other.effective;
        refined += other.refined;
        dense += other.dense;
        error += other.error;
        return *this;
    }
    friend constexpr bool operator==(const sampling_counts&, const sampling_counts&) = default;

    /// Share of the keys below them that sampled queries have read; 0 if there was none.
    constexpr double share_read() const {
        const auto read = static_cast<double>(chosen + always);
        return queries == 0 ? 0 : read / static_cast<double>(candidates + always);
    }
};

}  // namespace nullm::inline NULLM_ABI
