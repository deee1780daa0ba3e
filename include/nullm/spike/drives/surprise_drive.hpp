#pragma once
// A token excites the neurons by how wrong an n-gram of the text so far was about it.

#include <nullm/core/error.hpp>
#include <nullm/spike/concepts.hpp>
#include <nullm/spike/graded.hpp>
#include <nullm/spike/in_range.hpp>
#include <nullm/spike/online_ngram.hpp>
#include <nullm/spike/token_window.hpp>
#include <nullm/spike/vocabulary.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>

namespace nullm::inline NULLM_ABI {

struct surprise_params {
    std::size_t neurons = 256;  // share one intensity
    ngram_params ngram = {};
    float ceiling = 12.0F;  // nats that excite as much as any number of them, > 0
    // What a candidate that its drafter does not trust at all adds to the intensity, in [0, 1].
    float uncertainty_weight = 0.5F;
};

/// Prediction error, linear in nats, so that the charge neurons carry from position to position is a sum of
/// surprise:
///     intensity = -ln p(token | the tokens before) / ceiling + uncertainty_weight (1 - confidence)
/// moved into (0, 1). p is online_ngram's: no training text, learned as tokens settle. The context is the
/// trace (candidates of a writer are context of the next one, and are taken back with it), the counts are the
/// memory. What the n-gram finds unlikely the model finds unlikely too, often enough: figures in
/// quiet_gate.hpp. What repeats, adapts away. A writer without a drafter shows a token only after it has
/// settled, so part of its surprise is gone by then.
class surprise_drive {
 public:
    using trace = stepped_window;
    using memory = online_ngram::memory;

    /// For token ids below `vocabulary`. Throws nullm::error for parameters outside their range.
    explicit surprise_drive(std::size_t vocabulary, const surprise_params& params = {})
        : params_(params), ngram_(vocabulary, params.ngram) {
        if (params.neurons == 0) throw error("surprise_drive neurons", "at least one", "none");
        in_range("surprise_drive ceiling", params.ceiling, std::numeric_limits<float>::min(),
                 std::numeric_limits<float>::max());
        in_range("surprise_drive uncertainty_weight", params.uncertainty_weight);
    }
    static surprise_drive build(const vocabulary_view& vocabulary, const surprise_params& params = {}) {
        return surprise_drive(vocabulary.size, params);
    }

    const surprise_params& params() const { return params_; }
    const online_ngram& ngram() const { return ngram_; }

    std::size_t width() const { return params_.neurons; }
    trace initial_trace() const { return {}; }
    memory initial_memory() const { return ngram_.initial(); }

    float intensity(trace& seen, const memory& learned, const gate_input& input) const {
        const float doubt = 1.0F - in_range("surprise_drive confidence", input.confidence);
        const float nats = ngram_.surprise(learned, seen.context_of(input), input.token);
        seen.step(input);
        return graded(std::fmaf(params_.uncertainty_weight, doubt, nats / params_.ceiling));
    }
    void intensities(trace& seen, const memory& learned, const gate_input& input,
                     std::span<float> out) const {
        std::fill(out.begin(), out.end(), intensity(seen, learned, input));
    }
    void settle(memory& learned, token_id token) const { ngram_.settle(learned, token); }

 private:
    surprise_params params_;
    online_ngram ngram_;
};
static_assert(UniformDrive<surprise_drive>);

}  // namespace nullm::inline NULLM_ABI
