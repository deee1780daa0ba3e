#include <nullm/generate/gate_log.hpp>
#include <nullm/spike/drives/magnitude_drive.hpp>
#include <nullm/spike/quiet_gate.hpp>
#include <nullm/spike/reprogrammed_threshold.hpp>

#include <cmath>
#include <limits>
#include <spike/toy_vocabulary.hpp>
#include <support/catch.hpp>
#include <vector>

using nullm::reprogrammed_params;
using nullm::reprogrammed_threshold;
using nullm::token_id;

namespace {

/// Term-ness -1 and 1 after standardising, in turn.
nullm::aligned_vector<float> alternating(std::size_t size) {
    nullm::aligned_vector<float> table(size);
    for (std::size_t t = 0; t < size; ++t) table[t] = t % 2 == 0 ? 3.0F : 7.0F;
    return table;
}

reprogrammed_params still() {
    reprogrammed_params params;
    params.homeostasis.reset();
    return params;
}

}  // namespace

TEST_CASE("a term's threshold is lower than a filler's, by the weight of term-ness in log odds",
          "[spike][threshold]") {
    for (const float theta : {0.02F, 0.5F, 0.9F}) {
        auto params = still();
        params.theta = theta;
        params.termness = 0.5F;
        const reprogrammed_threshold threshold(alternating(10), params);
        const auto state = threshold.initial();
        const double odds = static_cast<double>(theta) / (1.0 - static_cast<double>(theta));
        for (token_id t = 0; t < 10; ++t) {
            const double moved = odds * std::exp(t % 2 == 0 ? 0.5 : -0.5);
            CHECK(threshold.theta(state, t) == Approx(moved / (1 + moved)));
        }
    }
}

TEST_CASE("no token's threshold leaves its bounds", "[spike][threshold]") {
    auto params = still();
    params.theta = 0.6F;
    params.termness = 4.0F;
    params.lowest = 0.2F;
    params.highest = 0.95F;
    const reprogrammed_threshold threshold(alternating(10), params);
    CHECK(threshold.theta(threshold.initial(), 0) == 0.95F);
    CHECK(threshold.theta(threshold.initial(), 1) == 0.2F);
}

TEST_CASE("bounds of 0 and 1 give numbers for every theta", "[spike][threshold]") {
    for (const float theta : {0.0F, 1.0F}) {
        auto params = still();
        params.theta = theta;
        params.termness = 8.0F;
        params.lowest = 0.0F;
        params.highest = 1.0F;
        const reprogrammed_threshold threshold(alternating(10), params);
        for (token_id t = 0; t < 10; ++t) CHECK(threshold.theta(threshold.initial(), t) == theta);
    }
}

TEST_CASE("without homeostasis nothing is learned", "[spike][threshold]") {
    const reprogrammed_threshold threshold(alternating(10), still());
    auto state = threshold.initial();
    for (int i = 0; i < 100; ++i) threshold.settle(state, 1, true);
    CHECK(state == threshold.initial());
}

TEST_CASE("homeostasis brings the share that fires to its target whatever the token's thresholds",
          "[spike][threshold]") {
    // Rates uniform in [0, 1]: the share that fires is 1 less the mean of the two thresholds, which at theta
    // = 0.7 are 0.793 and 0.586, so theta rests a little above 0.7.
    for (const float initial : {0.05F, 0.95F}) {
        reprogrammed_params params;
        params.theta = initial;
        params.termness = 0.5F;
        params.homeostasis->target = 0.3F;
        const reprogrammed_threshold threshold(alternating(10), params);
        auto state = threshold.initial();
        int fired = 0;
        for (std::int64_t t = 0; t < 12000; ++t) {
            const auto token = static_cast<token_id>(nullm::draw_u32({.seed = 3, .position = t}) % 10);
            const bool fire =
                nullm::draw_uniform({.seed = 4, .position = t}) >= threshold.theta(state, token);
            threshold.settle(state, token, fire);
            if (t >= 2000) fired += fire ? 1 : 0;
        }
        CHECK(fired / 10000.0 == Approx(0.3).margin(0.02));
        CHECK(state.theta == Approx(0.7).margin(0.15));
    }
}

TEST_CASE("a drive that knows nothing of words fires on terms under this threshold", "[spike][threshold]") {
    const spike_test::toy_vocabulary toy;
    auto params = still();
    params.prototypes.count = 16;
    params.prototypes.rank_weight = 0.0F;
    params.termness = 2.0F;
    params.theta = 0.3F;
    const nullm::spike_gate gate(nullm::magnitude_drive(toy.view()), nullm::poisson_encoder{}, nullm::lif<>{},
                                 reprogrammed_threshold::build(toy.view(), params));
    auto state = gate.initial();
    int fired[2] = {0, 0};
    int steps[2] = {0, 0};
    for (std::int64_t t = 0; t < 2000; ++t) {
        const auto token = static_cast<token_id>(3 + nullm::draw_u32({.seed = 1, .position = t}) % 397);
        const int kind = static_cast<std::size_t>(token) < toy.grammatical ? 0 : 1;
        fired[kind] += gate.step(state, {.token = token, .position = t}).fire ? 1 : 0;
        ++steps[kind];
    }
    CHECK(fired[0] * 4 < steps[0]);
    CHECK(fired[1] * 2 > steps[1]);
}

TEST_CASE("a gate with this threshold goes back to any position as if what followed had not been",
          "[spike][threshold]") {
    const spike_test::toy_vocabulary toy;
    reprogrammed_params params;
    params.prototypes.count = 16;
    const auto drive = nullm::quiet_drive::build(toy.view());
    const nullm::spike_gate gate(drive, nullm::poisson_encoder{}, nullm::quiet_neuron::build(drive.width()),
                                 reprogrammed_threshold::build(toy.view(), params));
    nullm::gate_log log(gate, 3);
    std::vector<decltype(gate.initial())> states;
    std::vector<nullm::gate_decision> said;
    const auto token_at = [](std::int64_t p) {
        return static_cast<token_id>(nullm::draw_u32({.seed = 9, .position = p}) % 400);
    };
    for (std::int64_t p = 0; p < 300; ++p) {
        states.push_back(log.state());
        said.push_back(log.step(token_at(p), p));
        log.settle(token_at(p), p, said.back().fire);
        log.keep_copy(p + 1);
    }
    for (const std::int64_t back : {299, 128, 3, 0}) {
        log.rewind(back, back);
        CHECK(log.state() == states[static_cast<std::size_t>(back)]);
        const auto again = log.step(token_at(back), back);
        CHECK(again.theta == said[static_cast<std::size_t>(back)].theta);
        CHECK(again.rate == said[static_cast<std::size_t>(back)].rate);
    }
}

TEST_CASE("a threshold that cannot be right is refused", "[spike][threshold]") {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const auto refused = [](auto change) {
        reprogrammed_params params;
        change(params);
        CHECK_THROWS_AS(reprogrammed_threshold(alternating(10), params), nullm::error);
    };
    refused([](auto& p) { p.theta = 1.5F; });
    refused([&](auto& p) { p.termness = nan; });
    refused([](auto& p) { p.termness = -0.1F; });
    refused([](auto& p) { p.termness = 9.0F; });
    refused([](auto& p) { p.highest = 2.0F; });
    refused([](auto& p) { p.lowest = 0.9F, p.highest = 0.8F; });
    refused([](auto& p) { p.homeostasis->target = 1.1F; });
    refused([](auto& p) { p.homeostasis->gain = 0.5F, p.homeostasis->fast_gain = 0.1F; });
    refused([](auto& p) { p.homeostasis->window = 0; });
    CHECK_THROWS_AS(reprogrammed_threshold({}, {}), nullm::error);
    auto table = alternating(10);
    table[3] = nan;
    CHECK_THROWS_AS(reprogrammed_threshold(table, {}), nullm::error);
    const reprogrammed_threshold threshold(alternating(10), {});
    CHECK_THROWS_AS(threshold.theta(threshold.initial(), 10), nullm::error);
    CHECK_THROWS_AS(threshold.theta(threshold.initial(), -1), nullm::error);
}
