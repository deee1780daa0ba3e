#include <nullm/spike/calibrate.hpp>
#include <nullm/spike/gates.hpp>
#include <nullm/spike/quiet_gate.hpp>

#include <spike/toy_vocabulary.hpp>
#include <support/catch.hpp>

#include <cmath>
#include <limits>
#include <vector>

using nullm::calibrate;
using nullm::token_id;

namespace {

/// Token t has the rate t / 100; the threshold moves by `lift` at every position that fired and is back where
/// it was after one that did not.
struct ramp_gate {
    float base;
    float lift = 0.0F;
    struct state {
        nullm::stateless now;
        bool fired = false;
    };
    state initial() const { return {}; }
    nullm::gate_decision step(state& s, const nullm::gate_input& input) const {
        const float rate = static_cast<float>(input.token) / 100.0F;
        const float theta = base + (s.fired ? lift : 0.0F);
        return {.rate = rate, .theta = theta, .fire = rate >= theta};
    }
    void settle(state& s, token_id, bool fired) const { s.fired = fired; }
};
static_assert(nullm::Gate<ramp_gate>);
static_assert(!nullm::rate_ignores_theta<ramp_gate>);
static_assert(nullm::rate_ignores_theta<nullm::quiet_gate>);

std::vector<token_id> draws(std::size_t size, std::uint64_t seed, std::uint32_t below) {
    std::vector<token_id> text(size);
    for (std::size_t i = 0; i < size; ++i) {
        const nullm::draw_key key{.seed = seed, .position = static_cast<std::int64_t>(i)};
        text[i] = static_cast<token_id>(nullm::draw_u32(key) % below);
    }
    return text;
}

auto quiet_gates() {
    const spike_test::toy_vocabulary toy;
    const auto drive =
        nullm::importance_drive::build(toy.view(), {.rank_weight = 0.0F, .slope = 1.0F, .centre = -0.5F});
    return [drive](float theta) { return nullm::make_quiet_gate(drive, {.theta = theta}); };
}

}  // namespace

TEST_CASE("a fixed threshold is fitted to the nearest skip rate the text has", "[spike][calibrate]") {
    const auto gates = quiet_gates();
    const auto text = draws(1000, 3, 400);
    for (const double wanted : {0.05, 0.3, 0.5, 0.6, 0.8, 0.95}) {
        const auto fitted = calibrate(gates, text, wanted, {.seed = 9});
        INFO("wanted " << wanted << ", theta " << fitted.theta);
        CHECK(fitted.positions == text.size());
        CHECK(fitted.skip == nullm::skip_rate(gates(fitted.theta), text, {.seed = 9}));
        CHECK(fitted.lower <= wanted);
        CHECK(fitted.upper >= wanted);
        CHECK(std::abs(fitted.skip - wanted) <= fitted.upper - fitted.lower);
        // No theta of a fine sweep is nearer.
        for (int i = 0; i <= 128; ++i) {
            const double other = nullm::skip_rate(gates(static_cast<float>(i) / 128), text, {.seed = 9});
            REQUIRE(std::abs(other - wanted) >= std::abs(fitted.skip - wanted));
            REQUIRE((other <= fitted.lower || other >= fitted.upper));
        }
    }
}

TEST_CASE("theta lies between two rates, so that a rounded theta decides the same", "[spike][calibrate]") {
    const auto gates = quiet_gates();
    const auto text = draws(2000, 4, 400);
    const auto fitted = calibrate(gates, text, 0.6);
    for (const float nudge : {-1e-4F, 1e-4F})
        CHECK(nullm::skip_rate(gates(fitted.theta + nudge), text) == fitted.skip);
}

TEST_CASE("nothing is skipped at a target of 0, and all that can be at 1", "[spike][calibrate]") {
    const auto gates = quiet_gates();
    const auto text = draws(500, 5, 400);
    const auto none = calibrate(gates, text, 0.0);
    CHECK(none.theta == 0.0F);
    CHECK(none.skip == 0.0);
    const auto all = calibrate(gates, text, 1.0);
    CHECK(all.skip == nullm::skip_rate(gates(1.0F), text));
    CHECK(nullm::skip_rate(gates(all.theta), text) == all.skip);
}

TEST_CASE("a text of one token has two skip rates, and the lower one is taken where both are as far",
          "[spike][calibrate]") {
    const std::vector<token_id> text(40, 50);
    const auto fitted = calibrate([](float theta) { return ramp_gate{theta}; }, text, 0.5);
    CHECK(fitted.skip == 0.0);
    CHECK(fitted.lower == 0.0);
    CHECK(fitted.upper == 1.0);
}

TEST_CASE("a threshold that moves with what it fired at is fitted by running it", "[spike][calibrate]") {
    const auto text = draws(5000, 6, 100);
    const auto gates = [](float theta) { return ramp_gate{theta, 0.2F}; };
    for (const double wanted : {0.3, 0.5, 0.7, 0.9}) {
        const auto fitted = calibrate(gates, text, wanted);
        INFO("wanted " << wanted << ", theta " << fitted.theta);
        CHECK(fitted.skip == nullm::skip_rate(gates(fitted.theta), text));
        // One token in a hundred has a given rate, and theta meets two of them: with and without the lift.
        CHECK(std::abs(fitted.skip - wanted) <= 0.02);
    }
}

TEST_CASE("positions of the warm-up are stepped and not counted", "[spike][calibrate]") {
    // The first ten tokens never fire, the others always do.
    std::vector<token_id> text(10, 0);
    text.insert(text.end(), 90, 99);
    const auto gate = ramp_gate{0.5F};
    CHECK(nullm::skip_rate(gate, text) == 0.1);
    CHECK(nullm::skip_rate(gate, text, {.warm_up = 10}) == 0.0);
    CHECK(nullm::skip_rate(gate, text, {.warm_up = 5}) == 5.0 / 95.0);
}

TEST_CASE("a target outside 0 to 1 and a text within its warm-up are refused", "[spike][calibrate]") {
    const auto gates = [](float theta) { return ramp_gate{theta}; };
    const std::vector<token_id> text(10, 1);
    for (const double wrong : {-0.1, 1.1, std::numeric_limits<double>::quiet_NaN()})
        CHECK_THROWS_AS(calibrate(gates, text, wrong), nullm::error);
    CHECK_THROWS_AS(calibrate(gates, std::span<const token_id>(), 0.5), nullm::error);
    CHECK_THROWS_AS(calibrate(gates, text, 0.5, {.warm_up = 10}), nullm::error);
    CHECK_THROWS_AS(nullm::skip_rate(gates(0.5F), text, {.warm_up = 11}), nullm::error);
}
