#pragma once
// A writer's drive: the neurons are excited the more, the less one more draft would be worth.

#include <nullm/core/error.hpp>
#include <nullm/spike/concepts.hpp>
#include <nullm/spike/in_range.hpp>
#include <nullm/spike/pass_costs.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace nullm::inline NULLM_ABI {

struct draft_drive_params {
    std::size_t neurons = 256;  // share one intensity p; their rate has noise sqrt(p (1 - p) / neurons)
    // Tokens that the time of a pass of one row is worth, above 0: what the stream gets out of it on average. 1.76 over
    // the seven prompts of benchmarks/decode; the cost is flat about it (1.5 to 2 change it by 1 %).
    float price = 1.75F;
    pass_costs costs = {};
};

/// When is one more draft worth it? It pays if everything drafted so far is right, for a draft behind a wrong
/// one is thrown away, and it makes the pass that verifies it longer by a row:
///     standing = product of the confidences of the drafts that wait, this one's included
///     intensity = price dc / (price dc + standing),  dc = what one more row adds to the pass (pass_costs)
/// so that at theta = 1/2 the gate fires where the row costs more than the draft may bring. A token that is
/// certain (confidence 1: text, or one the model wrote) starts a new pass and excites every neuron: without a
/// draft there is nothing to gain from waiting.
///
/// The drafter's confidence has to be a probability (ngram_drafter's is). On seven prompts of 160 tokens the
/// cost of the passes, weighted by the curve, is .94 to 1.03 of the best fixed number of drafts chosen for
/// each prompt with hindsight (benchmarks/README.md).
class draft_drive {
 public:
    /// What waits for the next pass.
    struct trace {
        float standing = 1;      // probability that all of it is right
        std::uint32_t rows = 1;  // of that pass
        friend bool operator==(const trace&, const trace&) = default;
    };
    using memory = stateless;

    /// Throws nullm::error for no neurons or a price that is not a positive number.
    explicit draft_drive(draft_drive_params params = {}) : params_(std::move(params)) {
        if (params_.neurons == 0) throw error("draft_drive neurons", "at least one", "none");
        in_range("draft_drive price", params_.price, 1e-6F, 1e6F);
    }

    const draft_drive_params& params() const { return params_; }
    std::size_t width() const { return params_.neurons; }
    trace initial_trace() const { return {}; }
    memory initial_memory() const { return {}; }

    void intensities(trace& now, const memory&, const gate_input& input, std::span<float> out) const {
        const float confidence = in_range("draft_drive confidence", input.confidence);
        float intensity = 1.0F;
        if (confidence == 1.0F) {
            now = {};
        } else {
            now.standing *= confidence;
            ++now.rows;
            const double cost = static_cast<double>(params_.price) * params_.costs.of_one_more(now.rows);
            const double all = cost + static_cast<double>(now.standing);
            intensity = all > 0 ? static_cast<float>(cost / all) : 1.0F;
        }
        std::fill(out.begin(), out.end(), intensity);
    }
    void settle(memory&, token_id) const {}

 private:
    draft_drive_params params_;
};

static_assert(Drive<draft_drive>);

}  // namespace nullm::inline NULLM_ABI
