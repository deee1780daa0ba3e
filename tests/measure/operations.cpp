#include <nullm/core/random.hpp>
#include <nullm/measure/operations.hpp>

#include <cmath>
#include <support/catch.hpp>
#include <vector>

using nullm::count_operations;
using nullm::fan_out;
using nullm::matrix_view;
using nullm::synaptic_operations;

namespace {

struct matrix {
    std::size_t rows, cols;
    std::vector<float> values;
    matrix_view<const float> view() const { return {values.data(), rows, cols}; }
};

synaptic_operations count(const matrix& inputs, const matrix& weights) {
    return count_operations(inputs.view(), fan_out(weights.view()), weights.rows);
}

matrix draw(std::size_t rows, std::size_t cols, std::uint64_t seed, bool graded) {
    matrix drawn{rows, cols, {}};
    for (std::uint32_t i = 0; i < rows * cols; ++i) {
        const float u = nullm::draw_uniform({.seed = seed}, i);
        drawn.values.push_back(u < 0.4F ? 0.0F : graded ? u : u < 0.7F ? 1.0F : -1.0F);
    }
    return drawn;
}

}  // namespace

TEST_CASE("spikes through a matrix are accumulations, as many as meet a weight", "[measure][operations]") {
    const matrix weights{3, 2, {0.5F, 0, 2, 1, 0, 0}};  // the first input reaches two outputs, the second one
    CHECK(fan_out(weights.view()) == std::vector<std::uint32_t>{2, 1});
    CHECK(count({1, 2, {1, 0}}, weights) == synaptic_operations{.macs = 0, .acs = 2, .dense = 6});
    CHECK(count({2, 2, {1, -1, 0, 1}}, weights) == synaptic_operations{.macs = 0, .acs = 4, .dense = 12});
    CHECK(count({1, 2, {0, 0}}, weights) == synaptic_operations{.macs = 0, .acs = 0, .dense = 6});
}

TEST_CASE("one graded spike makes all of its call multiplications", "[measure][operations]") {
    const matrix weights{3, 2, {0.5F, 0, 2, 1, 0, 0}};
    CHECK(count({2, 2, {1, 0, 0.5F, 1}}, weights) == synaptic_operations{.macs = 5, .acs = 0, .dense = 12});
}

TEST_CASE("the effective operations are the product of the matrices' patterns", "[measure][operations]") {
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
        const bool graded = seed % 2 == 0;
        const matrix inputs = draw(5, 17, seed, graded), weights = draw(9, 17, seed + 20, true);
        std::uint64_t effective = 0;
        for (std::size_t b = 0; b < 5; ++b) {
            for (std::size_t o = 0; o < 9; ++o) {
                for (std::size_t i = 0; i < 17; ++i) {
                    effective += inputs.view()[b][i] != 0 && weights.view()[o][i] != 0 ? 1 : 0;
                }
            }
        }
        const synaptic_operations expected{
            .macs = graded ? effective : 0, .acs = graded ? 0 : effective, .dense = 5 * 9 * 17};
        CHECK(count(inputs, weights) == expected);
    }
}

TEST_CASE("calls add up", "[measure][operations]") {
    synaptic_operations all{.macs = 1, .acs = 2, .dense = 3};
    all += {.macs = 10, .acs = 20, .dense = 30};
    CHECK(all == synaptic_operations{.macs = 11, .acs = 22, .dense = 33});
}

TEST_CASE("sparsity is the share of zeros over everything shown", "[measure][operations]") {
    nullm::sparsity seen;
    CHECK(std::isnan(seen.share()));
    seen.add(std::vector<float>{0, 1, -0.0F, 2});
    seen.add(std::vector<float>{0, 0, 0, 3});
    CHECK(seen.share() == 5.0 / 8);
}

TEST_CASE("inputs of another width than the weights are refused", "[measure][operations]") {
    CHECK_THROWS_AS(count({1, 3, {1, 1, 1}}, {3, 2, {1, 1, 1, 1, 1, 1}}), nullm::error);
}
