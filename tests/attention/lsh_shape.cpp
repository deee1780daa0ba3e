#include <nullm/attention/lsh_shape.hpp>

#include <support/catch.hpp>

#include <cmath>
#include <numbers>

namespace {

double formula(double p, double bits, double tables) {
    const double c = std::pow(p, bits);
    return 1 - std::pow(1 - c, tables) - tables * c * std::pow(1 - c, tables - 1);
}

}  // namespace

TEST_CASE("the inclusion probability is that of two hits among independent tables", "[attention]") {
    for (const nullm::lsh_shape shape : {nullm::lsh_shape{4, 16}, nullm::lsh_shape{8, 75},
                                         nullm::lsh_shape{10, 150}, nullm::lsh_shape{1, 2}}) {
        for (double cosine = -0.9; cosine <= 1; cosine += 0.01) {
            const double p = 1 - std::acos(cosine) / std::numbers::pi;
            // The formula as it stands loses what it has in common with 1: 1e-14 of tables x c.
            const double u = formula(p, shape.bits, shape.tables);
            CHECK(std::exp(log_inclusion_probability(shape, cosine)) ==
                  Approx(u).epsilon(1e-9).margin(1e-13));
        }
    }
}

TEST_CASE("the inclusion probability rises with the cosine, from nothing to certainty", "[attention]") {
    const nullm::lsh_shape shape{10, 150};
    double before = -INFINITY;
    for (double cosine = -1; cosine <= 1; cosine += 1.0 / 1024) {
        const double log_u = log_inclusion_probability(shape, cosine);
        CHECK(log_u >= before);
        before = log_u;
    }
    CHECK(log_inclusion_probability(shape, 1) == 0);
    CHECK(log_inclusion_probability(shape, 1.0001) == 0);
    CHECK(std::isinf(log_inclusion_probability(shape, -1)));
    // Where c is tiny, u = L (L - 1) / 2 c^2.
    const double c = collision_probability(shape, -0.999);
    CHECK(log_inclusion_probability(shape, -0.999) == Approx(std::log(150 * 149 / 2.0) + 2 * std::log(c)));
}

TEST_CASE("tables of no bits hit always", "[attention]") {
    for (const double cosine : {-1.0, -0.3, 0.0, 1.0}) {
        CHECK(nullm::log_inclusion_probability({0, 2}, cosine) == 0);
        CHECK(nullm::collision_probability({0, 2}, cosine) == 1);
    }
}

TEST_CASE("a shape has at most 15 bits and at least two tables", "[attention]") {
    CHECK(nullm::lsh_shape{}.valid());
    CHECK(nullm::lsh_shape{15, 2}.valid());
    CHECK(!nullm::lsh_shape{16, 2}.valid());
    CHECK(!nullm::lsh_shape{4, 1}.valid());
    CHECK(!nullm::lsh_shape{4, 5000}.valid());
}
