#pragma once
// The batch curve of a loaded model: what a pass of more rows takes.

#include "bench.hpp"

#include <nullm/spike/pass_costs.hpp>

#include <array>
#include <cstddef>
#include <span>
#include <vector>

namespace decode {

/// Passes of 1 to 16 rows with logits for each, behind a cache of `depth` positions; medians of interleaved
/// rounds.
inline nullm::pass_costs batch_curve(const bench& on, std::size_t depth) {
    constexpr std::array<std::size_t, 7> rows{1, 2, 3, 4, 6, 8, 16};
    constexpr int rounds = 15, passes = 4;
    chosen_model::state session = on.state(depth + rows.back());
    std::vector<token_id> tokens(depth + rows.back());
    for (std::size_t i = 0; i < tokens.size(); ++i)  // ids without meaning; a pass costs the same for any
        tokens[i] = static_cast<token_id>(i * 7919 % on.model.vocabulary());
    const std::span<const token_id> all(tokens);
    on.model.forward(session, all.first(depth), 0);
    std::array<std::vector<double>, rows.size()> seconds;
    for (int round = 0; round <= rounds; ++round) {
        for (std::size_t i = 0; i < rows.size(); ++i) {
            const auto start = measure::now();
            for (int pass = 0; pass < passes; ++pass) {
                on.model.forward(session, all.subspan(depth, rows[i]), rows[i]);
                on.model.truncate(session, depth);
            }
            if (round > 0) seconds[i].push_back(measure::since(start) / passes);  // the first one warms
        }
    }
    std::vector<nullm::pass_time> curve;
    for (std::size_t i = 0; i < rows.size(); ++i) curve.push_back({rows[i], median(seconds[i])});
    return nullm::pass_costs(curve);
}

}  // namespace decode
