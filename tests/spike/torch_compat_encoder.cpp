#include <nullm/spike/torch_compat_encoder.hpp>

#include <limits>
#include <support/catch.hpp>
#include <support/golden.hpp>

TEST_CASE("snntorch's rate code is reproduced bit for bit", "[spike][encoder]") {
    const auto rate = golden::read_json("spikegen.json")["rate"];
    const auto n = rate["N"].get<std::size_t>();
    const auto steps = rate["T"].get<std::uint32_t>();
    const auto p = rate["p"].get<std::vector<float>>();
    const auto expected = golden::decode_base64(rate["spikes_bits_b64"].get<std::string>());
    const auto seed = rate["seed"].get<std::uint64_t>();
    // The T rows as T steps of one position, and as T positions of one step: the same draws.
    for (const bool by_position : {false, true}) {
        const nullm::torch_compat_encoder encoder{.gain = rate["gain"].get<float>(),
                                                  .offset = rate["offset"].get<float>(),
                                                  .steps = by_position ? 1 : steps};
        std::size_t spikes = 0;
        nullm::spike_bits out;
        for (std::uint32_t t = 0; t < steps; ++t) {
            const nullm::draw_key key{.seed = seed, .position = by_position ? t : 0};
            encoder.encode(p, key, by_position ? 0 : t, out);
            for (std::size_t i = 0; i < n; ++i) {
                REQUIRE(out[i] == (((expected[(t * n + i) / 8] >> ((t * n + i) % 8)) & 1) != 0));
            }
            spikes += out.count();
        }
        CHECK(spikes == rate["spike_count"].get<std::size_t>());
    }
}

TEST_CASE("what torch refuses, its encoder refuses", "[spike][encoder]") {
    const nullm::torch_compat_encoder encoder{};
    nullm::spike_bits out;
    const std::vector<float> p{0.5F, std::numeric_limits<float>::quiet_NaN()};
    CHECK_THROWS_AS(encoder.encode(p, {}, 0, out), nullm::error);
    CHECK_THROWS_AS(encoder.encode(std::vector<float>{0.5F}, {.position = -1}, 0, out), nullm::error);
}
