#include <nullm/measure/risk_coverage.hpp>

#include <algorithm>
#include <cmath>
#include <measure/draws.hpp>
#include <numeric>
#include <support/catch.hpp>
#include <vector>

using measure_test::draw_sample;
using measure_test::repeated;
using nullm::augrc;
using nullm::aurc;
using nullm::ranking;

namespace {

struct areas {
    double selective = 0, generalised = 0;
};

/// By the definitions, for one order without ties.
areas areas_of(const std::vector<std::size_t>& order, const std::vector<std::uint8_t>& wrong) {
    const auto n = static_cast<double>(order.size());
    areas found;
    double lost = 0;
    for (std::size_t k = 0; k < order.size(); ++k) {
        const double before = lost;
        lost += wrong[order[k]];
        found.selective += lost / static_cast<double>(k + 1) / n;
        found.generalised += (before + lost) / 2 / n / n;  // a trapezium
    }
    return found;
}

}  // namespace

TEST_CASE("areas under four answers, by hand", "[measure][risk_coverage]") {
    const ranking ranked(std::vector<float>{4, 3, 2, 1});
    const std::vector<std::uint8_t> wrong{0, 1, 0, 1};
    CHECK(aurc(ranked, wrong) == Approx((0 + 1.0 / 2 + 1.0 / 3 + 2.0 / 4) / 4));
    CHECK(augrc(ranked, wrong) == Approx((0 + 0.5 + 1 + 1.5) / 16));
}

TEST_CASE("with ties the areas are means over the orders they may have", "[measure][risk_coverage]") {
    for (std::uint64_t seed = 0; seed < 8; ++seed) {
        const auto s = draw_sample(7, seed, 3);
        std::vector<std::size_t> order(7);
        std::iota(order.begin(), order.end(), std::size_t{0});
        areas mean;
        double orders = 0;
        do {
            const auto rises = [&](std::size_t a, std::size_t b) { return s.scores[a] < s.scores[b]; };
            if (std::adjacent_find(order.begin(), order.end(), rises) != order.end()) continue;
            const areas one = areas_of(order, s.flags);
            mean.selective += one.selective;
            mean.generalised += one.generalised;
            ++orders;
        } while (std::next_permutation(order.begin(), order.end()));
        CHECK(aurc(ranking(s.scores), s.flags) == Approx(mean.selective / orders));
        CHECK(augrc(ranking(s.scores), s.flags) == Approx(mean.generalised / orders));
    }
}

TEST_CASE("augrc follows from accuracy and the score's auroc for right answers", "[measure][risk_coverage]") {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        const auto s = draw_sample(150, seed, 9);
        std::vector<std::uint8_t> right;
        for (const auto flag : s.flags) right.push_back(1 - flag);
        const ranking ranked(s.scores);
        const double a = nullm::share_of(right);
        const double expected = (1 - nullm::auroc(ranked, right)) * a * (1 - a) + (1 - a) * (1 - a) / 2;
        CHECK(augrc(ranked, s.flags) == Approx(expected));
    }
}

TEST_CASE("a score without information gives the mean loss, and half of it", "[measure][risk_coverage]") {
    const auto s = draw_sample(100, 4, 1);
    const double mean = std::accumulate(s.amounts.begin(), s.amounts.end(), 0.0) / 100;
    CHECK(aurc(ranking(s.scores), s.amounts) == Approx(mean));
    CHECK(augrc(ranking(s.scores), s.amounts) == Approx(mean / 2));
}

TEST_CASE("no score does better than the one that knows the losses", "[measure][risk_coverage]") {
    const auto s = draw_sample(80, 9);
    std::vector<float> knows;
    for (const float loss : s.amounts) knows.push_back(-loss);
    const double best = aurc(ranking(knows), s.amounts);
    const double best_generalised = augrc(ranking(knows), s.amounts);
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        const auto other = draw_sample(80, 100 + seed, 80);
        CHECK(best <= aurc(ranking(other.scores), s.amounts));
        CHECK(best_generalised <= augrc(ranking(other.scores), s.amounts));
    }
    CHECK(best < aurc(ranking(s.scores), s.amounts));
}

TEST_CASE("an answer that counts k times is k answers", "[measure][risk_coverage]") {
    const auto s = draw_sample(25, 6);
    std::vector<std::uint32_t> times;
    for (std::uint32_t p = 0; p < 25; ++p) times.push_back(nullm::draw_u32({.seed = 77}, p) % 3);
    const auto all = repeated(s, times);
    CHECK(aurc(ranking(s.scores), s.flags, times) == Approx(aurc(ranking(all.scores), all.flags)));
    CHECK(augrc(ranking(s.scores), s.flags, times) == Approx(augrc(ranking(all.scores), all.flags)));
}

TEST_CASE("losses of another length are refused, and no losses have no area", "[measure][risk_coverage]") {
    const ranking ranked(std::vector<float>{1, 2});
    CHECK_THROWS_AS(aurc(ranked, std::vector<float>{1}), nullm::error);
    CHECK_THROWS_AS(augrc(ranked, std::vector<float>{1, 2, 3}), nullm::error);
    CHECK(std::isnan(aurc(ranking(std::vector<float>{}), std::vector<float>{})));
    CHECK(std::isnan(augrc(ranking(std::vector<float>{}), std::vector<float>{})));
}
