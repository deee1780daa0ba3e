#include <nullm/core/random.hpp>
#include <nullm/spike/thresholds.hpp>

#include <cmath>
#include <limits>
#include <support/catch.hpp>

using nullm::fixed_threshold;
using nullm::target_rate_threshold;

TEST_CASE("a fixed threshold says the same for every token and learns nothing", "[spike][threshold]") {
    const fixed_threshold threshold(0.25F);
    auto state = threshold.initial();
    for (nullm::token_id token = 0; token < 5; ++token) {
        CHECK(threshold.theta(state, token) == 0.25F);
        threshold.settle(state, token, token % 2 == 0);
    }
    CHECK(state == threshold.initial());
}

TEST_CASE("thresholds outside their range are refused", "[spike][threshold]") {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    for (const float theta : {-0.1F, 1.1F, nan}) CHECK_THROWS_AS(fixed_threshold(theta), nullm::error);
    CHECK_NOTHROW(fixed_threshold(0.0F));
    CHECK_NOTHROW(fixed_threshold(1.0F));
    CHECK_THROWS_AS(target_rate_threshold({.target = 1.5F}), nullm::error);
    CHECK_THROWS_AS(target_rate_threshold({.target = nan}), nullm::error);
    CHECK_THROWS_AS(target_rate_threshold({.gain = -1.0F}), nullm::error);
    CHECK_THROWS_AS(target_rate_threshold({.gain = 0.5F, .fast_gain = 0.1F}), nullm::error);
    CHECK_THROWS_AS(target_rate_threshold({.fast_gain = nan}), nullm::error);
    CHECK_THROWS_AS(target_rate_threshold({.window = 0}), nullm::error);
    CHECK_THROWS_AS(target_rate_threshold({.highest = 2.0F}), nullm::error);
    CHECK_THROWS_AS(target_rate_threshold({.lowest = 0.8F, .highest = 0.5F}), nullm::error);
    CHECK_THROWS_AS(target_rate_threshold({.initial = 0.05F, .lowest = 0.1F}), nullm::error);
}

TEST_CASE("homeostasis brings the share that fires to its target, from either side", "[spike][threshold]") {
    // Rates uniform in [0, 1]: a target of 40 % rests at theta = 0.6. Over the last 10,000 positions the
    // share is a mean of nearly independent draws, sd 0.005, pulled further together by the feedback; 0.02 is
    // four of them.
    for (const float initial : {0.05F, 0.95F}) {
        const target_rate_threshold threshold({.target = 0.4F, .initial = initial});
        auto state = threshold.initial();
        int fired = 0;
        for (std::int64_t t = 0; t < 12000; ++t) {
            const bool fire = nullm::draw_uniform({.seed = 4, .position = t}) >= threshold.theta(state, 0);
            threshold.settle(state, 0, fire);
            if (t >= 2000) fired += fire ? 1 : 0;
        }
        CHECK(fired / 10000.0 == Approx(0.4).margin(0.02));
        CHECK(state.theta ==
              Approx(0.6).margin(
                  0.15));  // sd of theta at the slow gain about sqrt(gain target (1 - target) / 2) = 0.016
    }
}

TEST_CASE("homeostasis stays inside its bounds and replays", "[spike][threshold]") {
    const target_rate_threshold threshold(
        {.target = 0.5F, .initial = 0.3F, .gain = 0.1F, .fast_gain = 0.1F, .lowest = 0.2F, .highest = 0.4F});
    auto state = threshold.initial();
    for (int i = 0; i < 50; ++i) threshold.settle(state, 1, true);
    CHECK(threshold.theta(state, 1) == 0.4F);
    for (int i = 0; i < 50; ++i) threshold.settle(state, 1, false);
    CHECK(threshold.theta(state, 1) == 0.2F);
    auto again = threshold.initial();
    for (int i = 0; i < 50; ++i) threshold.settle(again, 1, true);
    for (int i = 0; i < 50; ++i) threshold.settle(again, 1, false);
    CHECK(again == state);
}

TEST_CASE("a share that holds is held gently, and one that breaks is caught fast", "[spike][threshold]") {
    const target_rate_threshold threshold({.target = 0.4F, .initial = 0.6F});
    auto state = threshold.initial();
    const auto run = [&](std::int64_t from, std::int64_t to, float shift) {
        int fired = 0;
        for (std::int64_t t = from; t < to; ++t) {
            const bool fire =
                nullm::draw_uniform({.seed = 4, .position = t}) + shift >= threshold.theta(state, 0);
            threshold.settle(state, 0, fire);
            fired += fire ? 1 : 0;
        }
        return static_cast<double>(fired) / static_cast<double>(to - from);
    };
    run(0, 4000, 0.0F);
    const float held = state.theta;
    for (int block = 0; block < 8; ++block) {
        const float before = state.theta;
        run(4000 + 100 * block, 4100 + 100 * block, 0.0F);
        CHECK(std::fabs(state.theta - before) < 0.12F);  // 100 steps of 0.002 to 0.004, half of them each way
    }
    // The rates fall by 0.35: at the slow gain alone that takes about 500 positions, and 2,000 of them would
    // be 8 % short.
    CHECK(run(5000, 7000, -0.35F) == Approx(0.4).margin(0.03));
    CHECK(state.theta < held - 0.2F);
}
