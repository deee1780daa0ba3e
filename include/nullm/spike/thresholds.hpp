#pragma once
// Thresholds: the rate that wakes the model, fixed or kept where a wanted share of positions fires.

#include <nullm/core/token.hpp>
#include <nullm/spike/concepts.hpp>
#include <nullm/spike/in_range.hpp>

#include <algorithm>
#include <cmath>

namespace nullm::inline NULLM_ABI {

/// The same theta for every token. 0 always fires; 1 fires only if every neuron spikes at every encoder step.
class fixed_threshold {
 public:
    using state = stateless;

    /// theta in [0, 1], else nullm::error.
    explicit fixed_threshold(float theta) : theta_(in_range("fixed_threshold theta", theta)) {}

    state initial() const { return {}; }
    float theta(const state&, token_id) const { return theta_; }
    void settle(state&, token_id, bool) const {}

 private:
    float theta_;
};

struct target_rate_params {
    float target = 0.4F;    // share of positions that should fire, in [0, 1]
    float initial = 0.3F;   // theta before anything has settled, in [lowest, highest]
    float gain = 0.005F;    // how far one settled position moves theta, in [0, 1]
    float lowest = 0.01F;   // theta stays in [lowest, highest], a part of [0, 1]: above zero, so that a gate
    float highest = 0.99F;  // without input stays shut
};

/// Homeostasis: theta rises by gain (1 - target) at a settled position that fired and falls by gain target at
/// one that did not, so that it rests only where `target` of the positions fire (stochastic approximation of
/// a quantile, Robbins and Monro 1951). Time to adapt is about (distance in theta) / gain positions; the
/// noise of theta about sqrt(gain). Changes in settle() alone, so a rewind never sees it move.
class target_rate_threshold {
 public:
    struct state {
        float theta = 0;
        friend bool operator==(const state&, const state&) = default;
    };

    /// Throws nullm::error if a parameter is outside its range.
    explicit target_rate_threshold(const target_rate_params& params = {}) : params_(params) {
        in_range("target_rate_threshold target", params.target);
        in_range("target_rate_threshold gain", params.gain);
        in_range("target_rate_threshold highest", params.highest);
        in_range("target_rate_threshold lowest", params.lowest, 0.0F, params.highest);
        in_range("target_rate_threshold initial", params.initial, params.lowest, params.highest);
    }

    const target_rate_params& params() const { return params_; }
    state initial() const { return {params_.initial}; }
    float theta(const state& now, token_id) const { return now.theta; }
    void settle(state& learned, token_id, bool fired) const {
        const float error_of_rate = (fired ? 1.0F : 0.0F) - params_.target;
        learned.theta = std::clamp(std::fmaf(params_.gain, error_of_rate, learned.theta), params_.lowest,
                                   params_.highest);
    }

 private:
    target_rate_params params_;
};

}  // namespace nullm::inline NULLM_ABI
