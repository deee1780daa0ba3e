#pragma once
// Gates of spans: a leaky sum over the tokens of a line or sentence, and a random baseline.

#include <nullm/core/random.hpp>
#include <nullm/generate/spans.hpp>
#include <nullm/spike/concepts.hpp>
#include <nullm/spike/gate.hpp>
#include <nullm/spike/in_range.hpp>

#include <algorithm>
#include <cmath>
#include <utility>

namespace nullm::inline NULLM_ABI {

/// Both in [0, 1]: shares of a charge that stay.
struct span_gate_params {
    float keep = 0.8F;    // from token to token of a span: a sum over about 1 / (1 - keep) tokens
    float carry = 0.25F;  // from a span that did not fire to the next
};

/// Two leaky integrators over a gate of tokens. Within a span the charge follows the tokens' rates, and its
/// peak is what the span brings; from span to span what was brought adds up until it fires:
///     token:  charge = keep charge + (1 - keep) rate;  peak = max(peak, charge)
///     end:    sum = carry sum + peak;  rate = min(sum, 1);  fire iff rate >= theta
///             charge = peak = 0;  sum = 0 if it fired
/// The peak finds a few unusual tokens in a row wherever they stand, in a span of any length; a single
/// unusual number leaks away. With `carry` a burst of spans that are each a little unusual fires; more of it
/// buries a rare span under what common ones leave. That repeats adapt away is the work of the inner gate:
/// choose one whose drive learns what it saw (surprise_drive).
///
/// Measured on the two logs of benchmarks/decode/log_triage.cpp (--statistics, three seeds, surprise inside):
/// of 50 rare lines this keeps 46 to 50 when 98 % are to be dropped, a mean over the line 38 to 47, its
/// highest rate 10 to 45, a plain sum 25 to 30.
///
/// step() reports the token's own rate beside the span's theta, and never fires. The inner gate's theta and
/// decisions are not used, and its settle() is told that no token fired. T is told of spans, each by its last
/// token.
template <Gate G, Threshold T>
class span_gate {
 public:
    struct present {
        decltype(G::state::now) tokens;
        float charge = 0;
        float peak = 0;
        float sum = 0;
        friend bool operator==(const present&, const present&) = default;
    };
    struct state {
        present now;
        typename G::state tokens;  // its `now` stays the initial one: the live one is lent to it for a step
        typename T::state threshold;
        friend bool operator==(const state& a,
                               const state& b) requires std::equality_comparable<typename G::state> {
            return a.now == b.now && a.tokens == b.tokens && a.threshold == b.threshold;
        }
    };

    /// Throws nullm::error if a parameter is outside [0, 1].
    span_gate(G tokens, T threshold, const span_gate_params& params = {})
        : tokens_(std::move(tokens)), threshold_(std::move(threshold)), params_(params) {
        in_range("span_gate keep", params.keep);
        in_range("span_gate carry", params.carry);
    }

    const G& tokens() const { return tokens_; }
    const T& threshold() const { return threshold_; }
    const span_gate_params& params() const { return params_; }

    state initial() const {
        auto inner = tokens_.initial();
        present now{.tokens = inner.now};
        return {.now = std::move(now), .tokens = std::move(inner), .threshold = threshold_.initial()};
    }

    gate_decision step(state& passed, const gate_input& input) const {
        present& now = passed.now;
        const float rate = [&] {
            const loan lent(passed);
            return tokens_.step(passed.tokens, input).rate;
        }();
        now.charge = std::fmaf(params_.keep, now.charge, (1.0F - params_.keep) * rate);
        now.peak = std::max(now.peak, now.charge);
        return {.rate = rate, .theta = theta(passed, input.token), .fire = false};
    }

    void settle(state& passed, token_id token, bool) const {
        const loan lent(passed);
        tokens_.settle(passed.tokens, token, false);
    }

    gate_decision end_span(state& passed, const gate_input& last) const {
        present& now = passed.now;
        now.sum = std::fmaf(params_.carry, now.sum, now.peak);
        const gate_decision decision{.rate = std::min(now.sum, 1.0F), .theta = theta(passed, last.token)};
        const bool fire = decision.rate >= decision.theta;
        now.charge = now.peak = 0;
        if (fire) now.sum = 0;
        return {.rate = decision.rate, .theta = decision.theta, .fire = fire};
    }

    void settle_span(state& passed, token_id last, bool kept) const {
        threshold_.settle(passed.threshold, last, kept);
    }

 private:
    struct loan {  // given back also if the inner gate throws
        explicit loan(state& passed) : s(passed) { std::swap(s.tokens.now, s.now.tokens); }
        ~loan() { std::swap(s.tokens.now, s.now.tokens); }
        loan(const loan&) = delete;
        loan& operator=(const loan&) = delete;
        state& s;
    };

    float theta(const state& passed, token_id token) const {
        return in_range("span_gate theta", threshold_.theta(passed.threshold, token));
    }

    G tokens_;
    T threshold_;
    span_gate_params params_;
};

/// Keeps a span with the given probability, whatever it holds: the baseline at equal coverage.
class random_span_gate {
 public:
    struct state {
        stateless now;
        friend bool operator==(const state&, const state&) = default;
    };

    /// probability in [0, 1], else nullm::error.
    explicit random_span_gate(float probability)
        : theta_(1.0F - in_range("random_span_gate probability", probability)) {}

    state initial() const { return {}; }
    gate_decision step(state&, const gate_input&) const {
        return {.rate = 0.0F, .theta = theta_, .fire = false};
    }
    void settle(state&, token_id, bool) const {}
    gate_decision end_span(state&, const gate_input& last) const {
        const float rate = draw_uniform({.seed = last.seed,
                                         .stream = draw_stream::gate,
                                         .position = last.position,
                                         .repeat = last.repeat});
        return {.rate = rate, .theta = theta_, .fire = rate >= theta_};
    }
    void settle_span(state&, token_id, bool) const {}

 private:
    float theta_;
};
static_assert(SpanGate<random_span_gate>);

}  // namespace nullm::inline NULLM_ABI
