#include <nullm/model/rms_norm.hpp>

#include <model/random_values.hpp>
#include <support/catch.hpp>

#include <vector>

using model_test::random_values;

TEST_CASE("rms_norm divides by the root mean square and multiplies by the weights", "[model]") {
    for (const std::size_t size : {1, 10, 16, 33, 576}) {
        const auto x = random_values(size, 1);
        const auto weight = random_values(size, 2);
        std::vector<float> y(size);
        nullm::rms_norm(x, weight, 1e-5F, y);
        double squares = 0;
        for (const float value : x) squares += static_cast<double>(value) * value;
        const double scale = 1 / std::sqrt(squares / static_cast<double>(size) + 1e-5F);
        for (std::size_t i = 0; i < size; ++i) {
            // The sum of squares errs below (size / 16 + 5) u of itself, halved by the root; five more
            // roundings.
            const double tolerance = (static_cast<double>(size) / 32 + 8) * std::ldexp(1.0, -24);
            CHECK(y[i] == Approx(x[i] * scale * weight[i]).epsilon(tolerance).margin(0));
        }
    }
}

TEST_CASE("rms_norm may write over its input", "[model]") {
    auto x = random_values(100, 3);
    const auto weight = random_values(100, 4);
    std::vector<float> y(100);
    nullm::rms_norm(x, weight, 1e-6F, y);
    nullm::rms_norm(x, weight, 1e-6F, x);
    CHECK(x == y);
}

TEST_CASE("norm and residual sum give the same bits on every instruction set", "[model]") {
    for (const std::size_t size : {1, 7, 8, 9, 15, 16, 17, 31, 100, 576}) {
        const auto x = random_values(size, 5);
        const auto weight = random_values(size, 6);
        std::vector<float> expected(size);
        nullm::rms_norm(x, weight, 1e-5F, expected, nullm::isa::scalar);
        auto sum = x;
        nullm::add_residual(sum, weight, nullm::isa::scalar);
        for (const nullm::isa level : {nullm::isa::avx2, nullm::isa::avx512}) {
            if (level > nullm::detected_isa()) continue;
            std::vector<float> y(size);
            nullm::rms_norm(x, weight, 1e-5F, y, level);
            CHECK(y == expected);
            auto other = x;
            nullm::add_residual(other, weight, level);
            CHECK(other == sum);
        }
        for (std::size_t i = 0; i < size; ++i) CHECK(sum[i] == x[i] + weight[i]);
    }
}
