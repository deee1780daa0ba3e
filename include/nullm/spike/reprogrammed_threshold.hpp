#pragma once
// A threshold for each token, from text prototypes, that keeps a wanted share of positions firing.

#include <nullm/core/aligned.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/simd.hpp>
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
    // For a token of mean term-ness, before anything has settled; in [lowest, highest].
    float theta = 0.35F;
    // alpha: by what power of e the odds of the threshold fall with each standard deviation of term-ness; 0
    // to 8.
    float termness = 0.25F;
    std::optional<homeostasis_params> homeostasis = homeostasis_params{};  // none: theta stays
    // theta, and the threshold of any token, stay in here, a part of [0, 1].
    float lowest = 0.001F;
    float highest = 0.999F;
    prototype_params prototypes = {};
};

/// theta_t = clip(theta k_t / (1 - theta + theta k_t), lowest, highest), k_t = exp(-termness r_t)
/// where r_t is the token's soft attention over filler and term prototypes (text_prototypes.hpp),
/// standardised over the vocabulary: terms fire more easily. In log odds that is theta less termness r_t; so
/// it means the same at every theta. The table is made once; theta moves with homeostasis, which integrates
/// what is off of the target rate: a term in proportion to it, as an adaptive neuron has, would come to rest
/// beside the target.
///
/// Where novelty belongs: in the drive. rate + novelty >= theta and rate >= theta - novelty are one rule
/// (rare tokens: AUROC .957 as the one, .958 as the other), the neurons weigh it together with all else
/// that excites them, and kept in both it would be counted twice. So this threshold sees ids and the share
/// that fired.
///
/// Seen on the first 40,000 positions of the WikiText-2 test file, 60 % of them skipped: under quiet_drive
/// .965 of the rare tokens in place of .950, for .005 of the bits covered; magnitude_drive, which knows
/// nothing of words, gets an AUROC of .86 for them in place of .55 (.91 with termness 0.5).
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
        in_range("reprogrammed_threshold termness", params.termness, 0.0F, 8.0F);
        for (const float x : termness) {
            if (!std::isfinite(x)) throw error("reprogrammed_threshold", "finite term-ness", "other");
        }
        standardise(termness);
        // k / (1 + k): the threshold at theta = 1/2.
        NULLM_DISPATCH(active_isa(), logistic(termness.data(), termness.size(), -params.termness, 0.0F));
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
        const float at_half = (*table_)[static_cast<std::size_t>(token)];
        const float fire = now.theta * at_half;
        const float skip = (1.0F - now.theta) * (1.0F - at_half);
        return std::clamp(fire / (fire + skip), params_.lowest, params_.highest);
    }

    void settle(state& learned, token_id, bool fired) const {
        if (params_.homeostasis) homeostasis_.settle(learned, fired, params_.lowest, params_.highest);
    }

 private:
    reprogrammed_params params_;
    rate_homeostasis homeostasis_;
    std::shared_ptr<const aligned_vector<float>> table_;  // (vocabulary)
};
static_assert(Threshold<reprogrammed_threshold>);

}  // namespace nullm::inline NULLM_ABI
