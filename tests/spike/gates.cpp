#include <nullm/spike/gates.hpp>

#include <cmath>
#include <limits>
#include <support/catch.hpp>

TEST_CASE("the open gate fires at every position", "[spike][gate]") {
    const nullm::always_open gate{};
    auto state = gate.initial();
    for (std::int64_t t = 0; t < 10; ++t) {
        const auto said = gate.step(state, {.token = 3, .position = t});
        CHECK(said.fire);
        CHECK(said.rate >= said.theta);
    }
}

TEST_CASE("the random gate fires as often as asked, keyed by seed, position and repeat", "[spike][gate]") {
    const nullm::random_gate gate(0.3F);
    auto state = gate.initial();
    int fired = 0;
    int moved = 0;
    constexpr int trials = 20000;
    for (std::int64_t t = 0; t < trials; ++t) {
        const auto said = gate.step(state, {.position = t, .seed = 1});
        REQUIRE(said.fire == (said.rate >= said.theta));
        REQUIRE(gate.step(state, {.token = 9, .position = t, .confidence = 0.1F, .seed = 1}).rate ==
                said.rate);
        fired += said.fire ? 1 : 0;
        moved += gate.step(state, {.position = t, .repeat = 1, .seed = 1}).rate != said.rate ? 1 : 0;
    }
    CHECK(std::abs(fired - 0.3 * trials) <= 5 * std::sqrt(0.3 * 0.7 * trials));
    CHECK(moved > trials - 10);
    nullm::random_gate never(0.0F);
    nullm::random_gate always(1.0F);
    for (std::int64_t t = 0; t < 1000; ++t) {
        CHECK_FALSE(never.step(state, {.position = t}).fire);
        CHECK(always.step(state, {.position = t}).fire);
    }
}

TEST_CASE("a probability outside [0, 1] is refused", "[spike][gate]") {
    for (const float p : {-0.1F, 1.1F, std::numeric_limits<float>::quiet_NaN()}) {
        CHECK_THROWS_AS(nullm::random_gate(p), nullm::error);
    }
}

TEST_CASE("the scripted gate follows its pattern by position, and through pauses", "[spike][gate]") {
    const nullm::scripted_gate gate{true, false, false, true};
    auto state = gate.initial();
    CHECK(gate.step(state, {.position = 0}).fire);
    CHECK_FALSE(gate.step(state, {.position = 1}).fire);
    CHECK(gate.step(state, {.position = 3}).fire);
    CHECK(gate.step(state, {.position = 1, .repeat = 2}).fire);
    CHECK_FALSE(gate.step(state, {.position = 4}).fire);
    const nullm::scripted_gate open_behind({false}, true);
    CHECK_FALSE(open_behind.step(state, {.position = 0}).fire);
    CHECK(open_behind.step(state, {.position = 1}).fire);
    CHECK_THROWS_AS(gate.step(state, {.position = -1}), nullm::error);
}

TEST_CASE("the scripted gate's state tells apart what was stepped and settled, and in what order",
          "[spike][gate]") {
    const nullm::scripted_gate gate{true, false};
    const auto after = [&](std::initializer_list<nullm::gate_input> inputs) {
        auto state = gate.initial();
        for (const auto& input : inputs) gate.step(state, input);
        CHECK(state.learned == gate.initial().learned);
        return state;
    };
    const nullm::gate_input a{.token = 1, .position = 0};
    const nullm::gate_input b{.token = 2, .position = 1};
    CHECK(after({a, b}) == after({a, b}));
    CHECK(after({a, b}) != after({b, a}));
    CHECK(after({a}) != after({a, a}));
    CHECK(after({a}) != after({{.token = 1, .position = 0, .confidence = 0.5F}}));
    CHECK(after({a}) != after({{.token = 1, .position = 0, .repeat = 1}}));
    auto x = gate.initial();
    auto y = gate.initial();
    gate.settle(x, 1, true);
    gate.settle(y, 1, false);
    CHECK(x.now == gate.initial().now);
    CHECK(x != y);
    // A rewind: step, restore `now`, step again.
    auto state = after({a});
    const auto saved = state.now;
    gate.step(state, b);
    state.now = saved;
    CHECK(state == after({a}));
}
