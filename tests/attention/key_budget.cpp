#include <nullm/attention/key_budget.hpp>

#include <support/catch.hpp>

#include <cmath>
#include <random>
#include <vector>

namespace {

nullm::score_histogram counted(const std::vector<double>& scores) {
    nullm::score_histogram seen;
    for (const double s : scores)
        ++seen.counts[static_cast<std::size_t>(std::min(255.0, std::max(0.0, std::floor(-s * 8))))];
    return seen;
}

double expected_keys(const std::vector<double>& scores, double threshold, double floor) {
    double sum = 0;
    for (const double s : scores) sum += std::min(1.0, std::max(floor, std::exp(s - threshold)));
    return sum;
}

}  // namespace

TEST_CASE("a budget is a share of the keys, or its least", "[attention]") {
    const nullm::key_budget budget{.share = 0.25F, .least = 100};
    CHECK(budget.of(4000) == 1000);
    CHECK(budget.of(40) == 100);
}

TEST_CASE("far beyond what a share is meant for, a budget grows with the root of the keys", "[attention]") {
    const nullm::key_budget budget{.share = 0.25F, .least = 100, .linear_until = 4000};
    CHECK(budget.of(4000) == 1000);
    CHECK(budget.of(16000) == 2000);
    CHECK(budget.of(400) == 100);
}

TEST_CASE("the threshold makes the expected number of keys the wanted one", "[attention]") {
    std::mt19937 random(2);
    for (const double spread : {0.5, 2.0, 6.0}) {
        std::normal_distribution<double> normal(0, spread);
        std::vector<double> scores(4000);
        // As they come: logarithms of a distribution.
        double sum = 0;
        for (auto& s : scores) sum += std::exp(s = normal(random));
        for (auto& s : scores) s -= std::log(sum);
        const auto seen = counted(scores);
        for (const double floor : {1e-6, 1.0 / 512, 0.02}) {
            for (const double wanted : {120.0, 400.0, 2000.0}) {
                const double t = seen.threshold(static_cast<float>(wanted), 1, static_cast<float>(floor));
                INFO("spread " << spread << ", floor " << floor << ", wanted " << wanted << ", t " << t);
                CHECK(expected_keys(scores, t, floor) == Approx(wanted).epsilon(0.05));
                // Half the keys, each for two.
                std::vector<double> half;
                for (std::size_t i = 0; i < scores.size(); i += 2) half.push_back(scores[i]);
                const double rough =
                    counted(half).threshold(static_cast<float>(wanted), 2, static_cast<float>(floor));
                CHECK(expected_keys(scores, rough, floor) == Approx(wanted).epsilon(0.25));
            }
        }
    }
}

TEST_CASE("what cannot be had gives the lowest threshold, and what is there anyway the highest",
          "[attention]") {
    const std::vector<double> scores(100, -1.0);
    CHECK(counted(scores).threshold(101, 1, 0.01F) == -32);
    // The floor alone reads more than that.
    CHECK(counted(scores).threshold(1.5F, 1, 0.02F) > -0.126F);
    CHECK(nullm::score_histogram{}.threshold(1, 1, 0.1F) == -32);
}
