#include <nullm/measure/bootstrap.hpp>

#include <cmath>
#include <numeric>
#include <set>
#include <support/catch.hpp>
#include <vector>

using nullm::bootstrap;
using nullm::interval;
using nullm::percentile_interval;
using nullm::resample;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// The mean of `values`, each counted as often as it was drawn.
auto mean_of(const std::vector<double>& values) {
    return [&values](std::span<const std::uint32_t> times) {
        double sum = 0, count = 0;
        for (std::size_t g = 0; g < values.size(); ++g) {
            sum += times[g] * values[g];
            count += times[g];
        }
        return sum / count;
    };
}

}  // namespace

TEST_CASE("a replicate draws as many groups as there are", "[measure][bootstrap]") {
    for (const std::size_t groups : {std::size_t{1}, std::size_t{2}, std::size_t{7}, std::size_t{62}}) {
        for (std::uint32_t r = 0; r < 20; ++r) {
            const auto times = resample(groups, 5, r);
            CHECK(times.size() == groups);
            CHECK(std::accumulate(times.begin(), times.end(), std::size_t{0}) == groups);
        }
    }
    CHECK(resample(0, 5, 0).empty());
}

TEST_CASE("a replicate depends on its number and the seed alone", "[measure][bootstrap]") {
    CHECK(resample(30, 1, 4) == resample(30, 1, 4));
    std::set<std::vector<std::uint32_t>> different;
    for (std::uint64_t seed = 0; seed < 5; ++seed) {
        for (std::uint32_t r = 0; r < 20; ++r) different.insert(resample(30, seed, r));
    }
    CHECK(different.size() == 100);
}

TEST_CASE("every group is drawn about as often as any other", "[measure][bootstrap]") {
    std::vector<double> drawn(10, 0.0);
    for (std::uint32_t r = 0; r < 2000; ++r) {
        const auto times = resample(10, 3, r);
        for (std::size_t g = 0; g < 10; ++g) drawn[g] += times[g];
    }
    for (const double times : drawn) CHECK(std::abs(times - 2000) < 5 * std::sqrt(2000 * 0.9));
}

TEST_CASE("quantiles interpolate between the values they fall between", "[measure][bootstrap]") {
    std::vector<double> values(101);
    std::iota(values.begin(), values.end(), 0.0);
    CHECK(percentile_interval(values, 0.9).low == Approx(5));
    CHECK(percentile_interval(values, 0.9).high == Approx(95));
    CHECK(percentile_interval({3, 1}, 0.5).low == Approx(1.5));
    CHECK(percentile_interval({3, 1}, 0.5).high == Approx(2.5));
    CHECK(percentile_interval({4}) == interval{4, 4});
}

TEST_CASE("values that are no numbers are left out", "[measure][bootstrap]") {
    CHECK(percentile_interval({not_a_number, 2, not_a_number, 2}) == interval{2, 2});
    CHECK(std::isnan(percentile_interval({not_a_number}).low));
    CHECK(std::isnan(percentile_interval({}).high));
}

TEST_CASE("the interval of a mean is the one its standard error gives", "[measure][bootstrap]") {
    std::vector<double> values(200);
    std::iota(values.begin(), values.end(), 0.0);
    const double standard_error = std::sqrt((200.0 * 200 - 1) / 12 / 200);
    const auto found = bootstrap(200, mean_of(values), {.replicates = 2000});
    CHECK((found.high - found.low) / 2 == Approx(1.96 * standard_error).epsilon(0.08));
    CHECK((found.high + found.low) / 2 == Approx(99.5).epsilon(0.01));
}

TEST_CASE("groups that are alike leave no doubt, and a higher level a wider interval",
          "[measure][bootstrap]") {
    CHECK(bootstrap(12, mean_of(std::vector<double>(12, 0.25))) == interval{0.25, 0.25});
    const std::vector<double> values{1, 4, 2, 8, 5, 7};
    const auto wide = bootstrap(6, mean_of(values), {.level = 0.99});
    const auto narrow = bootstrap(6, mean_of(values), {.level = 0.8});
    CHECK(wide.low < narrow.low);
    CHECK(narrow.high < wide.high);
}

TEST_CASE("no groups, and levels that are none, are refused", "[measure][bootstrap]") {
    CHECK_THROWS_AS(bootstrap(0, mean_of({})), nullm::error);
    CHECK_THROWS_AS(percentile_interval({1}, 0), nullm::error);
    CHECK_THROWS_AS(percentile_interval({1}, 1), nullm::error);
    CHECK_THROWS_AS(percentile_interval({1}, not_a_number), nullm::error);
}
