#include "quant_fixture.hpp"

#include <nullm/quant/second_moments.hpp>
#include <support/catch.hpp>

#include <cmath>

TEST_CASE("second moments are the sums of products, and the same for any number of threads", "[quant]") {
    constexpr std::size_t rows = 37, cols = 256;
    const auto x = quant_fixture::activations(1, rows, cols);
    nullm::thread_pool one(1), three(3);
    nullm::second_moments alone(cols), shared(cols);
    for (auto* moments : {&alone, &shared}) {
        auto& pool = moments == &alone ? one : three;
        moments->add({x.data(), 20, cols}, pool);
        moments->add({x.data() + 20 * cols, rows - 20, cols}, pool);
    }
    for (std::size_t i = 0; i < cols; ++i) {
        for (std::size_t j = 0; j <= i; ++j) {
            double sum = 0, magnitude = 0;
            for (std::size_t r = 0; r < rows; ++r) {
                const double product = static_cast<double>(x[r * cols + i]) * static_cast<double>(x[r * cols + j]);
                sum += product;
                magnitude += std::abs(product);
            }
            const auto at = [&](const nullm::second_moments& m) {
                return m.lower()(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(j));
            };
            REQUIRE(at(alone) == at(shared));
            // A product and a sum rounded for each row, in whatever order.
            REQUIRE(std::abs(static_cast<double>(at(alone)) - sum) <= (rows + 1) * 0x1p-24 * magnitude);
        }
    }
    CHECK_THROWS_AS(alone.add({x.data(), 2, cols - 1, cols}, one), nullm::error);
}
