#include <nullm/spike/drives/magnitude_drive.hpp>

#include <cmath>
#include <limits>
#include <spike/toy_vocabulary.hpp>
#include <support/catch.hpp>

using nullm::magnitude_drive;

TEST_CASE("the magnitude drive is the scaled, clamped size of each embedding dimension", "[spike][drive]") {
    const spike_test::toy_vocabulary toy;
    for (const float scale : {0.0F, 1.0F, 3.0F}) {
        const magnitude_drive drive(toy.view(), scale);
        CHECK(drive.width() == toy.width);
        auto trace = drive.initial_trace();
        std::vector<float> out(toy.width);
        drive.intensities(trace, drive.initial_memory(), {.token = 7, .confidence = 0.2F}, out);
        for (std::size_t j = 0; j < toy.width; ++j) {
            CHECK(out[j] == std::min(std::fabs(toy.table[7 * toy.width + j]) * scale, 1.0F));
        }
    }
}

TEST_CASE("the magnitude drive refuses what it cannot drive", "[spike][drive]") {
    const spike_test::toy_vocabulary toy;
    CHECK_THROWS_AS(magnitude_drive({}), nullm::error);
    CHECK_THROWS_AS(magnitude_drive(toy.view(), -1.0F), nullm::error);
    CHECK_THROWS_AS(magnitude_drive(toy.view(), std::numeric_limits<float>::infinity()), nullm::error);
    const magnitude_drive drive(toy.view());
    auto trace = drive.initial_trace();
    std::vector<float> out(toy.width);
    std::vector<float> narrow(3);
    CHECK_THROWS_AS(drive.intensities(trace, {}, {.token = -1}, out), nullm::error);
    CHECK_THROWS_AS(drive.intensities(trace, {}, {.token = 400}, out), nullm::error);
    CHECK_THROWS_AS(drive.intensities(trace, {}, {.token = 1}, narrow), nullm::error);
}
