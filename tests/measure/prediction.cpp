#include <nullm/core/random.hpp>
#include <nullm/measure/prediction.hpp>

#include <cmath>
#include <support/catch.hpp>
#include <vector>

using nullm::kl_divergence;
using nullm::prediction;
using nullm::surprisal;

namespace {

const float log3 = std::log(3.0F);

std::vector<float> draw_row(std::size_t n, std::uint64_t seed, float scale) {
    std::vector<float> row;
    for (std::uint32_t i = 0; i < n; ++i) row.push_back(scale * nullm::draw_uniform({.seed = seed}, i));
    return row;
}

std::vector<double> softmax(const std::vector<float>& row) {
    std::vector<double> p;
    double sum = 0;
    for (const float x : row) sum += p.emplace_back(std::exp(static_cast<double>(x)));
    for (double& x : p) x /= sum;
    return p;
}

}  // namespace

TEST_CASE("logits 0 and log 3 are the probabilities one and three quarters", "[measure][prediction]") {
    const std::vector<float> row{0, log3};
    const prediction said(row);
    CHECK(said.most_likely == 1);
    CHECK(said.confidence == Approx(0.75));
    CHECK(surprisal(row, said, 0) == Approx(std::log(4.0)));
    CHECK(surprisal(row, said, 1) == Approx(std::log(4.0 / 3)));
}

TEST_CASE("a shift of all logits changes nothing, however large", "[measure][prediction]") {
    for (const float shift : {-1e4F, 16.0F, 1e4F}) {
        const std::vector<float> row{shift, shift + 1, shift + 0.5F};
        const prediction said(row);
        CHECK(surprisal(row, said, 2) == Approx(std::log(1 + std::exp(0.5) + std::exp(-0.5))).epsilon(1e-3));
        CHECK(said.most_likely == 1);
    }
}

TEST_CASE("of equal logits the first is the most likely", "[measure][prediction]") {
    CHECK(prediction(std::vector<float>{1, 5, 5, 2}).most_likely == 1);
    CHECK(prediction(std::vector<float>{7}).confidence == 1.0);
}

TEST_CASE("surprisal and divergence are those of the softmax", "[measure][prediction]") {
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
        const auto a = draw_row(50, seed, 9), b = draw_row(50, seed + 50, 9);
        const auto p = softmax(a), q = softmax(b);
        double divergence = 0;
        for (std::size_t i = 0; i < 50; ++i) divergence += p[i] * std::log(p[i] / q[i]);
        CHECK(kl_divergence(a, prediction(a), b, prediction(b)) == Approx(divergence));
        CHECK(surprisal(a, prediction(a), 17) == Approx(-std::log(p[17])));
    }
}

TEST_CASE("a distribution is at distance 0 from itself and from no other", "[measure][prediction]") {
    const std::vector<float> even{0, 0}, uneven{0, log3};
    CHECK(kl_divergence(even, prediction(even), even, prediction(even)) == 0.0);
    // 1/2 log((1/2) / (1/4)) + 1/2 log((1/2) / (3/4))
    CHECK(kl_divergence(even, prediction(even), uneven, prediction(uneven)) ==
          Approx(0.5 * std::log(4.0 / 3)));
}

TEST_CASE("agreement is the share of equal choices", "[measure][prediction]") {
    const std::vector<nullm::token_id> one{1, 2, 3, 4}, other{1, 0, 3, 5};
    CHECK(nullm::agreement(one, other) == 0.5);
    CHECK(std::isnan(nullm::agreement({}, {})));
}

TEST_CASE("empty rows, tokens beyond the row and rows of two lengths are refused", "[measure][prediction]") {
    const std::vector<float> row{0, 1}, longer{0, 1, 2};
    const std::vector<nullm::token_id> one{1}, two{1, 2};
    CHECK_THROWS_AS(prediction(std::vector<float>{}), nullm::error);
    CHECK_THROWS_AS(surprisal(row, prediction(row), 2), nullm::error);
    CHECK_THROWS_AS(surprisal(row, prediction(row), -1), nullm::error);
    CHECK_THROWS_AS(kl_divergence(row, prediction(row), longer, prediction(longer)), nullm::error);
    CHECK_THROWS_AS(nullm::agreement(one, two), nullm::error);
}
