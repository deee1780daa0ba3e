#include <nullm/measure/ranking.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <measure/draws.hpp>
#include <numeric>
#include <support/catch.hpp>
#include <vector>

using measure_test::draw_sample;
using measure_test::repeated;
using nullm::auroc;
using nullm::ranking;
using nullm::share_at;
using nullm::share_of;
using nullm::share_within;

namespace {

const std::vector<float> four_scores{3, 2, 2, 1};
const std::vector<std::uint8_t> first_and_third{1, 0, 1, 0};

double pairwise_auroc(const measure_test::sample& s) {
    double wins = 0, pairs = 0;
    for (std::size_t a = 0; a < s.scores.size(); ++a) {
        for (std::size_t b = 0; b < s.scores.size(); ++b) {
            if (s.flags[a] == 0 || s.flags[b] != 0) continue;
            ++pairs;
            wins += s.scores[a] > s.scores[b] ? 1 : s.scores[a] == s.scores[b] ? 0.5 : 0;
        }
    }
    return wins / pairs;
}

/// The mean of f(order) over all orders in which equal scores may stand.
template <class F>
double mean_over_orders(const std::vector<float>& scores, F&& f) {
    std::vector<std::size_t> order(scores.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    double sum = 0, orders = 0;
    do {
        const auto rises = [&](std::size_t a, std::size_t b) { return scores[a] < scores[b]; };
        if (std::adjacent_find(order.begin(), order.end(), rises) != order.end()) continue;
        sum += f(order);
        ++orders;
    } while (std::next_permutation(order.begin(), order.end()));
    return sum / orders;
}

}  // namespace

TEST_CASE("auroc is the share of pairs in the right order, ties counted half", "[measure][ranking]") {
    // Of the four pairs (with, without) three are right and (2, 2) is a tie.
    CHECK(auroc(ranking(four_scores), first_and_third) == Approx(3.5 / 4));
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        const auto s = draw_sample(40, seed);
        CHECK(auroc(ranking(s.scores), s.flags) == Approx(pairwise_auroc(s)));
    }
}

TEST_CASE("auroc is 1 for a perfect score, 0 for its opposite and one half for a constant",
          "[measure][ranking]") {
    const std::vector<std::uint8_t> flags{0, 1, 1, 0, 1};
    const std::vector<float> perfect(flags.begin(), flags.end());
    CHECK(auroc(ranking(perfect), flags) == 1.0);
    CHECK(auroc(ranking(std::vector<float>{0, -1, -1, 0, -1}), flags) == 0.0);
    CHECK(auroc(ranking(std::vector<float>(5, 7.0F)), flags) == 0.5);
    CHECK(std::isnan(auroc(ranking(perfect), std::vector<std::uint8_t>(5, 1))));
    CHECK(std::isnan(auroc(ranking(std::vector<float>{}), std::vector<std::uint8_t>{})));
}

TEST_CASE("a cut through a tie gives the mean over the orders the tie may have", "[measure][ranking]") {
    const std::vector<float> scores{2, 1, 1, 1, 0, 1};
    const std::vector<float> amounts{0.5F, 3, 0, 1, 2, 0.25F};
    const ranking ranked(scores);
    for (std::size_t k = 0; k <= scores.size(); ++k) {
        const double share = mean_over_orders(scores, [&](const auto& order) {
            double within = 0;
            for (std::size_t i = 0; i < k; ++i) within += amounts[order[i]];
            return within / 6.75;
        });
        CHECK(share_within(ranked, static_cast<double>(k) / 6, amounts) == Approx(share));
    }
    CHECK(share_within(ranked, 0.25, amounts) == Approx((0.5 + 4.25 / 8) / 6.75));  // half a position further
    CHECK(std::isnan(share_within(ranked, 0.5, std::vector<float>(6, 0.0F))));
}

TEST_CASE("the area under what is caught is the mean over all coverages", "[measure][ranking]") {
    const auto s = draw_sample(40, 21);
    const ranking ranked(s.scores);
    double area = 0;
    for (std::size_t k = 0; k < 40; ++k) {  // between two positions the curve is straight
        const double low = static_cast<double>(k) / 40, high = static_cast<double>(k + 1) / 40;
        area += (share_within(ranked, low, s.amounts) + share_within(ranked, high, s.amounts)) / 2 / 40;
    }
    CHECK(share_area(ranked, s.amounts) == Approx(area));
    CHECK(share_area(ranking(std::vector<float>(40, 1.0F)), s.amounts) == Approx(0.5));
    CHECK(std::isnan(share_area(ranked, std::vector<float>(40, 0.0F))));
    CHECK_THROWS_AS(share_area(ranked, std::vector<float>(39, 1.0F)), nullm::error);
}

TEST_CASE("a constant score catches as much as it covers", "[measure][ranking]") {
    const auto s = draw_sample(50, 3, 1);
    for (const double coverage : {0.0, 0.1, 0.37, 0.9, 1.0}) {
        CHECK(share_within(ranking(s.scores), coverage, s.amounts) == Approx(coverage));
    }
}

TEST_CASE("what a threshold catches is what the ranking catches at its coverage", "[measure][ranking]") {
    const auto s = draw_sample(200, 11);
    for (const float threshold : {0.0F, 1.0F, 3.0F, 4.0F}) {
        std::vector<bool> fired;
        for (const float x : s.scores) fired.push_back(x >= threshold);
        const double coverage = share_of(fired);
        CHECK(share_at(fired, s.amounts) == Approx(share_within(ranking(s.scores), coverage, s.amounts)));
        CHECK(share_at(fired, s.flags) == Approx(share_within(ranking(s.scores), coverage, s.flags)));
    }
}

TEST_CASE("a position that counts k times is k positions", "[measure][ranking]") {
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
        const auto s = draw_sample(30, seed);
        std::vector<std::uint32_t> times;
        for (std::uint32_t p = 0; p < 30; ++p) times.push_back(nullm::draw_u32({.seed = seed + 100}, p) % 4);
        const auto all = repeated(s, times);
        const ranking once(s.scores), written_out(all.scores);
        CHECK(auroc(once, s.flags, times) == Approx(auroc(written_out, all.flags)));
        for (const double coverage : {0.0, 0.2, 0.55, 1.0}) {
            CHECK(share_within(once, coverage, s.amounts, times) ==
                  Approx(share_within(written_out, coverage, all.amounts)));
        }
        CHECK(share_area(once, s.amounts, times) == Approx(share_area(written_out, all.amounts)));
        CHECK(share_at(s.flags, s.amounts, times) == Approx(share_at(all.flags, all.amounts)));
        CHECK(share_of(s.flags, times) == Approx(share_of(all.flags)));
    }
}

TEST_CASE("the order of scores matters, and not their size", "[measure][ranking]") {
    const auto s = draw_sample(60, 5);
    std::vector<float> other;
    for (const float x : s.scores) other.push_back(std::exp(3 * x) - 100);
    CHECK(auroc(ranking(s.scores), s.flags) == auroc(ranking(other), s.flags));
    CHECK(share_within(ranking(s.scores), 0.3, s.amounts) == share_within(ranking(other), 0.3, s.amounts));
}

TEST_CASE("runs of equal scores come highest first, each position once, in order", "[measure][ranking]") {
    std::vector<std::vector<std::uint32_t>> runs;
    const float inf = std::numeric_limits<float>::infinity();
    const ranking ranked(std::vector<float>{-inf, 2, 0.0F, -0.0F, 2, inf});
    ranked.for_each_tie(
        [&](std::span<const std::uint32_t> tied) { runs.emplace_back(tied.begin(), tied.end()); });
    CHECK(runs == std::vector<std::vector<std::uint32_t>>{{5}, {1, 4}, {2, 3}, {0}});
    CHECK(ranked.size() == 6);
}

TEST_CASE("scores that are no numbers, lengths that differ and coverages that are no share are refused",
          "[measure][ranking]") {
    CHECK_THROWS_AS(ranking(std::vector<float>{1, std::nanf(""), 2}), nullm::error);
    const ranking ranked(four_scores);
    const std::vector<std::uint8_t> three{1, 0, 1};
    const std::vector<std::uint32_t> counts{1, 1, 1};
    CHECK_THROWS_AS(auroc(ranked, three), nullm::error);
    CHECK_THROWS_AS(auroc(ranked, first_and_third, counts), nullm::error);
    CHECK_THROWS_AS(share_within(ranked, 0.5, three), nullm::error);
    CHECK_THROWS_AS(share_within(ranked, 0.5, first_and_third, counts), nullm::error);
    CHECK_THROWS_AS(share_within(ranked, 1.5, first_and_third), nullm::error);
    CHECK_THROWS_AS(share_within(ranked, std::nan(""), first_and_third), nullm::error);
    CHECK_THROWS_AS(share_at(three, four_scores), nullm::error);
    CHECK_THROWS_AS(share_at(first_and_third, four_scores, counts), nullm::error);
    CHECK_THROWS_AS(share_of(first_and_third, counts), nullm::error);
}
