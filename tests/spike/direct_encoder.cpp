#include <nullm/spike/direct_encoder.hpp>

#include <support/catch.hpp>
#include <vector>

TEST_CASE("the direct encoder spikes from its level on, whatever the key and step", "[spike][encoder]") {
    const nullm::direct_encoder encoder{};
    const std::vector<float> p{0.0F, 0.49F, 0.5F, 1.0F};
    for (std::uint64_t seed = 0; seed < 3; ++seed) {
        for (std::uint32_t step = 0; step < 3; ++step) {
            nullm::spike_bits out;
            encoder.encode(p, {.seed = seed}, step, out);
            CHECK(out.size() == 4);
            CHECK(out.words()[0] == 0b1100);
        }
    }
}
