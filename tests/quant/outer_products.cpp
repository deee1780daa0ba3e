#include "quant_fixture.hpp"

#include <nullm/core/aligned.hpp>
#include <nullm/quant/outer_products.hpp>
#include <support/catch.hpp>

#include <cmath>

namespace {

using quant_fixture::activations;

TEST_CASE("outer products add up row by row, in the same bits on any threads and every instruction set", "[quant]") {
    constexpr std::size_t rows = 131, down = 256, across = 192, wider = 8;  // rows past one depth of the kernel
    const auto a = activations(1, rows, down);
    const auto b = activations(2, rows, across + wider);
    nullm::thread_pool one(1), three(3);
    std::vector<float> expected(down * across, 1.0F);
    for (std::size_t r = 0; r < rows; ++r) {
        for (std::size_t i = 0; i < down; ++i) {
            for (std::size_t j = 0; j < across; ++j) {
                float& sum = expected[i * across + j];
                sum = std::fma(a[r * down + i], b[r * (across + wider) + j], sum);
            }
        }
    }
    for (const auto level : {nullm::isa::scalar, nullm::isa::avx2, nullm::isa::avx512}) {
        for (auto* pool : {&one, &three}) {
            nullm::aligned_vector<float> sum(down * across, 1.0F);
            nullm::add_outer_products({a.data(), rows, down}, {b.data(), rows, across, across + wider},
                                      {sum.data(), down, across}, nullm::outer_part::whole, *pool, level);
            CHECK(std::equal(sum.begin(), sum.end(), expected.begin()));
        }
    }
}

TEST_CASE("the lower part of outer products is that of the whole", "[quant]") {
    constexpr std::size_t rows = 5, cols = 448;
    const auto a = activations(3, rows, cols);
    nullm::thread_pool pool(2);
    nullm::aligned_vector<float> whole(cols * cols), lower(cols * cols);
    nullm::add_outer_products({a.data(), rows, cols}, {a.data(), rows, cols}, {whole.data(), cols, cols},
                              nullm::outer_part::whole, pool);
    nullm::add_outer_products({a.data(), rows, cols}, {a.data(), rows, cols}, {lower.data(), cols, cols},
                              nullm::outer_part::lower, pool);
    for (std::size_t i = 0; i < cols; ++i) {
        for (std::size_t j = 0; j <= i; ++j) REQUIRE(lower[i * cols + j] == whole[i * cols + j]);
    }
    CHECK(lower[cols - 1] == 0.0F);  // a tile above the diagonal
}

TEST_CASE("outer products of rows that do not pair up, or of broken blocks, are refused", "[quant]") {
    nullm::thread_pool pool(1);
    nullm::aligned_vector<float> x(64 * 64), sum(64 * 64);
    const auto add = [&](std::size_t a_rows, std::size_t b_rows, std::size_t cols) {
        nullm::add_outer_products({x.data(), a_rows, cols}, {x.data(), b_rows, 64}, {sum.data(), cols, 64},
                                  nullm::outer_part::whole, pool);
    };
    add(2, 2, 64);
    CHECK_THROWS_AS(add(2, 3, 64), nullm::error);
    CHECK_THROWS_AS(add(2, 2, 48), nullm::error);
}

}  // namespace
