#include <nullm/generate/gate_log.hpp>
#include <nullm/generate/span_gate.hpp>
#include <nullm/spike/gates.hpp>
#include <nullm/spike/thresholds.hpp>

#include <support/catch.hpp>
#include <support/hash_span_gate.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <map>
#include <vector>

namespace {

using nullm::fixed_threshold;
using nullm::gate_decision;
using nullm::span_gate;
using nullm::token_id;

/// Its rate is the token in hundredths; token -1 throws.
struct rate_gate {
    struct state {
        int now = 0;
        int learned = 0;
    };
    state initial() const { return {}; }
    gate_decision step(state& s, const nullm::gate_input& in) const {
        ++s.now;
        if (in.token < 0) throw nullm::error("rate_gate", "a token", "none");
        return {.rate = static_cast<float>(in.token) / 100.0F, .theta = 0.0F, .fire = true};
    }
    void settle(state& s, token_id, bool fired) const { s.learned += fired ? 1000 : 1; }
};

/// Its rate is 1 / (1 + how often the token was settled before).
struct novelty_gate {
    struct state {
        nullm::stateless now;
        std::map<token_id, int> seen;
    };
    state initial() const { return {}; }
    gate_decision step(state& s, const nullm::gate_input& in) const {
        const auto found = s.seen.find(in.token);
        return {.rate = 1.0F / (1.0F + static_cast<float>(found == s.seen.end() ? 0 : found->second))};
    }
    void settle(state& s, token_id token, bool) const { ++s.seen[token]; }
};

template <class Gate>
gate_decision span_of(const Gate& gate, typename Gate::state& state, const std::vector<token_id>& tokens) {
    for (const token_id t : tokens) {
        CHECK_FALSE(gate.step(state, {.token = t}).fire);
        gate.settle(state, t, false);
    }
    const gate_decision decision = gate.end_span(state, {.token = tokens.back()});
    gate.settle_span(state, tokens.back(), decision.fire);
    return decision;
}

}  // namespace

TEST_CASE("a span's rate is the peak of a leaky mean over its tokens, plus what silent spans left",
          "[generate]") {
    const span_gate gate(rate_gate{}, fixed_threshold(0.6F), {.keep = 0.75F, .carry = 0.25F});
    auto state = gate.initial();
    double sum = 0;
    int fired = 0;
    for (std::uint32_t span = 0; span < 200; ++span) {
        std::vector<token_id> tokens(1 + nullm::draw_u32({.seed = 1}, span) % 9);
        double charge = 0, peak = 0;
        for (std::size_t i = 0; i < tokens.size(); ++i) {
            tokens[i] = static_cast<token_id>(nullm::draw_u32({.seed = 2 + i}, span) % 101);
            charge = 0.75 * charge + 0.25 * tokens[i] / 100;
            peak = std::max(peak, charge);
        }
        sum = 0.25 * sum + peak;
        const gate_decision decision = span_of(gate, state, tokens);
        CHECK(std::abs(static_cast<double>(decision.rate) - std::min(sum, 1.0)) < 1e-5);
        CHECK(decision.theta == 0.6F);
        CHECK(decision.fire == (decision.rate >= decision.theta));
        if (decision.fire) sum = 0;
        fired += decision.fire ? 1 : 0;
    }
    CHECK(fired > 20);
    CHECK(fired < 180);
}

TEST_CASE("bursts integrate: spans that are each too weak fire in a row, and not far apart", "[generate]") {
    const span_gate gate(rate_gate{}, fixed_threshold(0.5F), {.keep = 0.0F, .carry = 0.5F});
    auto state = gate.initial();
    const std::vector<token_id> odd = {0, 40, 0}, usual = {0, 2, 0};
    CHECK_FALSE(span_of(gate, state, odd).fire);
    CHECK(span_of(gate, state, odd).fire);        // 0.5 x 0.4 + 0.4
    CHECK_FALSE(span_of(gate, state, odd).fire);  // it started again from nothing
    for (int i = 0; i < 4; ++i) CHECK_FALSE(span_of(gate, state, usual).fire);
    CHECK_FALSE(span_of(gate, state, odd).fire);
    const span_gate apart(rate_gate{}, fixed_threshold(0.5F), {.keep = 0.0F, .carry = 0.0F});
    auto other = apart.initial();
    for (int i = 0; i < 20; ++i) CHECK_FALSE(span_of(apart, other, odd).fire);
}

TEST_CASE("repeats adapt away, if the inner gate learns: a line is news once", "[generate]") {
    const span_gate gate(novelty_gate{}, fixed_threshold(0.6F), {.keep = 0.5F, .carry = 0.2F});
    auto state = gate.initial();
    CHECK(span_of(gate, state, {1, 2, 3, 4}).fire);
    for (int i = 0; i < 10; ++i) CHECK_FALSE(span_of(gate, state, {1, 2, 3, 4}).fire);
    CHECK(span_of(gate, state, {1, 2, 8, 9, 10, 4}).fire);
    CHECK_FALSE(span_of(gate, state, {1, 2, 8, 9, 10, 4}).fire);
}

TEST_CASE("a few odd tokens in a row weigh the same wherever they stand in a span of any length",
          "[generate]") {
    const span_gate gate(rate_gate{}, fixed_threshold(1.0F), {.carry = 0.0F});
    const auto rate = [&](std::size_t before, std::size_t after) {
        auto state = gate.initial();
        std::vector<token_id> tokens(before, 0);
        tokens.insert(tokens.end(), {80, 90, 100});
        tokens.insert(tokens.end(), after, 0);
        return span_of(gate, state, tokens).rate;
    };
    CHECK(rate(0, 0) == rate(0, 100));
    CHECK(rate(0, 0) == rate(100, 0));
    CHECK(rate(0, 0) == rate(20, 30));
}

TEST_CASE(
    "a step changes `now` alone, settling the rest, and the inner gate is told what it would be told alone",
    "[generate]") {
    const support::hash_gate inner;
    const span_gate gate(inner, nullm::target_rate_threshold({.target = 0.5F}));
    auto state = gate.initial();
    auto alone = inner.initial();
    for (std::int64_t p = 0; p < 30; ++p) {
        const nullm::gate_input in{.token = static_cast<token_id>(p % 7), .position = p, .confidence = 0.5F};
        auto before = state;
        gate.step(state, in);
        inner.step(alone, in);
        CHECK(state.now.tokens == alone.now);
        CHECK(state.tokens == before.tokens);
        CHECK(state.threshold == before.threshold);
        before = state;
        gate.settle(state, in.token, p % 2 == 0);
        inner.settle(alone, in.token, false);
        CHECK(state.now == before.now);
        CHECK(state.tokens.learned == alone.learned);
        if (p % 5 != 4) continue;
        before = state;
        gate.end_span(state, in);
        CHECK(state.tokens == before.tokens);
        CHECK(state.threshold == before.threshold);
        CHECK(state.now.tokens == before.now.tokens);
        before = state;
        gate.settle_span(state, in.token, true);
        CHECK(state.now == before.now);
        CHECK(state.tokens == before.tokens);
        CHECK(state.threshold.theta > before.threshold.theta);
    }
}

TEST_CASE("the threshold of a span gate is told of spans: it holds the share that is kept", "[generate]") {
    const span_gate gate(nullm::random_gate(0.0F),
                         nullm::target_rate_threshold({.target = 0.2F, .gain = 0.01F}));
    auto state = gate.initial();
    int fired = 0;
    for (std::int64_t span = 0; span < 4000; ++span) {
        for (std::int64_t p = span * 5; p < span * 5 + 5; ++p) gate.step(state, {.token = 0, .position = p});
        const bool fire = gate.end_span(state, {.token = 0, .position = span * 5 + 4}).fire;
        gate.settle_span(state, 0, fire);
        fired += span >= 1000 && fire ? 1 : 0;
    }
    // |theta moved| <= 1 over 3000 spans bounds the error of the share by 1 / (3000 gain).
    CHECK(std::abs(fired / 3000.0 - 0.2) < 1 / (3000 * 0.01));
}

TEST_CASE("a step that throws gives the inner gate back what it lent", "[generate]") {
    const span_gate gate(rate_gate{}, fixed_threshold(0.5F));
    auto state = gate.initial();
    gate.step(state, {.token = 7});
    CHECK_THROWS_AS(gate.step(state, {.token = -1}), nullm::error);
    CHECK(state.now.tokens == 2);
    CHECK(state.tokens.now == 0);
}

TEST_CASE("a log takes span ends back with the token before them, and folds them again", "[generate]") {
    const support::hash_span_gate gate{{.pattern = 0x5A5A5A}};
    for (std::int64_t kept = 0; kept < 40; ++kept) {
        nullm::gate_log log(gate, 3), expected(gate, 3);
        const auto run = [](auto& on, std::int64_t from, std::int64_t to) {
            for (std::int64_t p = from; p < to; ++p) {
                const auto token = static_cast<token_id>(p % 5);
                on.step(token, p);
                on.settle(token, p, false);
                if (p % 3 != 2) continue;
                const bool fire = on.end_span(token, p).fire;
                on.settle_span(token, p, fire);
                on.keep_copy(p + 1);
            }
        };
        run(log, 0, 400);
        log.rewind(kept * 10, kept * 10);
        run(expected, 0, kept * 10);
        REQUIRE(log.state() == expected.state());
        run(log, kept * 10, 300);
        run(expected, kept * 10, 300);
        REQUIRE(log.state() == expected.state());
    }
}

TEST_CASE("a random gate of spans keeps the share it was given, by the key alone", "[generate]") {
    const nullm::random_span_gate gate(0.2F);
    auto state = gate.initial();
    int fired = 0;
    for (std::int64_t p = 0; p < 10000; ++p) {
        CHECK_FALSE(gate.step(state, {.token = 0, .position = p}).fire);
        const gate_decision decision = gate.end_span(state, {.token = 0, .position = p, .seed = 4});
        CHECK(decision.fire == gate.end_span(state, {.token = 3, .position = p, .seed = 4}).fire);
        fired += decision.fire ? 1 : 0;
    }
    // Binomial(10000, 0.2): standard deviation 40; five of them.
    CHECK(std::abs(fired - 2000) < 200);
    CHECK_THROWS_AS(nullm::random_span_gate(1.5F), nullm::error);
}

TEST_CASE("shares outside [0, 1] are refused", "[generate]") {
    constexpr float nan = std::numeric_limits<float>::quiet_NaN();
    for (const float wrong : {-0.1F, 1.1F, nan}) {
        CHECK_THROWS_AS(span_gate(rate_gate{}, fixed_threshold(0.5F), {.keep = wrong}), nullm::error);
        CHECK_THROWS_AS(span_gate(rate_gate{}, fixed_threshold(0.5F), {.carry = wrong}), nullm::error);
    }
}
