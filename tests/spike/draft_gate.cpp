#include <nullm/spike/draft_gate.hpp>

#include <support/catch.hpp>

#include <cstdint>
#include <limits>
#include <vector>

namespace {

using nullm::draft_drive;
using nullm::gate_input;
using nullm::pass_costs;

/// Intensities of the first neuron over tokens of these confidences.
std::vector<float> driven(const draft_drive& drive, const std::vector<float>& confidences) {
    auto now = drive.initial_trace();
    std::vector<float> out(drive.width()), seen;
    for (const float confidence : confidences) {
        drive.intensities(now, {}, {.token = 3, .confidence = confidence}, out);
        for (const float each : out) REQUIRE(each == out[0]);
        seen.push_back(out[0]);
    }
    return seen;
}

}  // namespace

TEST_CASE("drafts excite by the price of one more row against the probability that all of them stand",
          "[spike]") {
    const draft_drive drive({.neurons = 8, .price = 2.0F, .costs = pass_costs{{1, 1.0}, {3, 1.2}, {4, 1.5}}});
    const auto seen = driven(drive, {0.5F, 0.5F, 0.5F});
    // Rows of the pass so far: 2, 3, 4; one more costs 0.1, 0.3, 0.3.
    CHECK(seen[0] == Approx(0.2 / (0.2 + 0.5)));
    CHECK(seen[1] == Approx(0.6 / (0.6 + 0.25)));
    CHECK(seen[2] == Approx(0.6 / (0.6 + 0.125)));
}

TEST_CASE("a certain token excites every neuron and starts a new pass", "[spike]") {
    const draft_drive drive({.neurons = 8});
    const auto seen = driven(drive, {1.0F, 0.5F, 0.5F, 1.0F, 0.5F});
    CHECK(seen[0] == 1.0F);
    CHECK(seen[3] == 1.0F);
    CHECK(seen[1] == seen[4]);
    CHECK(seen[2] > seen[1]);
}

TEST_CASE("where one more row is free, drafts excite nothing", "[spike]") {
    const draft_drive drive({.neurons = 8, .costs = pass_costs{{1, 1.0}, {2, 1.0}}});
    CHECK(driven(drive, {0.9F, 0.01F})[1] == 0.0F);
    // Neither free nor of any worth: nothing waits that could gain from waiting.
    CHECK(driven(drive, {0.0F})[0] == 1.0F);
}

TEST_CASE("the draft drive refuses what has no meaning", "[spike]") {
    CHECK_THROWS_AS(draft_drive({.neurons = 0}), nullm::error);
    CHECK_THROWS_AS(draft_drive({.price = 0.0F}), nullm::error);
    CHECK_THROWS_AS(draft_drive({.price = std::numeric_limits<float>::infinity()}), nullm::error);
    const draft_drive drive;
    auto now = drive.initial_trace();
    std::vector<float> out(drive.width());
    CHECK_THROWS_AS(drive.intensities(now, {}, {.confidence = 1.5F}, out), nullm::error);
    CHECK(now == drive.initial_trace());
}

TEST_CASE("relays give back the intensity as a rate, and keep no charge", "[spike]") {
    const auto gate =
        nullm::make_draft_gate({.neurons = 4096, .price = 1.0F, .costs = pass_costs{{1, 1.0}, {2, 1.5}}});
    auto state = gate.initial();
    std::int64_t position = 0;
    const auto rate = [&](float confidence) {
        return gate.step(state, {.token = 1, .position = position++, .confidence = confidence, .seed = 7})
            .rate;
    };
    CHECK(rate(1.0F) == 1.0F);
    CHECK(rate(0.5F) == Approx(0.5).margin(0.04));   // 5 standard deviations of 4096 neurons
    CHECK(rate(0.25F) == Approx(0.8).margin(0.04));  // 0.5 / (0.5 + 0.125)
    CHECK(rate(1.0F) == 1.0F);
    CHECK(rate(0.9F) == Approx(0.5 / 1.4).margin(0.04));
}

TEST_CASE("the draft gate fires where a row costs more than a draft may bring", "[spike]") {
    const auto gate = nullm::make_draft_gate();
    const auto drafts_before_firing = [&](float confidence, std::uint64_t seed) {
        auto state = gate.initial();
        gate.step(state, {.token = 1, .position = 0, .confidence = 1.0F, .seed = seed});
        std::int64_t drafts = 0;
        while (drafts < 64 &&
               !gate.step(state, {.token = 1, .position = drafts + 1, .confidence = confidence, .seed = seed})
                    .fire)
            ++drafts;
        return drafts;
    };
    for (std::uint64_t seed = 0; seed < 8; ++seed) {
        CHECK(drafts_before_firing(0.05F, seed) == 0);
        CHECK(drafts_before_firing(0.6F, seed) >= 1);
        CHECK(drafts_before_firing(0.6F, seed) <= 3);
        CHECK(drafts_before_firing(0.97F, seed) > 8);
    }
}
