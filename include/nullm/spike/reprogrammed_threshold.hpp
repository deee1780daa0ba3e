#pragma once
// A threshold for each token, from text prototypes, that keeps a wanted share of positions firing.

#include <nullm/core/aligned.hpp>
#include <nullm/core/error.hpp>
#include <nullm/spike/concepts.hpp>
#include <nullm/spike/in_range.hpp>
#include <nullm/spike/rate_homeostasis.hpp>
#include <nullm/spike/text_prototypes.hpp>
#include <nullm/spike/vocabulary.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace nullm::inline NULLM_ABI {

struct reprogrammed_params {
    float theta = 0.4F;  // before anything has settled, for a token of mean term-ness; in [lowest, highest]
    float termness =
        0.05F;  // alpha: how much lower the threshold is for a token one standard deviation above it, >= 0
    std::optional<homeostasis_params> homeostasis = homeostasis_params{};  // none: theta stays
    float lowest = 0.01F;  // the threshold of any token stays in [lowest, highest], a part of [0, 1]
    float highest = 0.99F;
    prototype_params prototypes = {};
};

/// theta_t = clip(theta - termness r_t, lowest, highest), where r_t is the token's soft attention over filler
/// and term prototypes (text_prototypes.hpp), standardised over the vocabulary: terms fire more easily. The
/// table is made once; the theta in it moves with homeostasis, which integrates what is off of the target
/// rate: a term in proportion to it, as an adaptive neuron has, would come to rest beside the target.
///
/// Where novelty belongs: in the drive. The neurons then weigh it together with all else that excites them,
/// and theta stays what a calibration can set: a number for the stream and one for the token. (rate + novelty
/// >= theta and rate >= theta - novelty are one rule; kept in both, it would be counted twice.) So this
/// threshold sees ids and the share that fired.
class reprogrammed_threshold {
 public:
    using state = rate_homeostasis::state;

    /// Throws nullm::error for parameters outside their range, and as text_prototypes::build does.
    static reprogrammed_threshold build(const vocabulary_view& vocabulary,
                                        const reprogrammed_params& params = {}) {
        return {text_prototypes::build(vocabulary, params.prototypes).tabulate(vocabulary), params};
    }

    /// With term-ness found in another way: a float a token, standardised here.
    reprogrammed_threshold(aligned_vector<float> termness, const reprogrammed_params& params)
        : params_(params),
          homeostasis_("reprogrammed_threshold",
                       params.homeostasis.value_or(homeostasis_params{.gain = 0, .fast_gain = 0})) {
        if (termness.empty()) throw error("reprogrammed_threshold", "a table of term-ness", "an empty one");
        in_range("reprogrammed_threshold highest", params.highest);
        in_range("reprogrammed_threshold lowest", params.lowest, 0.0F, params.highest);
        in_range("reprogrammed_threshold theta", params.theta, params.lowest, params.highest);
        in_range("reprogrammed_threshold termness", params.termness);
        for (const float x : termness) {
            if (!std::isfinite(x)) throw error("reprogrammed_threshold", "finite term-ness", "other");
        }
        standardise(termness);
        for (float& x : termness) x *= params.termness;
        table_ = std::make_shared<const aligned_vector<float>>(std::move(termness));
    }

    const reprogrammed_params& params() const { return params_; }
    state initial() const { return {.theta = params_.theta, .error = 0}; }

    /// Throws nullm::error for a token outside the vocabulary.
    float theta(const state& now, token_id token) const {
        if (token < 0 || static_cast<std::size_t>(token) >= table_->size()) {
            throw error("reprogrammed_threshold token", "0 to " + std::to_string(table_->size() - 1),
                        std::to_string(token));
        }
        return std::clamp(now.theta - (*table_)[static_cast<std::size_t>(token)], params_.lowest,
                          params_.highest);
    }

    /// theta may pass the bounds by as much as the table moves it, so that every token's can reach them.
    void settle(state& learned, token_id, bool fired) const {
        if (params_.homeostasis) homeostasis_.settle(learned, fired, -1.0F, 2.0F);
    }

 private:
    reprogrammed_params params_;
    rate_homeostasis homeostasis_;
    std::shared_ptr<const aligned_vector<float>> table_;  // (vocabulary) termness r_t
};
static_assert(Threshold<reprogrammed_threshold>);

}  // namespace nullm::inline NULLM_ABI
