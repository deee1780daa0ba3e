#include <nullm/core/random.hpp>
#include <nullm/generate/gate_log.hpp>
#include <nullm/spike/drives/surprise_drive.hpp>
#include <nullm/spike/quiet_gate.hpp>

#include <limits>
#include <support/catch.hpp>
#include <vector>

using nullm::surprise_drive;
using nullm::token_id;

namespace {

constexpr std::size_t words = 300;
using surprise_gate = nullm::quiet_gate_of<surprise_drive>;

surprise_gate small_gate() {
    return nullm::make_quiet_gate(surprise_drive(words, {.neurons = 64, .ngram = {.lines = 64}}),
                                  {.theta = 0.3F});
}

token_id drawn_token(std::int64_t position) {
    return static_cast<token_id>(nullm::draw_u32({.seed = 5, .position = position}) % 40);
}

}  // namespace

TEST_CASE("what repeats adapts away, and what breaks the repetition stands out", "[spike][surprise]") {
    const surprise_drive drive(words);
    auto trace = drive.initial_trace();
    auto memory = drive.initial_memory();
    float first = 0;
    float last = 0;
    std::int64_t position = 0;
    for (int round = 0; round < 30; ++round) {
        for (const token_id token : {60, 61, 62, 63}) {
            const float x = drive.intensity(trace, memory, {.token = token, .position = position++});
            drive.settle(memory, token);
            if (round == 0) first += x / 4;
            if (round == 29) last += x / 4;
        }
    }
    auto other = trace;
    const float expected = drive.intensity(trace, memory, {.token = 60, .position = position});
    const float strange = drive.intensity(other, memory, {.token = 62, .position = position});
    CHECK(first > 0.4F);
    CHECK(last < 0.1F);
    CHECK(expected < 0.1F);
    CHECK(strange > 4 * expected);
}

TEST_CASE("the intensity is the surprise against the ceiling, the same for every neuron",
          "[spike][surprise]") {
    const surprise_drive drive(words, {.neurons = 32, .ceiling = 20.0F});
    auto trace = drive.initial_trace();
    const auto memory = drive.initial_memory();
    std::vector<float> out(32);
    for (const token_id token : {0, 20, 299}) {
        drive.intensities(trace, memory, {.token = token, .position = token}, out);
        for (const float x : out) CHECK(x == out[0]);
        CHECK(out[0] == Approx(drive.ngram().surprise(memory, {}, token) / 20.0F));
    }
}

TEST_CASE("doubt adds to surprise, and neither gives a verdict", "[spike][surprise]") {
    const surprise_drive drive(words, {.ceiling = 8.0F, .uncertainty_weight = 0.25F});
    auto trace = drive.initial_trace();
    const auto memory = drive.initial_memory();
    const float certain = drive.intensity(trace, memory, {.token = 9, .position = 0});
    const float doubtful = drive.intensity(trace, memory, {.token = 9, .position = 0, .confidence = 0.0F});
    CHECK(doubtful == Approx(certain + 0.25F));
    const surprise_drive steep(words, {.ceiling = 0.1F});
    const float highest = steep.intensity(trace, memory, {.token = 9, .position = 0});
    CHECK((highest > 0.99F && highest < 1.0F));
    CHECK_THROWS_AS(drive.intensity(trace, memory, {.token = 9, .confidence = 1.5F}), nullm::error);
}

TEST_CASE("a candidate is context of the next one until it is taken back", "[spike][surprise]") {
    const surprise_drive drive(words);
    auto trace = drive.initial_trace();
    auto memory = drive.initial_memory();
    for (int i = 0; i < 10; ++i) {
        for (const token_id token : {70, 71}) drive.settle(memory, token);
    }
    drive.intensity(trace, memory, {.token = 71, .position = 0});
    const auto kept = trace;
    drive.intensity(trace, memory, {.token = 70, .position = 1});
    const float after_70 = drive.intensity(trace, memory, {.token = 71, .position = 2});
    trace = kept;
    drive.intensity(trace, memory, {.token = 200, .position = 1});
    const float after_200 = drive.intensity(trace, memory, {.token = 71, .position = 2});
    CHECK(after_70 < after_200);
}

TEST_CASE("a gate of surprise goes back to any position as if what followed had not been",
          "[spike][surprise]") {
    const auto gate = small_gate();
    nullm::gate_log log(gate, 3);
    std::vector<nullm::gate_decision> first;
    std::vector<surprise_gate::state> states;
    for (std::int64_t p = 0; p < 300; ++p) {
        states.push_back(log.state());
        first.push_back(log.step(drawn_token(p), p));
        log.settle(drawn_token(p), p, first.back().fire);
        log.keep_copy(p + 1);
    }
    for (const std::int64_t back : {299, 210, 90, 1, 0}) {
        log.rewind(back, back);
        CHECK(log.state() == states[static_cast<std::size_t>(back)]);
        const auto again = log.step(drawn_token(back), back);
        CHECK(again.rate == first[static_cast<std::size_t>(back)].rate);
        CHECK(again.fire == first[static_cast<std::size_t>(back)].fire);
    }
}

TEST_CASE("surprise that cannot be right is refused, and changes nothing", "[spike][surprise]") {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    CHECK_THROWS_AS(surprise_drive(0), nullm::error);
    CHECK_THROWS_AS(surprise_drive(words, {.neurons = 0}), nullm::error);
    CHECK_THROWS_AS(surprise_drive(words, {.ceiling = 0.0F}), nullm::error);
    CHECK_THROWS_AS(surprise_drive(words, {.uncertainty_weight = nan}), nullm::error);
    CHECK_THROWS_AS(surprise_drive(words, {.ngram = {.order = 20}}), nullm::error);
    const surprise_drive drive(words);
    auto trace = drive.initial_trace();
    CHECK_THROWS_AS(drive.intensity(trace, drive.initial_memory(), {.token = words}), nullm::error);
    CHECK_THROWS_AS(drive.intensity(trace, drive.initial_memory(), {.token = -1}), nullm::error);
    CHECK(trace == drive.initial_trace());
}
