#include <nullm/spike/gates.hpp>
#include <nullm/spike/quiet_gate.hpp>

#include <spike/toy_vocabulary.hpp>
#include <support/catch.hpp>

using nullm::token_id;

namespace {

/// Importance alone, with the logistic put between the toy's grammatical words and the others.
nullm::importance_params apart(float centre) {
    nullm::importance_params params;
    params.rank_weight = params.novelty_weight = params.digit_floor = params.capital_floor =
        params.rare_floor = 0.0F;
    params.slope = 2.0F;
    params.centre = centre;
    return params;
}

}  // namespace

TEST_CASE("the quiet gate fires on words that matter and sleeps over the others", "[spike][gate]") {
    const spike_test::toy_vocabulary toy;
    const auto gate = nullm::make_quiet_gate(
        toy.view(), {.theta = 0.28F}, {.importance = apart(-0.5F), .surprise = {}, .surprise_weight = 0.0F});
    auto state = gate.initial();
    int fired[2] = {0, 0};
    int steps[2] = {0, 0};
    for (std::int64_t t = 0; t < 2000; ++t) {
        const auto token = static_cast<token_id>(3 + nullm::draw_u32({.seed = 1, .position = t}) % 397);
        const auto said = gate.step(state, {.token = token, .position = t, .seed = 1});
        gate.settle(state, token, said.fire);
        const int kind = static_cast<std::size_t>(token) < toy.grammatical ? 0 : 1;
        fired[kind] += said.fire ? 1 : 0;
        ++steps[kind];
    }
    CHECK(fired[0] < steps[0] / 10);
    CHECK(fired[1] > steps[1] * 9 / 10);
}

TEST_CASE("doubt over several tokens opens a gate that one doubtful token leaves shut", "[spike][gate]") {
    const spike_test::toy_vocabulary toy;
    const auto drive = nullm::importance_drive::build(toy.view(), apart(0.0F));
    const token_id grammatical = 5;
    REQUIRE(drive.importance(grammatical) < 0.1F);
    const auto gate = nullm::make_quiet_gate(drive);
    double first = 0;
    double third = 0;
    constexpr int trials = 200;
    for (std::uint64_t seed = 0; seed < trials; ++seed) {
        auto state = gate.initial();
        for (std::int64_t t = 0; t < 3; ++t) {
            const float rate =
                gate.step(state, {.token = grammatical, .position = t, .confidence = 0.3F, .seed = seed})
                    .rate;
            if (t == 0) first += static_cast<double>(rate) / trials;
            if (t == 2) third += static_cast<double>(rate) / trials;
        }
    }
    // Two thirds of the neurons answer at once; of the last third those that were hit in the last two
    // positions join.
    CHECK(first > 0);
    CHECK(third > 1.1 * first);
}

TEST_CASE("a special token opens the quiet gate at once", "[spike][gate]") {
    const spike_test::toy_vocabulary toy;
    const auto gate = nullm::make_quiet_gate(toy.view());
    auto state = gate.initial();
    CHECK(gate.step(state, {.token = 0, .position = 0}).fire);
}

TEST_CASE(
    "a word that is never skipped fires at any theta up to two thirds, one that always is at none above 0",
    "[spike][gate]") {
    const spike_test::toy_vocabulary toy;
    nullm::quiet_drive_params drive;
    drive.importance.never_skip = {{20}};
    drive.importance.always_skip = {{390}};
    const auto gate = nullm::make_quiet_gate(toy.view(), {.theta = 0.66F}, drive);
    auto state = gate.initial();
    for (std::int64_t t = 0; t < 1000; ++t) {
        const auto drawn = static_cast<token_id>(3 + nullm::draw_u32({.seed = 7, .position = t}) % 397);
        const token_id token = t % 3 == 0 ? 20 : t % 3 == 1 ? 390 : drawn;
        const auto said = gate.step(state, {.token = token, .position = t, .seed = 2});
        gate.settle(state, token, said.fire);
        if (token == 20) CHECK(said.fire);
        if (token == 390) CHECK(said.rate == 0.0F);
    }
}

TEST_CASE("the population's thresholds are spread evenly, none outside its bounds", "[spike][gate]") {
    const auto neurons = nullm::spread_population(4, 0.5F, 1.0F, 2.0F);
    const auto values = neurons.threshold.values();
    REQUIRE(values.size() == 4);
    for (std::size_t i = 0; i < 4; ++i) CHECK(values[i] == 1.125F + 0.25F * static_cast<float>(i));
    CHECK_THROWS_AS(nullm::spread_population(0, 0.5F, 1.0F, 2.0F), nullm::error);
}

TEST_CASE("a theta outside its range is refused", "[spike][gate]") {
    const spike_test::toy_vocabulary toy;
    CHECK_THROWS_AS(nullm::make_quiet_gate(toy.view(), {.theta = 1.5F}), nullm::error);
    CHECK_THROWS_AS(nullm::make_quiet_gate(toy.view(), {.theta = -0.5F}), nullm::error);
}
