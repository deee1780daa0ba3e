#include <nullm/measure/energy.hpp>

#include <support/catch.hpp>

using nullm::energy;

TEST_CASE("an estimate is operations and bytes times their prices", "[measure][energy]") {
    const nullm::energy_prices prices{.mac = 4.6, .ac = 0.9, .byte = 100};
    const energy found = nullm::estimate_energy(prices, 10, 20, 3);
    CHECK(found.joules == Approx(364e-12));
    CHECK(found.estimated);
    CHECK(nullm::estimate_energy(nullm::prices_i8, 0, 0, 8).joules == Approx(1.3e-9));  // 64 bits of DRAM
}

TEST_CASE("an estimate calls itself one and a measurement does not", "[measure][energy]") {
    CHECK(to_string(energy{.joules = 0.0157, .estimated = true}) == "15.7 mJ (estimated)");
    CHECK(to_string(energy{.joules = 1.25, .estimated = false}) == "1.25 J");
}

TEST_CASE("amounts are written in the unit that suits them", "[measure][energy]") {
    const auto written = [](double joules) {
        return to_string(energy{.joules = joules, .estimated = false});
    };
    CHECK(written(1234) == "1.23e+03 J");
    CHECK(written(2.5e-6) == "2.5 uJ");
    CHECK(written(-4e-9) == "-4 nJ");
    CHECK(written(3e-13) == "0.3 pJ");
    CHECK(written(0) == "0 pJ");
}

TEST_CASE("prices are printed with their units", "[measure][energy]") {
    CHECK(to_string(nullm::prices_f32) == "4.6 pJ a MAC, 0.9 pJ an AC, 162.5 pJ a byte of memory");
}
