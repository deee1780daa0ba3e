#pragma once
// Work in the terms of NeuroBench (Yik et al., Nature Communications 2025; the rules are those of its code,
// version 2.3): synaptic operations, sparsity.

#include <nullm/core/error.hpp>
#include <nullm/core/matrix_view.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// Operations of a connection (a matrix). An operation is effective if neither its input nor its weight is
/// zero. It is an accumulation (AC) if the inputs of its call are spikes, and else a multiplication (MAC).
struct synaptic_operations {
    std::uint64_t macs = 0;   // effective
    std::uint64_t acs = 0;    // effective
    std::uint64_t dense = 0;  // all, as if nothing were zero

    synaptic_operations& operator+=(const synaptic_operations& more) {
        macs += more.macs;
        acs += more.acs;
        dense += more.dense;
        return *this;
    }
    friend bool operator==(const synaptic_operations&, const synaptic_operations&) = default;
};

/// Of each input, how many outputs it reaches: weights (out x in) that are not zero, by column.
inline std::vector<std::uint32_t> fan_out(matrix_view<const float> weights) {
    std::vector<std::uint32_t> reached(weights.cols, 0);
    for (std::size_t r = 0; r < weights.rows; ++r) {
        for (std::size_t c = 0; c < weights.cols; ++c) reached[c] += weights[r][c] != 0.0F ? 1 : 0;
    }
    return reached;
}

/// Of one call of a connection: `inputs` (rows x in), the weights' fan_out() and their number of rows. The
/// call is ACs iff every input is 0, 1 or -1; a graded spike makes all of it MACs. Biases are not counted.
/// O(rows x in). Throws nullm::error if the widths differ.
inline synaptic_operations count_operations(matrix_view<const float> inputs,
                                            std::span<const std::uint32_t> reached, std::size_t outputs) {
    if (inputs.cols != reached.size()) {
        throw error("count_operations inputs", std::to_string(reached.size()) + " columns",
                    std::to_string(inputs.cols));
    }
    bool spikes = true;
    std::uint64_t effective = 0;
    for (std::size_t r = 0; r < inputs.rows; ++r) {
        for (std::size_t c = 0; c < inputs.cols; ++c) {
            const float x = inputs[r][c];
            if (x == 0.0F) continue;
            effective += reached[c];
            spikes = spikes && (x == 1.0F || x == -1.0F);
        }
    }
    return {.macs = spikes ? 0 : effective,
            .acs = spikes ? effective : 0,
            .dense = std::uint64_t{inputs.rows} * inputs.cols * outputs};
}

/// Zeros among numbers: ActivationSparsity of outputs, ConnectionSparsity of weights.
struct sparsity {
    std::uint64_t zeros = 0;
    std::uint64_t all = 0;

    void add(std::span<const float> numbers) {
        for (const float x : numbers) zeros += x == 0.0F ? 1 : 0;
        all += numbers.size();
    }
    /// In [0, 1]; NaN of nothing.
    double share() const { return static_cast<double>(zeros) / static_cast<double>(all); }
};

}  // namespace nullm::inline NULLM_ABI
