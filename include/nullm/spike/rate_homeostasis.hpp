#pragma once
// Holds the share of positions that fire at a target, by moving theta.

#include <nullm/core/error.hpp>
#include <nullm/spike/in_range.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>

namespace nullm::inline NULLM_ABI {

struct homeostasis_params {
    float target = 0.4F;      // share of positions that should fire, in [0, 1]
    float gain = 0.002F;      // how far one settled position moves theta while the share is right, in [0, 1]
    float fast_gain = 0.12F;  // and where the share was off by 0.2 and more of late, in [gain, 1]
    std::uint32_t window = 256;  // "of late": positions a running mean of the share looks back, at least 1
};

/// Theta rises by g s (1 - target) at a settled position that fired and falls by g s target at one that did
/// not, so that it rests only where `target` of the positions fire (stochastic approximation of a quantile,
/// Robbins and Monro 1951). s = 4 theta (1 - theta) makes steps even in log odds: near 0, where rates lie
/// close together, they are small. One g is either slow or noisy, and noise of theta costs what the gate is
/// for, so g has two speeds:
///     e = running mean of (fired - target);   g = gain + (fast_gain - gain) min(1, (e / 0.2)^2)
/// slow while the share is right, fast after the kind of text has changed. The idea of a neuron's adaptive
/// threshold, for the population.
class rate_homeostasis {
 public:
    struct state {
        float theta = 0;
        float error = 0;  // running mean of the share that fired, less the target
        friend bool operator==(const state&, const state&) = default;
    };

    /// `where` begins the message of the nullm::error that a parameter outside its range gives.
    rate_homeostasis(const std::string& where, const homeostasis_params& params) : params_(params) {
        in_range(where + " target", params.target);
        in_range(where + " fast_gain", params.fast_gain);
        in_range(where + " gain", params.gain, 0.0F, params.fast_gain);
        if (params.window == 0) throw error(where + " window", "at least 1 position", "0");
    }

    const homeostasis_params& params() const { return params_; }

    /// One settled position; theta stays in [lowest, highest].
    void settle(state& learned, bool fired, float lowest, float highest) const {
        const float off = (fired ? 1.0F : 0.0F) - params_.target;
        learned.error =
            std::fmaf(1.0F / static_cast<float>(params_.window), off - learned.error, learned.error);
        const float share = std::min(std::fabs(learned.error) * 5.0F, 1.0F);
        const float gain = std::fmaf(params_.fast_gain - params_.gain, share * share, params_.gain);
        const float slope =
            std::max(4.0F * learned.theta * (1.0F - learned.theta), 0.01F);  // 0 would be for ever
        learned.theta = std::clamp(std::fmaf(gain * slope, off, learned.theta), lowest, highest);
    }

 private:
    homeostasis_params params_;
};

}  // namespace nullm::inline NULLM_ABI
