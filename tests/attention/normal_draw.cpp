#include <nullm/attention/normal_draw.hpp>

#include <support/catch.hpp>

#include <bit>
#include <cmath>
#include <cstdint>

TEST_CASE("the logarithm agrees with the C library's to the last few bits", "[attention]") {
    for (double x = 1e-12; x < 1e12; x *= 1.37) {
        CHECK(std::fabs(nullm::portable_log(x) - std::log(x)) <= 1e-15 * (1 + std::fabs(std::log(x))));
    }
    CHECK(nullm::portable_log(1.0) == 0.0);
}

TEST_CASE("the normal quantile inverts the distribution function", "[attention]") {
    // PPND7 is good to 7 digits in x; p follows with the relative factor |x| phi(x) / p < 1 + x^2.
    for (double p = 1.2e-10; p < 0.5; p *= 1.17) {
        const double x = nullm::normal_quantile(p);
        const double back = 0.5 * std::erfc(-x / std::sqrt(2.0));
        CHECK(std::fabs(back - p) <= 3e-7 * (1 + x * x) * p);
        CHECK(nullm::normal_quantile(1 - p) == Approx(-x).epsilon(1e-6));
    }
    CHECK(nullm::normal_quantile(0.5) == 0.0);
}

TEST_CASE("normal draws have the moments of the normal distribution", "[attention]") {
    const nullm::draw_key key{.seed = 3, .stream = nullm::draw_stream::test, .position = 5};
    constexpr std::uint32_t blocks = 100000;
    double moment[5] = {};
    for (std::uint32_t b = 0; b < blocks; ++b) {
        for (const float x : nullm::draw_normals(key, b)) {
            double power = 1;
            for (double& m : moment) {
                m += power;
                power *= static_cast<double>(x);
            }
        }
    }
    const double n = moment[0];
    // Standard errors of the mean of x, x^2, x^3, x^4 are sqrt(1, 2, 15, 96) / sqrt(n); five of them.
    CHECK(std::fabs(moment[1] / n) < 5 * std::sqrt(1 / n));
    CHECK(std::fabs(moment[2] / n - 1) < 5 * std::sqrt(2 / n));
    CHECK(std::fabs(moment[3] / n) < 5 * std::sqrt(15 / n));
    CHECK(std::fabs(moment[4] / n - 3) < 5 * std::sqrt(96 / n));
}

TEST_CASE("normal draws have the same bits on every compiler", "[attention]") {
    const nullm::draw_key key{.seed = 42, .stream = nullm::draw_stream::attention, .position = -1};
    std::uint64_t hash = 14695981039346656037ULL;  // FNV-1a
    for (std::uint32_t b = 0; b < 5000; ++b) {
        for (const float x : nullm::draw_normals(key, b)) {
            hash = (hash ^ std::bit_cast<std::uint32_t>(x)) * 1099511628211ULL;
        }
    }
    CHECK(hash == 0xaa8d3db145f20fbeULL);
}
