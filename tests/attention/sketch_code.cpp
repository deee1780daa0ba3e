#include <nullm/attention/rotation.hpp>
#include <nullm/attention/sketch_code.hpp>

#include <support/catch.hpp>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace {

constexpr std::size_t width = 64;

template <int bits>
struct sketch {
    explicit sketch(const std::vector<float>& x, nullm::isa level = nullm::active_isa())
        : words(nullm::sketch_code<bits>::words(x.size()) * 16) {
        std::vector<std::int32_t> codes(2 * x.size());
        kept = nullm::sketch_code<bits>::encode(x.data(), x.size(), codes.data(), words.data() + 5, level);
        scale = nullm::sketch_code<bits>::scale(kept);
        spread = nullm::sketch_code<bits>::spread(kept);
    }
    // The grid point.
    float operator[](std::size_t d) const {
        return static_cast<float>(2 * nullm::sketch_code<bits>::code(words.data() + 5, d) -
                                  nullm::sketch_code<bits>::top);
    }
    std::vector<std::int32_t> words;
    std::int32_t kept;
    float scale;
    float spread;
};

std::vector<float> normals(std::mt19937& random, std::size_t n = width) {
    std::normal_distribution<float> normal;
    std::vector<float> x(n);
    for (auto& e : x) e = normal(random);
    return x;
}

template <int bits>
double cosine(const std::vector<float>& x, const sketch<bits>& s) {
    double dot = 0;
    double grid = 0;
    double square = 0;
    for (std::size_t d = 0; d < x.size(); ++d) {
        dot += static_cast<double>(x[d]) * static_cast<double>(s[d]);
        grid += static_cast<double>(s[d]) * static_cast<double>(s[d]);
        square += static_cast<double>(x[d]) * static_cast<double>(x[d]);
    }
    return dot / std::sqrt(grid * square);
}

template <int bits>
void check_unbiased(double least_cosine, double most_cosine) {
    // The same two vectors, turned by many rotations: the products' mean is the true product.
    std::mt19937 random(7);
    const auto x = normals(random);
    auto y = normals(random);
    for (std::size_t d = 0; d < width; ++d) y[d] += 0.5F * x[d];
    double exact = 0;
    double x_square = 0;
    double y_square = 0;
    for (std::size_t d = 0; d < width; ++d) {
        exact += static_cast<double>(x[d]) * static_cast<double>(y[d]);
        x_square += static_cast<double>(x[d]) * static_cast<double>(x[d]);
        y_square += static_cast<double>(y[d]) * static_cast<double>(y[d]);
    }
    constexpr int seeds = 4000;
    double sum = 0;
    double square = 0;
    double cosines = 0;
    double spreads = 0;
    std::vector<float> tx(width);
    std::vector<float> ty(width);
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
        const nullm::rotation turn(width, seed, 0);
        turn.apply(x.data(), tx.data(), nullm::active_isa());
        turn.apply(y.data(), ty.data(), nullm::active_isa());
        const sketch<bits> s(tx);
        double dot = 0;
        for (std::size_t d = 0; d < width; ++d) dot += static_cast<double>(s[d]) * static_cast<double>(ty[d]);
        // What makes it unbiased for this x: |x|^2 / (g . x), the scale over c^2.
        const double scale = static_cast<double>(s.scale) / std::pow(cosine(tx, s), 2);
        dot *= scale;
        sum += dot;
        spreads += static_cast<double>(s.spread);
        square += dot * dot;
        cosines += cosine(tx, s);
    }
    const double mean = sum / seeds;
    const double deviation = std::sqrt(square / seeds - mean * mean);
    const double c = cosines / seeds;
    INFO(bits << " bits: mean " << mean << ", exact " << exact << ", deviation " << deviation << ", cosine "
              << c);
    // Rounding the scale to bf16 is symmetric, and far below the error of a single sketch.
    CHECK(std::fabs(mean - exact) < 4.5 * deviation / std::sqrt(static_cast<double>(seeds)));
    CHECK(spreads / seeds == Approx(x_square * (1 - c * c) / (width - 1)).epsilon(0.03));
    CHECK(c > least_cosine);
    CHECK(c < most_cosine);
    // The error is of the order the paper gives, for the part of y across x.
    const double across = std::sqrt(x_square * y_square - exact * exact);
    const double expected = across * std::sqrt((1 - c * c) / (c * c * (width - 1)));
    CHECK(deviation > 0.8 * expected);
    CHECK(deviation < 1.2 * expected);
}

template <int bits>
void check_twins() {
    std::mt19937 random(3);
    for (const std::size_t n : {32U, 64U, 128U, 256U}) {
        for (int round = 0; round < 50; ++round) {
            auto x = normals(random, n);
            if (round % 5 == 0) x[3] = 40;  // beyond the grid
            if (round % 7 == 0) x[0] = 0;
            const sketch<bits> expected(x, nullm::isa::scalar);
            for (const auto level : {nullm::isa::avx2, nullm::isa::avx512, nullm::isa::vnni}) {
                if (level > nullm::detected_isa()) continue;
                const sketch<bits> found(x, level);
                REQUIRE(found.words == expected.words);
                REQUIRE(found.kept == expected.kept);
            }
        }
    }
}

}  // namespace

TEST_CASE("products with a sketch are unbiased over rotations, and as near as the paper says",
          "[attention]") {
    check_unbiased<1>(0.78, 0.82);
    check_unbiased<2>(0.93, 0.96);
    check_unbiased<4>(0.99, 0.999);
}

TEST_CASE("a sketch is the same on every instruction set", "[attention]") {
    check_twins<1>();
    check_twins<2>();
    check_twins<4>();
}

TEST_CASE("one bit is the sign, and the scale leaves nothing along the grid point", "[attention]") {
    std::mt19937 random(9);
    const auto x = normals(random);
    const sketch<1> one(x);
    const sketch<2> two(x);
    const sketch<4> four(x);
    double left[3] = {};
    for (std::size_t d = 0; d < width; ++d) {
        CHECK(one[d] == (x[d] > 0 ? 1.0F : -1.0F));
        CHECK(std::fabs(two[d]) <= 3);
        CHECK(std::fabs(four[d]) <= 15);
        const auto rest = [&](float scale, float grid) {
            return (static_cast<double>(x[d]) - static_cast<double>(scale) * static_cast<double>(grid)) *
                   static_cast<double>(grid);
        };
        left[0] += rest(one.scale, one[d]);
        left[1] += rest(two.scale, two[d]);
        left[2] += rest(four.scale, four[d]);
    }
    // But for the rounding of the scale, 2^-9 of it at most, times |grid|^2.
    CHECK(std::fabs(left[0]) < 0x1p-9 * static_cast<double>(one.scale) * 64);
    CHECK(std::fabs(left[1]) < 0x1p-9 * static_cast<double>(two.scale) * 64 * 9);
    CHECK(std::fabs(left[2]) < 0x1p-9 * static_cast<double>(four.scale) * 64 * 225);
    CHECK(one.spread > two.spread);
    CHECK(two.spread > 5 * four.spread);
}

TEST_CASE("a vector without a usable direction has scale 0", "[attention]") {
    for (const float x : {0.0F, 1e-25F, 1e25F}) CHECK(sketch<2>(std::vector<float>(width, x)).scale == 0);
    for (const float x : {1e-15F, 1e15F}) {
        CHECK(sketch<2>(std::vector<float>(width, x)).scale > 0);
        CHECK(sketch<4>(std::vector<float>(width, x)).scale > 0);
    }
}
