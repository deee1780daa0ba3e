#include <nullm/generate/gate_log.hpp>
#include <nullm/spike/quiet_gate.hpp>

#include <spike/toy_vocabulary.hpp>
#include <support/catch.hpp>
#include <vector>

using nullm::quiet_drive;
using nullm::token_id;

namespace {

token_id token_at(std::int64_t position) {
    return static_cast<token_id>(nullm::draw_u32({.seed = 11, .position = position / 3}) % 400);
}

}  // namespace

TEST_CASE("the quiet drive is importance at weight 0 and surprise at weight 1", "[spike][quiet]") {
    const spike_test::toy_vocabulary toy;
    const auto importance = nullm::importance_drive::build(toy.view());
    const nullm::surprise_drive surprise(toy.size);
    for (const float weight : {0.0F, 1.0F}) {
        const auto drive = quiet_drive::build(toy.view(), {.surprise_weight = weight});
        auto trace = drive.initial_trace();
        auto memory = drive.initial_memory();
        auto trace_i = importance.initial_trace();
        auto memory_i = importance.initial_memory();
        auto trace_s = surprise.initial_trace();
        auto memory_s = surprise.initial_memory();
        for (std::int64_t p = 0; p < 200; ++p) {
            const nullm::gate_input input{.token = token_at(p), .position = p, .confidence = 0.9F};
            const float mixed = drive.intensity(trace, memory, input);
            const float i = importance.intensity(trace_i, memory_i, input);
            const float s = surprise.intensity(trace_s, memory_s, input);
            CHECK(mixed == (weight == 0.0F ? i : s));
            drive.settle(memory, input.token);
            importance.settle(memory_i, input.token);
            surprise.settle(memory_s, input.token);
        }
    }
}

TEST_CASE("a word that repeats excites less and less, but no less than its importance allows",
          "[spike][quiet]") {
    const spike_test::toy_vocabulary toy;
    const auto drive = quiet_drive::build(toy.view());
    auto trace = drive.initial_trace();
    auto memory = drive.initial_memory();
    const token_id word = 350;
    const float first = drive.intensity(trace, memory, {.token = word, .position = 0});
    drive.settle(memory, word);
    float last = 0;
    for (std::int64_t p = 1; p < 200; ++p) {
        last = drive.intensity(trace, memory, {.token = word, .position = p});
        drive.settle(memory, word);
    }
    CHECK(first > last);
    CHECK(last >= (1 - drive.weight()) * drive.first().importance(word));
}

TEST_CASE("the user's words and special tokens are not outvoted by surprise", "[spike][quiet]") {
    const spike_test::toy_vocabulary toy;
    const auto drive = quiet_drive::build(
        toy.view(), {.importance = {.never_skip = {{20}}, .always_skip = {{390}}}, .surprise_weight = 0.9F});
    auto trace = drive.initial_trace();
    auto memory = drive.initial_memory();
    for (int i = 0; i < 100; ++i) drive.settle(memory, 20);
    CHECK(drive.intensity(trace, memory, {.token = 20, .position = 0}) == 1.0F);
    CHECK(drive.intensity(trace, memory, {.token = 390, .position = 1}) == 0.0F);
    CHECK(drive.intensity(trace, memory, {.token = 0, .position = 2}) == 1.0F);
}

TEST_CASE("a quiet gate that is rewound decides as one that never went further", "[spike][quiet]") {
    const spike_test::toy_vocabulary toy;
    const auto gate = nullm::make_quiet_gate(
        toy.view(), {},
        {.importance = {.novelty_half_life = 64}, .surprise = {.ngram = {.lines = 32, .half_life = 50}}});
    nullm::gate_log log(gate, 3);
    std::vector<nullm::quiet_gate::state> states;
    std::vector<float> rates;
    for (std::int64_t p = 0; p < 400; ++p) {
        states.push_back(log.state());
        const auto said = log.step(token_at(p), p);
        rates.push_back(said.rate);
        log.settle(token_at(p), p, said.fire);
        log.keep_copy(p + 1);
    }
    for (const std::int64_t back : {399, 300, 130, 64, 1, 0}) {
        log.rewind(back, back);
        CHECK(log.state() == states[static_cast<std::size_t>(back)]);
        CHECK(log.step(token_at(back), back).rate == rates[static_cast<std::size_t>(back)]);
    }
}

TEST_CASE("parts of unequal width are refused", "[spike][quiet]") {
    const spike_test::toy_vocabulary toy;
    CHECK_THROWS_AS(quiet_drive::build(toy.view(), {.importance = {.neurons = 64}}), nullm::error);
    CHECK_THROWS_AS(quiet_drive::build(toy.view(), {.surprise_weight = 1.5F}), nullm::error);
    CHECK(quiet_drive::build(toy.view(), {.importance = {.neurons = 64}, .surprise = {.neurons = 64}})
              .width() == 64);
}
