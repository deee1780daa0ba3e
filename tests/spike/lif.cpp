// Compiled once with the room and once more for each of -ffp-contract=off and =fast under -O3 -march=native.
#include <nullm/core/random.hpp>
#include <nullm/spike/lif.hpp>

#include <bit>
#include <limits>
#include <spike/levels.hpp>
#include <string>
#include <support/catch.hpp>
#include <support/golden.hpp>

using nullm::isa;
using nullm::lif;
using nullm::reset;
using nullm::spike_bits;
using nullm::timing;

namespace {

std::vector<std::uint32_t> bits_of(std::span<const float> values) {
    std::vector<std::uint32_t> bits;
    for (const float x : values) bits.push_back(std::bit_cast<std::uint32_t>(x));
    return bits;
}

// The rule of lif.hpp once more, one neuron at a time, in the words of the research note; every product
// rounded.
struct plain_lif {
    reset rule;
    timing when;
    float beta, threshold, graded;

    float step(float& m, float input) const {
        const float r = m - threshold > 0 ? 1.0F : 0.0F;
        if (rule == reset::zero) m = nullm::scalar::rounded((1.0F - r) * m);
        m = nullm::scalar::rounded(std::min(std::max(beta, 0.0F), 1.0F) * m) + input;
        if (rule == reset::subtract) m = m - nullm::scalar::rounded(r * threshold);
        const float spike = m - threshold > 0 ? graded : 0.0F;
        const float d = spike / graded - r;
        if (when == timing::immediate && rule == reset::subtract)
            m = m - nullm::scalar::rounded(d * threshold);
        if (when == timing::immediate && rule == reset::zero) m = m - nullm::scalar::rounded(d * m);
        return spike;
    }
};

std::vector<float> noise(std::size_t n, std::uint64_t seed) {
    std::vector<float> values(n);
    for (std::size_t i = 0; i < n; ++i) {
        values[i] = 3.0F * nullm::draw_uniform({.seed = seed}, static_cast<std::uint32_t>(i)) - 1.0F;
    }
    return values;
}

template <reset Reset, timing Timing>
void check_case(const nlohmann::json& file, const nlohmann::json& one, isa level) {
    const auto& params = file["params"][one["params"].get<std::string>()];
    const auto parameter = [&](const char* name) {
        const auto values = params[name].get<std::vector<float>>();
        return values.size() == 1 ? nullm::neuron_parameter(values[0]) : nullm::neuron_parameter(values);
    };
    const lif<Reset, Timing> neuron{.beta = parameter("beta"),
                                    .threshold = parameter("threshold"),
                                    .graded = one["graded_spikes_factor"].get<float>(),
                                    .inhibition = one["inhibition"].get<bool>()};
    const auto n = file["N"].get<std::size_t>();
    const auto steps = file["T"].get<std::size_t>();
    const auto input = golden::decode_floats(file["input_f32_b64"].get<std::string>());
    const auto membrane = golden::decode_floats(one["mem_f32_b64"].get<std::string>());
    const auto expected = golden::decode_base64(one["spikes_bits_b64"].get<std::string>());
    REQUIRE(input.size() == n * steps);
    REQUIRE(membrane.size() == n * steps);

    typename lif<Reset, Timing>::state packed(n);
    typename lif<Reset, Timing>::state dense(n);
    spike_bits bits;
    std::vector<float> values(n);
    std::size_t spikes = 0;
    for (std::size_t t = 0; t < steps; ++t) {
        const std::span<const float> row(input.data() + t * n, n);
        neuron.step(packed, row, bits, level);
        neuron.step(dense, row, std::span<float>(values), level);
        REQUIRE(bits_of(packed.membrane) == bits_of(std::span(membrane).subspan(t * n, n)));
        REQUIRE(packed == dense);
        const float value = neuron.inhibition ? 1.0F : neuron.graded;
        for (std::size_t i = 0; i < n; ++i) {
            const bool spike = ((expected[(t * n + i) / 8] >> ((t * n + i) % 8)) & 1) != 0;
            REQUIRE(bits[i] == spike);
            REQUIRE(values[i] == (spike ? value : 0.0F));
        }
        spikes += bits.count();
    }
    CHECK(spikes == one["spike_count"].get<std::size_t>());
}

template <reset Reset>
void check_case(const nlohmann::json& file, const nlohmann::json& one, isa level) {
    if (one["reset_delay"].get<bool>()) {
        check_case<Reset, timing::delayed>(file, one, level);
    } else {
        check_case<Reset, timing::immediate>(file, one, level);
    }
}

template <class F>
void for_each_rule(F&& f) {
    f.template operator()<reset::subtract, timing::delayed>();
    f.template operator()<reset::subtract, timing::immediate>();
    f.template operator()<reset::zero, timing::delayed>();
    f.template operator()<reset::zero, timing::immediate>();
    f.template operator()<reset::none, timing::delayed>();
    f.template operator()<reset::none, timing::immediate>();
}

}  // namespace

TEST_CASE("every snnTorch trace is reproduced bit for bit on every instruction set", "[spike][lif]") {
    const auto file = golden::read_json("leaky_traces.json");
    REQUIRE(file["cases"].size() == 14);
    for (const auto& one : file["cases"]) {
        for (const isa level : spike_test::levels()) {
            INFO(one["name"].get<std::string>() << " on " << nullm::name_of(level));
            const auto rule = one["reset_mechanism"].get<std::string>();
            if (rule == "subtract") {
                check_case<reset::subtract>(file, one, level);
            } else if (rule == "zero") {
                check_case<reset::zero>(file, one, level);
            } else {
                REQUIRE(rule == "none");
                check_case<reset::none>(file, one, level);
            }
        }
    }
}

TEST_CASE("kernels agree with the rule written plainly, at every width and instruction set", "[spike][lif]") {
    for_each_rule([]<reset Reset, timing Timing>() {
        for (const std::size_t n : spike_test::widths()) {
            auto beta = noise(n, 1);
            auto threshold = noise(n, 2);
            const lif<Reset, Timing> neuron{.beta = beta, .threshold = threshold, .graded = 0.3F};
            for (const isa level : spike_test::levels()) {
                typename lif<Reset, Timing>::state layer(n);
                std::vector<float> plain(n, 0.0F);
                spike_bits bits;
                for (std::uint64_t t = 0; t < 20; ++t) {
                    const auto input = noise(n, 100 + t);
                    neuron.step(layer, input, bits, level);
                    std::size_t spikes = 0;
                    for (std::size_t i = 0; i < n; ++i) {
                        const plain_lif one{Reset, Timing, beta[i], threshold[i], 0.3F};
                        const bool spike = one.step(plain[i], input[i]) != 0;
                        REQUIRE(bits[i] == spike);
                        spikes += spike ? 1 : 0;
                    }
                    REQUIRE(bits.count() == spikes);
                    REQUIRE(bits_of(layer.membrane) == bits_of(plain));
                }
            }
        }
    });
}

TEST_CASE("bit-packed and dense spikes are the same spikes", "[spike][lif]") {
    for_each_rule([]<reset Reset, timing Timing>() {
        for (const bool inhibition : {false, true}) {
            for (const std::size_t n : spike_test::widths()) {
                for (const isa level : spike_test::levels()) {
                    const lif<Reset, Timing> neuron{
                        .beta = 0.9F, .threshold = 0.7F, .inhibition = inhibition};
                    typename lif<Reset, Timing>::state a(n);
                    typename lif<Reset, Timing>::state b(n);
                    spike_bits bits;
                    std::vector<float> dense(n);
                    for (std::uint64_t t = 0; t < 10; ++t) {
                        const auto input = noise(n, t);
                        neuron.step(a, input, bits, level);
                        neuron.step(b, input, std::span<float>(dense), level);
                        REQUIRE(a == b);
                        for (std::size_t i = 0; i < n; ++i) REQUIRE(dense[i] == (bits[i] ? 1.0F : 0.0F));
                        if (inhibition) REQUIRE(bits.count() <= 1);
                    }
                }
            }
        }
    });
}

TEST_CASE("with inhibition the first of the highest spikes, and only if above its threshold",
          "[spike][lif]") {
    const lif<reset::subtract, timing::delayed> neuron{.inhibition = true};
    lif<reset::subtract, timing::delayed>::state layer(40);
    spike_bits bits;
    std::vector<float> input(40, 0.5F);
    neuron.step(layer, input, bits);
    CHECK(bits.count() == 0);
    input[20] = input[33] = 2.0F;
    neuron.step(layer, input, bits);
    CHECK(bits.count() == 1);
    CHECK(bits[20]);
    // A membrane that is NaN wins the comparison, as in torch, and cannot spike: the layer falls silent.
    input[7] = std::numeric_limits<float>::quiet_NaN();
    neuron.step(layer, input, bits);
    CHECK(bits.count() == 0);
}

TEST_CASE("lanes behind the last neuron stay silent, even under a negative threshold", "[spike][lif]") {
    for_each_rule([]<reset Reset, timing Timing>() {
        for (const std::size_t n : spike_test::widths()) {
            for (const isa level : spike_test::levels()) {
                const lif<Reset, Timing> neuron{.threshold = -1.0F};
                typename lif<Reset, Timing>::state layer(n);
                spike_bits bits;
                neuron.step(layer, std::vector<float>(n, 0.0F), bits, level);
                // r = 1 at rest, and `subtract` then adds 1: every neuron spikes, and no lane besides.
                REQUIRE(bits.count() == n);
            }
        }
    });
}

TEST_CASE("a membrane at its threshold does not spike, one above it does", "[spike][lif]") {
    const lif<reset::none, timing::delayed> neuron{.beta = 0.0F, .threshold = 1.0F};
    lif<reset::none, timing::delayed>::state layer(2);
    spike_bits bits;
    neuron.step(layer, std::vector<float>{1.0F, std::nextafter(1.0F, 2.0F)}, bits);
    CHECK_FALSE(bits[0]);
    CHECK(bits[1]);
}

TEST_CASE("a neuron of NaN input never spikes again, and its neighbours do", "[spike][lif]") {
    const lif<reset::zero, timing::delayed> neuron{};
    lif<reset::zero, timing::delayed>::state layer(2);
    spike_bits bits;
    neuron.step(layer, std::vector<float>{std::numeric_limits<float>::quiet_NaN(), 2.0F}, bits);
    CHECK_FALSE(bits[0]);
    CHECK(bits[1]);
    neuron.step(layer, std::vector<float>{5.0F, 2.0F}, bits);
    CHECK_FALSE(bits[0]);
    CHECK(bits[1]);
}

TEST_CASE("widths that differ are an error, and change no membrane", "[spike][lif]") {
    const lif<reset::zero, timing::delayed> neuron{};
    lif<reset::zero, timing::delayed>::state layer(3);
    const auto before = layer;
    spike_bits bits;
    std::vector<float> dense(2);
    CHECK_THROWS_AS(neuron.step(layer, std::vector<float>(2, 1.0F), bits), nullm::error);
    CHECK_THROWS_AS(neuron.step(layer, std::vector<float>(4, 1.0F), bits), nullm::error);
    CHECK_THROWS_AS(neuron.step(layer, std::vector<float>(3, 1.0F), std::span<float>(dense)), nullm::error);
    const lif<reset::zero, timing::delayed> narrow{.threshold = std::vector<float>{1.0F, 2.0F}};
    CHECK_THROWS_AS(narrow.step(layer, std::vector<float>(3, 1.0F), bits), nullm::error);
    const lif<reset::zero, timing::delayed> worthless{.graded = 0.0F};
    CHECK_THROWS_AS(worthless.step(layer, std::vector<float>(3, 1.0F), bits), nullm::error);
    CHECK(layer == before);
}

TEST_CASE("a threshold that is no number is refused", "[spike][lif]") {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    CHECK_THROWS_AS((lif<reset::zero, timing::delayed>{.threshold = nan}), nullm::error);
}

TEST_CASE("states are equal iff their membranes have the same bits", "[spike][lif]") {
    using layer = lif<reset::zero, timing::delayed>::state;
    layer a(2);
    layer b(2);
    CHECK(a == b);
    b.membrane[1] = -0.0F;
    CHECK_FALSE(a == b);
    CHECK_FALSE(layer(2) == layer(3));
}
