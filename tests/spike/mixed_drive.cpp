#include <nullm/spike/drives/magnitude_drive.hpp>
#include <nullm/spike/drives/mixed_drive.hpp>
#include <nullm/spike/lif.hpp>
#include <nullm/spike/poisson_encoder.hpp>
#include <nullm/spike/spike_gate.hpp>
#include <nullm/spike/thresholds.hpp>

#include <limits>
#include <spike/toy_vocabulary.hpp>
#include <support/catch.hpp>
#include <vector>

using nullm::mixed_drive;

namespace {

// Says what it was made to say; counts its steps and settles.
struct told_drive {
    struct trace {
        int steps = 0;
        friend bool operator==(const trace&, const trace&) = default;
    };
    struct memory {
        int settled = 0;
        friend bool operator==(const memory&, const memory&) = default;
    };
    float says = 0;
    std::size_t neurons = 37;

    std::size_t width() const { return neurons; }
    trace initial_trace() const { return {}; }
    memory initial_memory() const { return {}; }
    float intensity(trace& seen, const memory&, const nullm::gate_input&) const {
        ++seen.steps;
        return says;
    }
    void intensities(trace& seen, const memory& learned, const nullm::gate_input& input,
                     std::span<float> out) const {
        const float x = intensity(seen, learned, input);
        for (float& each : out) each = x;
    }
    void settle(memory& learned, nullm::token_id) const { ++learned.settled; }
};

using mixed = mixed_drive<told_drive, told_drive>;
static_assert(nullm::UniformDrive<mixed>);
static_assert(nullm::Drive<mixed_drive<told_drive, nullm::magnitude_drive>>);
static_assert(!nullm::UniformDrive<mixed_drive<told_drive, nullm::magnitude_drive>>);
static_assert(nullm::width_of<mixed> == nullm::any_width);

struct drive_of_37 : told_drive {
    static constexpr std::size_t fixed_width = 37;
};
static_assert(nullm::width_of<mixed_drive<told_drive, drive_of_37>> == 37);

float mix(float a, float b, float weight) {
    const mixed drive({a}, {b}, weight);
    auto trace = drive.initial_trace();
    std::vector<float> out(drive.width(), -1.0F);
    drive.intensities(trace, drive.initial_memory(), {}, out);
    for (const float x : out) REQUIRE(x == out[0]);
    return out[0];
}

}  // namespace

TEST_CASE("a mixture lies between its parts, as far from each as its weight says", "[spike][mixed]") {
    CHECK(mix(0.2F, 0.8F, 0.0F) == 0.2F);
    CHECK(mix(0.2F, 0.8F, 1.0F) == 0.8F);
    CHECK(mix(0.2F, 0.8F, 0.25F) == Approx(0.35F));
    CHECK(mix(0.5F, 0.5F, 0.3F) == 0.5F);
}

TEST_CASE("a verdict of either part stands, the first part's before the second's", "[spike][mixed]") {
    CHECK(mix(1.0F, 0.2F, 0.5F) == 1.0F);
    CHECK(mix(0.0F, 0.9F, 0.5F) == 0.0F);
    CHECK(mix(0.3F, 1.0F, 0.1F) == 1.0F);
    CHECK(mix(0.3F, 0.0F, 0.1F) == 0.0F);
    CHECK(mix(0.0F, 1.0F, 0.9F) == 0.0F);
    CHECK(mix(1.0F, 0.4F, 1.0F) == 0.4F);  // a part without weight has nothing to say
    CHECK(mix(0.4F, 1.0F, 0.0F) == 0.4F);
}

TEST_CASE("each part has its own trace and memory, and learns once", "[spike][mixed]") {
    const mixed drive({0.5F}, {0.25F}, 0.5F);
    auto trace = drive.initial_trace();
    auto memory = drive.initial_memory();
    std::vector<float> out(drive.width());
    for (int i = 0; i < 3; ++i) drive.intensities(trace, memory, {}, out);
    drive.settle(memory, 1);
    CHECK(trace.first.steps == 3);
    CHECK(trace.second.steps == 3);
    CHECK(memory.first.settled == 1);
    CHECK(memory.second.settled == 1);
}

TEST_CASE("a part that drives its neurons one by one is mixed neuron by neuron", "[spike][mixed]") {
    const spike_test::toy_vocabulary toy;
    const nullm::magnitude_drive magnitude(toy.view());
    const mixed_drive<told_drive, nullm::magnitude_drive> drive({0.5F}, magnitude, 0.25F);
    auto trace = drive.initial_trace();
    auto memory = drive.initial_memory();
    std::vector<float> out(toy.width);
    std::vector<float> alone(toy.width);
    nullm::stateless nothing;
    for (const nullm::token_id token : {0, 7, 399}) {
        drive.intensities(trace, memory, {.token = token}, out);
        magnitude.intensities(nothing, nothing, {.token = token}, alone);
        for (std::size_t i = 0; i < out.size(); ++i) {
            if (alone[i] <= 0.0F || alone[i] >= 1.0F) {
                CHECK(out[i] == alone[i]);
            } else {
                CHECK(out[i] == Approx(0.75F * 0.5F + 0.25F * alone[i]));
            }
        }
    }
    // The line between the two is no part of the state.
    auto copy = trace;
    CHECK(copy == trace);
    CHECK(drive.initial_trace() != trace);  // for the steps it counted
}

TEST_CASE("a mixture is a gate's drive like any other", "[spike][mixed]") {
    const spike_test::toy_vocabulary toy;
    const nullm::spike_gate gate(mixed_drive(told_drive{0.5F}, nullm::magnitude_drive(toy.view()), 0.5F),
                                 nullm::poisson_encoder{}, nullm::lif<>{}, nullm::fixed_threshold(0.3F));
    auto a = gate.initial();
    auto b = gate.initial();
    for (std::int64_t t = 0; t < 50; ++t) {
        const nullm::gate_input input{.token = static_cast<nullm::token_id>(t * 7 % 400), .position = t};
        CHECK(gate.step(a, input).rate == gate.step(b, input).rate);
        gate.settle(a, input.token, true);
        gate.settle(b, input.token, true);
        CHECK(a == b);
    }
}

TEST_CASE("drives that do not fit and weights that are no share are refused", "[spike][mixed]") {
    CHECK_THROWS_AS(mixed({0.5F, 10}, {0.5F, 11}, 0.5F), nullm::error);
    for (const float weight : {-0.1F, 1.1F, std::numeric_limits<float>::quiet_NaN()}) {
        CHECK_THROWS_AS(mixed({0.5F}, {0.5F}, weight), nullm::error);
    }
}
