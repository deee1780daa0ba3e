#include <nullm/attention/rotation.hpp>

#include <support/catch.hpp>
#include <support/same_bits.hpp>

#include <cmath>
#include <random>
#include <vector>

namespace {

double dot(const std::vector<float>& a, const std::vector<float>& b) {
    double sum = 0;
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
        sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
    return sum;
}

std::vector<float> turned(const nullm::rotation& turn, const std::vector<float>& x) {
    std::vector<float> y(turn.width());
    turn.apply(x.data(), y.data(), nullm::active_isa());
    return y;
}

}  // namespace

TEST_CASE("a rotation keeps products, at any size", "[attention]") {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    for (const std::size_t size : {1, 7, 32, 33, 64, 80, 128, 200}) {
        const nullm::rotation turn(size, 5, 3);
        CHECK(turn.width() == (size <= 32 ? 32U : size <= 64 ? 64U : size <= 128 ? 128U : 256U));
        std::vector<float> a(size);
        std::vector<float> b(size);
        for (auto& x : a) x = normal(random);
        for (auto& x : b) x = normal(random);
        const auto ta = turned(turn, a);
        const auto tb = turned(turn, b);
        // Each of 3 log2(width) sums rounds once, relative to the length of what is turned.
        const double u = std::ldexp(1.0, -24);
        const double allowed =
            2 * 3 * 9 * u * std::sqrt(dot(a, a) * dot(b, b) * static_cast<double>(turn.width()));
        CHECK(std::fabs(dot(ta, tb) - dot(a, b)) < allowed);
        CHECK(std::fabs(dot(ta, ta) - dot(a, a)) < allowed * std::sqrt(dot(a, a) / dot(b, b)) + allowed);
    }
}

TEST_CASE("a rotation is that of its seed and layer", "[attention]") {
    std::vector<float> x(64);
    for (std::size_t i = 0; i < 64; ++i) x[i] = std::sin(static_cast<float>(i * i));
    const auto y = turned(nullm::rotation(64, 5, 3), x);
    CHECK(support::same_bits(turned(nullm::rotation(64, 5, 3), x), y));
    CHECK(!support::same_bits(turned(nullm::rotation(64, 6, 3), x), y));
    CHECK(!support::same_bits(turned(nullm::rotation(64, 5, 4), x), y));
}

TEST_CASE("no direction stands out after a rotation", "[attention]") {
    // The coordinates of a unit vector turned at random have fourth moments near 3 / (width (width + 2)),
    // those of a random direction; a single Hadamard round would leave them all equal in size.
    constexpr std::size_t width = 64;
    double fourth = 0;
    constexpr int seeds = 200;
    for (int seed = 0; seed < seeds; ++seed) {
        const nullm::rotation turn(width, static_cast<std::uint64_t>(seed), 0);
        std::vector<float> x(width);
        x[static_cast<std::size_t>(seed) % width] = 1;
        for (const float y : turned(turn, x)) fourth += std::pow(static_cast<double>(y), 4);
    }
    fourth /= seeds * static_cast<double>(width);
    const double sphere = 3.0 / (width * (width + 2));
    CHECK(fourth > 0.85 * sphere);
    CHECK(fourth < 1.1 * sphere);
}
