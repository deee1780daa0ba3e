#include <nullm/spike/direct_encoder.hpp>
#include <nullm/spike/drives/magnitude_drive.hpp>
#include <nullm/spike/lif.hpp>
#include <nullm/spike/poisson_encoder.hpp>
#include <nullm/spike/spike_gate.hpp>
#include <nullm/spike/thresholds.hpp>

#include <cmath>
#include <limits>
#include <spike/toy_vocabulary.hpp>
#include <support/catch.hpp>
#include <vector>

namespace {

using nullm::fixed_threshold;
using nullm::gate_input;
using nullm::magnitude_drive;
using nullm::poisson_encoder;
using nullm::reset;
using nullm::spike_gate;
using nullm::target_rate_threshold;
using nullm::timing;
using nullm::token_id;

using neuron = nullm::lif<reset::zero, timing::delayed>;

// Intensity token / 10 for each of 50 neurons. It counts what it is shown: steps in its trace, settled tokens
// in its memory, so that a gate that mixes them up is found out.
struct counting_drive {
    struct trace {
        int steps = 0;
        friend bool operator==(const trace&, const trace&) = default;
    };
    struct memory {
        int settled = 0;
        friend bool operator==(const memory&, const memory&) = default;
    };
    std::size_t width() const { return 50; }
    trace initial_trace() const { return {}; }
    memory initial_memory() const { return {}; }
    void intensities(trace& seen, const memory&, const gate_input& input, std::span<float> out) const {
        ++seen.steps;
        for (float& x : out) x = static_cast<float>(input.token) / 10.0F;
    }
    void settle(memory& learned, token_id) const { ++learned.settled; }
};

using counting_gate = spike_gate<counting_drive, poisson_encoder, neuron, target_rate_threshold>;
static_assert(nullm::Gate<counting_gate>);
static_assert(nullm::Gate<spike_gate<magnitude_drive, nullm::direct_encoder, neuron, fixed_threshold>>);

counting_gate make_gate(const nullm::spike_gate_params& params = {}) {
    return {counting_drive{}, poisson_encoder{}, neuron{.beta = 0.5F, .threshold = 0.9F},
            target_rate_threshold(), params};
}

gate_input input_at(std::int64_t position) {
    return {.token = static_cast<token_id>(position * 7 % 11), .position = position, .seed = 6};
}

}  // namespace

TEST_CASE("the rate is the share of neurons that spiked, and the gate fires from theta on", "[spike][gate]") {
    // Threshold 0.9 under weight 1: a neuron spikes iff its input does, so the rate is the encoder's.
    for (const float theta : {0.0F, 0.5F, 1.0F}) {
        const spike_gate gate(counting_drive{}, poisson_encoder{}, neuron{.beta = 0.0F, .threshold = 0.9F},
                              fixed_threshold(theta));
        auto state = gate.initial();
        for (std::int64_t t = 0; t < 30; ++t) {
            const auto said = gate.step(state, input_at(t));
            nullm::spike_bits expected;
            poisson_encoder{}.encode(std::vector<float>(50, static_cast<float>(input_at(t).token) / 10.0F),
                                     {.seed = 6, .stream = nullm::draw_stream::encoder, .position = t}, 0,
                                     expected);
            CHECK(said.rate == static_cast<float>(expected.count()) / 50.0F);
            CHECK(said.theta == theta);
            CHECK(said.fire == (said.rate >= theta));
        }
    }
}

TEST_CASE("a silent input leaves the gate shut and a full one opens it", "[spike][gate]") {
    const auto gate = make_gate();
    auto state = gate.initial();
    for (std::int64_t t = 0; t < 20; ++t) {
        CHECK_FALSE(gate.step(state, {.token = 0, .position = t}).fire);
    }
    for (std::int64_t t = 20; t < 40; ++t) {
        const auto said = gate.step(state, {.token = 10, .position = t});
        CHECK(said.fire);
        CHECK(said.rate == 1.0F);
    }
}

TEST_CASE("charge below the threshold builds up over positions", "[spike][gate]") {
    // One input spike carries 1 and the threshold is 1.2: alone it is never enough, with what is left of the
    // last it is.
    const spike_gate gate(counting_drive{}, poisson_encoder{}, neuron{.beta = 0.5F, .threshold = 1.2F},
                          fixed_threshold(0.5F));
    auto state = gate.initial();
    CHECK(gate.step(state, {.token = 10, .position = 0}).rate == 0.0F);
    CHECK(gate.step(state, {.token = 10, .position = 1}).rate == 1.0F);
}

TEST_CASE("several encoder steps a position average the rate", "[spike][gate]") {
    const auto one = make_gate({.weight = 1.0F, .steps = 1});
    const auto many = make_gate({.weight = 1.0F, .steps = 16});
    double spread[2] = {0, 0};
    const counting_gate* gates[2] = {&one, &many};
    for (int g = 0; g < 2; ++g) {
        auto state = gates[g]->initial();
        for (std::int64_t t = 0; t < 400; ++t) {
            const float rate = gates[g]->step(state, {.token = 3, .position = t, .seed = 2}).rate;
            CHECK((rate >= 0.0F && rate <= 1.0F));
            spread[g] += (static_cast<double>(rate) - 0.3) * (static_cast<double>(rate) - 0.3) / 400;
        }
    }
    // Variance p (1 - p) / (neurons x steps): 0.0042 and 0.00026; each estimate has sd sqrt(2/400) = 7 % of
    // it.
    CHECK(spread[0] == Approx(0.3 * 0.7 / 50).epsilon(0.35));
    CHECK(spread[1] == Approx(0.3 * 0.7 / 800).epsilon(0.35));
}

TEST_CASE("settling changes what is learned and never what a step changes, and stepping the reverse",
          "[spike][gate]") {
    const auto gate = make_gate();
    auto state = gate.initial();
    for (std::int64_t t = 0; t < 20; ++t) {
        auto before = state;
        gate.step(state, input_at(t));
        CHECK(state.memory == before.memory);
        CHECK(state.threshold == before.threshold);
        CHECK(state.now.trace.steps == before.now.trace.steps + 1);
        before = state;
        gate.settle(state, 1, t % 3 == 0);
        CHECK(state.now == before.now);
        CHECK(state.memory.settled == before.memory.settled + 1);
        CHECK_FALSE(state.threshold == before.threshold);
    }
}

TEST_CASE("a replay from the initial state ends in an equal state and the same decisions", "[spike][gate]") {
    const auto gate = make_gate({.weight = 0.6F, .steps = 3});
    const auto copy = gate;
    auto a = gate.initial();
    auto b = copy.initial();
    CHECK(a == b);
    for (std::int64_t t = 0; t < 50; ++t) {
        const auto x = gate.step(a, input_at(t));
        const auto y = copy.step(b, input_at(t));
        CHECK(x.rate == y.rate);
        CHECK(x.fire == y.fire);
        gate.settle(a, 1, x.fire);
        copy.settle(b, 1, y.fire);
    }
    CHECK(a == b);
}

TEST_CASE("restoring `now` undoes any number of steps", "[spike][gate]") {
    const auto gate = make_gate();
    auto state = gate.initial();
    for (std::int64_t t = 0; t < 10; ++t) gate.step(state, input_at(t));
    const auto whole = state;
    const auto saved = state.now;
    std::vector<float> first;
    for (std::int64_t t = 10; t < 20; ++t) first.push_back(gate.step(state, input_at(t)).rate);
    CHECK_FALSE(state == whole);
    state.now = saved;
    CHECK(state == whole);
    for (std::int64_t t = 10; t < 20; ++t) {
        CHECK(gate.step(state, input_at(t)).rate == first[static_cast<std::size_t>(t - 10)]);
    }
}

TEST_CASE("draws are keyed by seed, position and repeat, never by how often the gate was asked",
          "[spike][gate]") {
    const spike_gate gate(counting_drive{}, poisson_encoder{}, neuron{.beta = 0.0F, .threshold = 0.9F},
                          fixed_threshold(0.5F));
    int differ[3] = {0, 0, 0};
    for (std::int64_t t = 0; t < 50; ++t) {
        auto a = gate.initial();
        auto b = gate.initial();
        for (int i = 0; i < 3; ++i) gate.step(b, {.token = 0, .position = t});  // silent: no charge is left
        const float rate = gate.step(a, {.token = 5, .position = t, .seed = 1}).rate;
        CHECK(gate.step(b, {.token = 5, .position = t, .seed = 1}).rate == rate);
        const gate_input others[3] = {{.token = 5, .position = t + 1, .seed = 1},
                                      {.token = 5, .position = t, .seed = 2},
                                      {.token = 5, .position = t, .repeat = 1, .seed = 1}};
        for (int i = 0; i < 3; ++i) {
            auto c = gate.initial();
            differ[i] += gate.step(c, others[i]).rate != rate ? 1 : 0;
        }
    }
    for (const int count : differ)
        CHECK(count > 30);  // two binomial(50, 1/2) counts are equal in 8 % of cases
}

TEST_CASE("a step allocates nothing once it has run", "[spike][gate]") {
    const auto gate = make_gate();
    auto state = gate.initial();
    gate.step(state, input_at(0));
    const auto* intensities = state.lines.intensities.data();
    const auto* currents = state.lines.currents.data();
    const auto* encoded = state.lines.encoded.words().data();
    const auto* spiked = state.lines.spiked.words().data();
    const auto* membrane = state.now.neurons.membrane.data();
    for (std::int64_t t = 1; t < 10; ++t) gate.step(state, input_at(t));
    CHECK(state.lines.intensities.data() == intensities);
    CHECK(state.lines.currents.data() == currents);
    CHECK(state.lines.encoded.words().data() == encoded);
    CHECK(state.lines.spiked.words().data() == spiked);
    CHECK(state.now.neurons.membrane.data() == membrane);
}

TEST_CASE("numbers outside their range are refused, and the neurons stay as they were", "[spike][gate]") {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    CHECK_THROWS_AS(make_gate({.weight = nan, .steps = 1}), nullm::error);
    CHECK_THROWS_AS(make_gate({.weight = 1.0F, .steps = 0}), nullm::error);
    const auto gate = make_gate();
    auto state = gate.initial();
    gate.step(state, input_at(3));
    const auto before = state;
    for (const float confidence : {-0.1F, 1.1F, nan}) {
        CHECK_THROWS_AS(gate.step(state, {.token = 1, .position = 4, .confidence = confidence}),
                        nullm::error);
    }
    CHECK(state == before);

    struct wild_threshold {
        using state = nullm::stateless;
        state initial() const { return {}; }
        float theta(const state&, token_id) const { return 1.5F; }
        void settle(state&, token_id, bool) const {}
    };
    const spike_gate wild(counting_drive{}, poisson_encoder{}, neuron{}, wild_threshold{});
    auto other = wild.initial();
    CHECK_THROWS_AS(wild.step(other, input_at(0)), nullm::error);
    CHECK(other == wild.initial());
}
