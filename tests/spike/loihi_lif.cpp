#include <nullm/spike/loihi_lif.hpp>

#include "levels.hpp"

#include <nullm/spike/direct_encoder.hpp>
#include <nullm/spike/lif.hpp>
#include <support/catch.hpp>
#include <support/golden.hpp>

#include <random>

using nullm::loihi_lif;
using nullm::spike_bits;

namespace {

/// The rule written out once more: signs and magnitudes instead of a division.
struct twin {
    static std::int64_t decay(std::int64_t x, std::int64_t k) {
        const std::int64_t p = x * k;
        return p >= 0 ? p >> 12 : -(-p >> 12);
    }
    static bool step(const loihi_lif& rule, std::int64_t& u, std::int64_t& v, std::int64_t a) {
        constexpr std::int64_t top = 8388608;
        u = decay(u, 4096 - (rule.du + 1)) + a * 64;
        if (u > top)
            u -= 16777216;
        else if (u <= -top)
            u += 16777216;
        std::int64_t bias = rule.bias_mantissa;
        for (int i = 0; i < rule.bias_exponent; ++i) bias *= 2;
        for (int i = 0; i > rule.bias_exponent; --i) bias = bias >= 0 ? bias / 2 : -((-bias + 1) / 2);
        v = decay(v, 4096 - rule.dv) + u + bias;
        v = v > top - 1 ? top - 1 : v < 1 - top ? 1 - top : v;
        const bool spike = v > std::int64_t{rule.vth} * 64;
        if (spike) v = 0;
        return spike;
    }
};

}  // namespace

TEST_CASE("all cases of Lava's bit-accurate neuron, bit for bit", "[spike]") {
    const auto data = golden::read_json("loihi_lif.json");
    REQUIRE(data["cases"].size() == 9);
    for (const auto& one : data["cases"]) {
        INFO(one["name"].get<std::string>());
        const loihi_lif neuron{.du = one["du"],
                               .dv = one["dv"],
                               .vth = one["vth"],
                               .bias_mantissa = one["bias_mant"],
                               .bias_exponent = one["bias_exp"]};
        const std::size_t n = one["a"][0].size();
        for (const auto level : spike_test::levels()) {
            loihi_lif::state layer(n);
            spike_bits spikes;
            for (std::size_t t = 0; t < one["a"].size(); ++t) {
                const auto a = one["a"][t].get<std::vector<std::int32_t>>();
                neuron.step(layer, a, spikes, level);
                REQUIRE(layer.u == one["u"][t].get<std::vector<std::int32_t>>());
                REQUIRE(layer.v == one["v"][t].get<std::vector<std::int32_t>>());
                for (std::size_t i = 0; i < n; ++i) REQUIRE(spikes[i] == (one["s"][t][i].get<int>() != 0));
            }
        }
    }
}

TEST_CASE("any parameters in range agree with the rule written out", "[spike]") {
    std::mt19937 draw(17);
    const auto between = [&](std::int32_t low, std::int32_t high) {
        return std::uniform_int_distribution<std::int32_t>(low, high)(draw);
    };
    for (int round = 0; round < 400; ++round) {
        const bool edge = round % 4 == 0;
        const loihi_lif neuron{.du = edge ? 4095 * (round / 4 % 2) : between(0, 4095),
                               .dv = edge ? 4095 * (round / 8 % 2) : between(0, 4095),
                               .vth = edge ? 131071 : between(0, 131071),
                               .bias_mantissa = edge ? -4096 : between(-4096, 4095),
                               .bias_exponent = between(-7, 7)};
        const std::int32_t reach = round % 3 == 0 ? loihi_lif::largest_input : 4000;
        const auto& widths = spike_test::widths();
        const std::size_t n = widths[static_cast<std::size_t>(round) % (widths.size() - 1)];  // up to 100
        const auto levels = spike_test::levels();
        const auto level = levels[static_cast<std::size_t>(round) / 9 % levels.size()];
        loihi_lif::state layer(n);
        std::vector<std::int64_t> u(n), v(n);
        std::vector<std::int32_t> a(n);
        spike_bits spikes;
        for (int t = 0; t < 40; ++t) {
            for (auto& x : a) x = t % 5 == 0 ? reach * (1 - 2 * between(0, 1)) : between(-reach, reach);
            neuron.step(layer, a, spikes, level);
            REQUIRE(spikes.size() == n);
            std::size_t count = 0;
            for (std::size_t i = 0; i < n; ++i) {
                const bool spike = twin::step(neuron, u[i], v[i], a[i]);
                REQUIRE(layer.u[i] == u[i]);
                REQUIRE(layer.v[i] == v[i]);
                REQUIRE(spikes[i] == spike);
                REQUIRE(std::abs(layer.u[i]) <= 1 << 23);
                count += spike ? 1 : 0;
            }
            REQUIRE(spikes.count() == count);  // no bit behind the last neuron
        }
    }
}

TEST_CASE("float currents are rounded to integers, ties to even", "[spike]") {
    const loihi_lif neuron{.unit = 4};
    const std::vector<float> currents = {0, 0.125F, 0.375F, -0.125F, 1.01F, -0.374F, 65536};
    const std::vector<std::int32_t> a = {0, 0, 2, 0, 4, -1, 262144};
    spike_bits spikes;
    spike_bits expected;
    for (const auto level : spike_test::levels()) {
        loihi_lif::state by_floats(7);
        loihi_lif::state by_integers(7);
        neuron.step(by_floats, currents, spikes, level);
        neuron.step(by_integers, a, expected, level);
        CHECK(by_floats == by_integers);
        CHECK(spikes == expected);
    }
}

TEST_CASE("with its default scale it spikes where a float neuron does, away from the threshold's grid",
          "[spike]") {
    // Currents on the grid of 1/64. Each decay rounds toward zero by less than 2^-12 of a threshold; at beta
    // 1/2 the errors of all steps add up to less than 2^-11. Where the float membrane keeps further away,
    // both must agree; after a disagreement elsewhere the two would be different membranes, so the test takes
    // care that there is none.
    const loihi_lif loihi;
    const nullm::lif<nullm::reset::zero, nullm::timing::immediate> exact{.beta = 0.5F, .threshold = 1.0F};
    constexpr std::size_t n = 64;
    loihi_lif::state integers(n);
    decltype(exact)::state floats(n);
    std::mt19937 draw(4);
    spike_bits a;
    spike_bits b;
    std::vector<float> currents(n);
    std::size_t spiked = 0;
    std::size_t apart = 0;
    for (int t = 0; t < 500; ++t) {
        for (auto& x : currents) x = static_cast<float>(draw() % 65) / 64;
        for (std::size_t i = 0; i < n; ++i) {
            const float m = 0.5F * floats.membrane[i] + currents[i];
            if (std::fabs(m - 1) < 0x1p-11F)
                currents[i] = m > 1 ? currents[i] + 1.0F / 64 : currents[i] - 1.0F / 64;
        }
        loihi.step(integers, currents, a);
        exact.step(floats, currents, b);
        apart += a == b ? 0 : 1;
        spiked += a.count();
        for (std::size_t i = 0; i < n; ++i) {
            CHECK(std::fabs(static_cast<float>(integers.v[i]) / 4096 - floats.membrane[i]) <= 0x1p-11F);
        }
    }
    CHECK(apart == 0);
    CHECK(spiked > 1000);
}

TEST_CASE("what does not fit is refused and changes nothing", "[spike]") {
    const loihi_lif neuron;
    loihi_lif::state layer(3);
    spike_bits spikes;
    const std::vector<std::int32_t> before = {10, -20, 30};
    neuron.step(layer, before, spikes);
    const loihi_lif::state kept = layer;
    const auto refuses = [&](const loihi_lif& rule, const auto& input) {
        CHECK_THROWS_AS(rule.step(layer, input, spikes), nullm::error);
        CHECK(layer == kept);
    };
    refuses(neuron, std::vector<std::int32_t>{1, 2});
    refuses(neuron, std::vector<float>{1, 2, 3, 4});
    refuses(neuron, std::vector<std::int32_t>{0, 0, loihi_lif::largest_input + 1});
    refuses(neuron, std::vector<std::int32_t>{0, 0, -loihi_lif::largest_input - 1});
    refuses(neuron, std::vector<float>{0, 0, 4097});
    refuses(neuron, std::vector<float>{0, 0, std::numeric_limits<float>::quiet_NaN()});
    refuses(neuron, std::vector<float>{0, -std::numeric_limits<float>::infinity(), 0});
    const std::vector<float> fine = {0, 0, 0};
    refuses(loihi_lif{.du = 4096}, fine);
    refuses(loihi_lif{.du = -1}, fine);
    refuses(loihi_lif{.dv = 4096}, fine);
    refuses(loihi_lif{.vth = 131072}, fine);
    refuses(loihi_lif{.vth = -1}, fine);
    refuses(loihi_lif{.bias_mantissa = 4096}, fine);
    refuses(loihi_lif{.bias_exponent = 8}, fine);
    refuses(loihi_lif{.unit = 0}, fine);
    refuses(loihi_lif{.unit = std::numeric_limits<float>::infinity()}, fine);
}
