#pragma once
// The theta at which a gate skips a wanted share of a text. No model is run.

#include <nullm/core/error.hpp>
#include <nullm/core/token.hpp>
#include <nullm/spike/gate.hpp>
#include <nullm/spike/in_range.hpp>
#include <nullm/spike/spike_gate.hpp>
#include <nullm/spike/thresholds.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace nullm::inline NULLM_ABI {

struct calibration_options {
    std::uint64_t seed = 0;   // of the gate's draws, the run's
    std::size_t warm_up = 0;  // positions at the text's start that are stepped but not counted
};

/// What was fitted, and how far off it may be: a rate is a whole number of spikes, so a text has only so many
/// skip rates. `lower` and `upper` are those on either side of the wanted one. With the quiet gate's 256
/// neurons they were 0.3 to 1.1 points apart in articles, source code and a play, and up to 2.4 in a log of
/// few phrases (benchmarks/decode/calibration.cpp).
struct calibration {
    float theta = 0;
    double skip = 0;            // share of the counted positions at which the gate is silent at theta
    double lower = 0;           // the nearest skip rate not above the wanted one that was seen
    double upper = 1;           // and not below it
    std::size_t positions = 0;  // counted
};

/// Whether a gate's rate is the same at any theta, so that one pass over a text tells the skip rate at all of
/// them. True where the threshold is one number.
template <class G>
inline constexpr bool rate_ignores_theta = false;
template <class D, class E, class N>
inline constexpr bool rate_ignores_theta<spike_gate<D, E, N, fixed_threshold>> = true;

/// Steps a new state of the gate through the text as a reader does, every token certain and settled at once,
/// and calls seen(index, decision) at every position. O(text).
template <Gate G, class Seen>
void step_through(const G& gate, std::span<const token_id> text, std::uint64_t seed, Seen seen) {
    auto state = gate.initial();
    for (std::size_t i = 0; i < text.size(); ++i) {
        const gate_decision decision =
            gate.step(state, {.token = text[i], .position = static_cast<std::int64_t>(i), .seed = seed});
        gate.settle(state, text[i], decision.fire);
        seen(i, decision);
    }
}

namespace detail {

inline std::size_t counted_positions(std::span<const token_id> text, const calibration_options& options) {
    if (text.size() <= options.warm_up) {
        throw error("calibration text", "more than " + std::to_string(options.warm_up) + " tokens",
                    std::to_string(text.size()));
    }
    return text.size() - options.warm_up;
}

}  // namespace detail

/// The share of the text's positions behind the warm-up at which the gate is silent. Throws nullm::error if
/// there are none, and as the gate does.
template <Gate G>
double skip_rate(const G& gate, std::span<const token_id> text, const calibration_options& options = {}) {
    const std::size_t positions = detail::counted_positions(text, options);
    std::size_t silent = 0;
    step_through(gate, text, options.seed, [&](std::size_t i, const gate_decision& decision) {
        silent += i >= options.warm_up && !decision.fire ? 1 : 0;
    });
    return static_cast<double>(silent) / static_cast<double>(positions);
}

namespace detail {

/// Keeps what comes nearest to the wanted share; of two as near, the one that skips less.
class nearest_theta {
 public:
    nearest_theta(double wanted, std::size_t positions) : wanted_(wanted) {
        best_.positions = positions;
        best_.skip = 2;
    }
    void offer(float theta, double skip) {
        const double miss = std::abs(skip - wanted_);
        const double least = std::abs(best_.skip - wanted_);
        if (miss < least || (miss == least && skip < best_.skip)) {
            best_.theta = theta;
            best_.skip = skip;
        }
        if (skip <= wanted_) best_.lower = std::max(best_.lower, skip);
        if (skip >= wanted_) best_.upper = std::min(best_.upper, skip);
    }
    const calibration& best() const { return best_; }

 private:
    double wanted_;
    calibration best_;
};

/// All thetas at once: sorted, the rates below theta are the positions skipped. Theta lies midway between two
/// rates that were seen, so that neither a decimal in a file nor a rate computed elsewhere falls on the other
/// side.
template <Gate G>
calibration calibrate_by_rates(const G& gate, std::span<const token_id> text, double wanted,
                               const calibration_options& options) {
    std::vector<float> rates;
    rates.reserve(text.size());
    step_through(gate, text, options.seed, [&](std::size_t i, const gate_decision& decision) {
        if (i >= options.warm_up) rates.push_back(decision.rate);
    });
    std::sort(rates.begin(), rates.end());
    const std::size_t n = rates.size();
    nearest_theta search(wanted, n);
    search.offer(0.0F, 0.0);
    for (std::size_t silent = 1; silent < n; ++silent) {
        if (rates[silent - 1] == rates[silent]) continue;
        search.offer((rates[silent - 1] + rates[silent]) / 2,
                     static_cast<double>(silent) / static_cast<double>(n));
    }
    if (rates.back() < 1.0F) search.offer((rates.back() + 1.0F) / 2, 1.0);
    return search.best();
}

/// Bisection: where theta moves with the text, how often the gate fires is known only by running it.
template <class MakeGate>
calibration calibrate_by_bisection(const MakeGate& make_gate, std::span<const token_id> text, double wanted,
                                   const calibration_options& options) {
    nearest_theta search(wanted, counted_positions(text, options));
    const auto skip_at = [&](float theta) {
        const double skip = skip_rate(make_gate(theta), text, options);
        search.offer(theta, skip);
        return skip;
    };
    float low = 0;
    float high = 1;
    skip_at(low);
    skip_at(high);
    constexpr int halvings = 14;  // to 6e-5, a quarter of the step of 4096 neurons
    for (int i = 0; i < halvings; ++i) {
        const float middle = (low + high) / 2;
        const double skip = skip_at(middle);
        if (skip == wanted) break;
        (skip < wanted ? low : high) = middle;
    }
    return search.best();
}

}  // namespace detail

/// make_gate(float theta) -> Gate; theta in [0, 1], and the gate skips more the higher theta is. Finds the
/// theta whose skip rate over the text is nearest to `target_skip` in [0, 1], each token certain and settled
/// at once, as a reader steps them. One pass over the text if rate_ignores_theta, else 16. Throws
/// nullm::error for a target outside [0, 1], a text that ends within the warm-up, and as the gate does.
template <std::invocable<float> MakeGate>
requires Gate<std::invoke_result_t<const MakeGate&, float>> calibration
calibrate(const MakeGate& make_gate, std::span<const token_id> text, double target_skip,
          const calibration_options& options = {}) {
    if (!(target_skip >= 0 && target_skip <= 1)) {
        throw error("calibrate target_skip", "a number from 0 to 1", std::to_string(target_skip));
    }
    detail::counted_positions(text, options);
    if constexpr (rate_ignores_theta<std::invoke_result_t<const MakeGate&, float>>) {
        return detail::calibrate_by_rates(make_gate(0.5F), text, target_skip, options);
    } else {
        return detail::calibrate_by_bisection(make_gate, text, target_skip, options);
    }
}

}  // namespace nullm::inline NULLM_ABI
