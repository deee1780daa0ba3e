#include "quant_fixture.hpp"

#include <nullm/quant/input_metric.hpp>
#include <support/catch.hpp>

#include <algorithm>
#include <limits>
#include <set>

namespace {

nullm::second_moments moments_of(std::span<const float> x, std::size_t cols) {
    nullm::thread_pool one(1);
    nullm::second_moments made(cols);
    made.add({x.data(), x.size() / cols, cols}, one);
    return made;
}

}  // namespace

TEST_CASE("the factor is the upper root of the damped inverse", "[quant]") {
    constexpr std::size_t cols = 192;
    nullm::thread_pool pool(2);
    const nullm::input_metric metric(moments_of(quant_fixture::activations(2, 300, cols), cols), pool);
    const Eigen::MatrixXd u = metric.factor().cast<double>();
    const Eigen::MatrixXd h = metric.metric().cast<double>();
    CHECK(Eigen::MatrixXd(u.triangularView<Eigen::StrictlyLower>()).norm() == 0);
    // U^T U H = I but for U's rounding to float, which the condition of H (1 % damping: some 1e5) enlarges.
    const Eigen::MatrixXd identity = Eigen::MatrixXd::Identity(h.rows(), h.cols());
    CHECK((u.transpose() * u * h - identity).norm() < 1e-2);
}

TEST_CASE("columns that carry more come first, and stay in their block", "[quant]") {
    constexpr std::size_t cols = 256;
    nullm::thread_pool pool(1);
    const auto moments = moments_of(quant_fixture::activations(3, 100, cols), cols);
    const nullm::input_metric metric(moments, pool);
    CHECK(std::set<std::size_t>(metric.order().begin(), metric.order().end()).size() == cols);
    double before = std::numeric_limits<double>::infinity();
    for (std::size_t b = 0; b < cols; b += 64) {
        double block = 0;
        for (std::size_t k = b; k < b + 64; ++k) {
            CHECK(metric.order()[k] / 64 == metric.order()[b] / 64);
            const auto at = static_cast<Eigen::Index>(metric.order()[k]);
            const auto next = static_cast<Eigen::Index>(metric.order()[std::min(k + 1, b + 63)]);
            CHECK(moments.lower()(at, at) >= moments.lower()(next, next));
            block += static_cast<double>(moments.lower()(at, at));
        }
        CHECK(block <= before);
        before = block;
    }
}

TEST_CASE("inputs that are always zero still have a metric, others than finite have none", "[quant]") {
    nullm::thread_pool pool(1);
    std::vector<float> x(2 * 64, 0.0F);
    const nullm::input_metric metric(moments_of(x, 64), pool);
    CHECK(metric.factor().isIdentity());
    x[5] = std::numeric_limits<float>::infinity();
    CHECK_THROWS_AS(nullm::input_metric(moments_of(x, 64), pool), nullm::error);
    CHECK_THROWS_AS(nullm::input_metric(nullm::second_moments(96), pool), nullm::error);
    CHECK_THROWS_AS(nullm::input_metric::plain(32), nullm::error);
}
