#include <nullm/spike/pass_costs.hpp>

#include <support/catch.hpp>

#include <limits>
#include <vector>

using nullm::pass_costs;
using nullm::pass_time;

TEST_CASE("a batch curve is straight between its points, and goes on as it ends", "[spike]") {
    const pass_costs costs{{1, 2.0}, {4, 2.6}, {8, 5.0}};
    CHECK(costs.of(1) == 1.0);
    CHECK(costs.of(2) == Approx(1.1));
    CHECK(costs.of(4) == Approx(1.3));
    CHECK(costs.of(6) == Approx(1.9));
    CHECK(costs.of(8) == Approx(2.5));
    CHECK(costs.of(12) == Approx(3.7));
    CHECK(costs.of_one_more(1) == Approx(0.1));
    CHECK(costs.of_one_more(4) == Approx(0.3));
    CHECK(costs.of_one_more(100) == Approx(0.3));
    REQUIRE(costs.points().size() == 3);
    CHECK(costs.points()[2].rows == 8);
}

TEST_CASE("a larger pass is never cheaper, whatever a noisy clock said", "[spike]") {
    const pass_costs costs{{1, 2.0}, {2, 1.8}, {4, 2.4}};
    CHECK(costs.of(2) == 1.0);
    CHECK(costs.of_one_more(1) == 0.0);
    CHECK(costs.of(4) == Approx(1.2));
}

TEST_CASE("a batch curve refuses times it cannot use", "[spike]") {
    using points = std::vector<pass_time>;
    CHECK_THROWS_AS(pass_costs(points{}), nullm::error);
    CHECK_THROWS_AS(pass_costs(points{{1, 1.0}}), nullm::error);
    CHECK_THROWS_AS(pass_costs(points{{2, 1.0}, {4, 2.0}}), nullm::error);
    CHECK_THROWS_AS(pass_costs(points{{1, 1.0}, {1, 2.0}}), nullm::error);
    CHECK_THROWS_AS(pass_costs(points{{1, 1.0}, {4, 2.0}, {2, 3.0}}), nullm::error);
    CHECK_THROWS_AS(pass_costs(points{{1, 0.0}, {4, 2.0}}), nullm::error);
    CHECK_THROWS_AS(pass_costs(points{{1, 1.0}, {4, std::numeric_limits<double>::quiet_NaN()}}),
                    nullm::error);
    CHECK_THROWS_AS(pass_costs(points{{1, 1.0}, {4, std::numeric_limits<double>::infinity()}}), nullm::error);
}
