#include "quant_fixture.hpp"

#include <nullm/quant/input_shift.hpp>
#include <support/catch.hpp>

#include <algorithm>
#include <cmath>

TEST_CASE("shifted weights give on drifted inputs what the old gave on the original ones", "[quant]") {
    constexpr std::size_t cols = 64, rows = 70, tokens = 500;
    nullm::thread_pool one(1), two(2);
    const auto original = quant_fixture::activations(1, tokens, cols);
    // A drift that a linear layer can undo: every column scaled, and a little noise.
    auto now = original;
    const auto noise = support::synthetic_normal(8, 1, now.size(), 0.01F);
    for (std::size_t i = 0; i < now.size(); ++i) now[i] = now[i] * (i % cols % 2 == 0 ? 0.9F : 1.1F) + noise[i];
    nullm::second_moments moments(cols);
    moments.add({now.data(), tokens, cols}, one);
    nullm::drift_products drift(cols, cols), drift_shared(cols, cols);
    const nullm::matrix_view<const float> y(original.data(), tokens, cols), x(now.data(), tokens, cols);
    drift.add(y, x, x, one);
    drift_shared.add(y, x, x, two);
    CHECK(drift.sum() == drift_shared.sum());

    const auto w = quant_fixture::weights(2, rows, cols);
    const auto off = [&](std::span<const float> v) {
        double sum = 0;
        for (std::size_t t = 0; t < tokens; ++t) {
            for (std::size_t r = 0; r < rows; ++r) {
                double wanted = 0, got = 0;
                for (std::size_t k = 0; k < cols; ++k) {
                    wanted += static_cast<double>(w[r * cols + k]) * static_cast<double>(original[t * cols + k]);
                    got += static_cast<double>(v[r * cols + k]) * static_cast<double>(now[t * cols + k]);
                }
                sum += (wanted - got) * (wanted - got);
            }
        }
        return sum;
    };
    auto shifted = w, halfway = w, unmoved = w;
    const nullm::input_shift shift(moments, 0.0001);
    shift.apply(shifted, drift, nullptr, 1.0F, two);
    shift.apply(halfway, drift, nullptr, 0.5F, one);
    shift.apply(unmoved, drift, nullptr, 0.0F, one);
    CHECK(unmoved == w);
    CHECK(off(shifted) < 0.1 * off(w));
    CHECK(off(halfway) < off(w));
    CHECK(off(shifted) < off(halfway));
}

TEST_CASE("a layer that writes into a sum makes up for what the sum has lost", "[quant]") {
    constexpr std::size_t cols = 128, rows = 64, tokens = 600;
    nullm::thread_pool pool(2);
    const auto inputs = quant_fixture::activations(3, tokens, cols);
    const nullm::matrix_view<const float> x(inputs.data(), tokens, cols);
    const auto w = quant_fixture::weights(4, rows, cols);
    // The sum lacks what other weights would have made of the same inputs, and some noise.
    const auto lacking = quant_fixture::weights(5, rows, cols);
    const auto sum = support::synthetic_normal(6, 1, tokens * rows, 1.0F);
    auto sum_now = sum;
    const auto noise = support::synthetic_normal(7, 1, sum.size(), 0.01F);
    for (std::size_t t = 0; t < tokens; ++t) {
        for (std::size_t r = 0; r < rows; ++r) {
            double part = 0;
            for (std::size_t k = 0; k < cols; ++k) {
                part += static_cast<double>(lacking[r * cols + k]) * static_cast<double>(inputs[t * cols + k]);
            }
            sum_now[t * rows + r] -= static_cast<float>(part) + noise[t * rows + r];
        }
    }
    nullm::second_moments moments(cols);
    moments.add(x, pool);
    nullm::drift_products of_inputs(cols, cols), of_sum(rows, cols);
    of_inputs.add(x, x, x, pool);
    of_sum.add({sum.data(), tokens, rows}, {sum_now.data(), tokens, rows}, x, pool);
    auto shifted = w;
    nullm::input_shift(moments, 1e-5).apply(shifted, of_inputs, &of_sum, 1.0F, pool);
    double off = 0, size = 0;  // in what comes out: inputs that hardly vary leave their weights open
    const std::vector<float> none(rows * cols, 0.0F);
    auto gained = shifted;
    for (std::size_t i = 0; i < w.size(); ++i) gained[i] -= w[i];
    for (std::size_t r = 0; r < rows; ++r) {
        off += quant_fixture::row_error(inputs, lacking, gained, cols, r, 0.0);
        size += quant_fixture::row_error(inputs, lacking, none, cols, r, 0.0);
    }
    CHECK(off < 0.001 * size);
}

TEST_CASE("drifts that do not fit are refused", "[quant]") {
    nullm::thread_pool pool(1);
    const std::vector<float> values(128 * 4, 1.0F);
    const nullm::matrix_view<const float> narrow(values.data(), 4, 64), wide(values.data(), 4, 128);
    nullm::drift_products square(64, 64), tall(128, 64);
    CHECK_THROWS_AS(square.add(wide, wide, narrow, pool), nullm::error);
    CHECK_THROWS_AS(square.add(narrow, narrow, wide, pool), nullm::error);
    CHECK_THROWS_AS(square.add(narrow, narrow.subrows(0, 3), narrow, pool), nullm::error);
    nullm::second_moments moments(64);
    moments.add(narrow, pool);
    const nullm::input_shift shift(moments, 0.01);
    std::vector<float> w(64 * 64);
    CHECK_THROWS_AS(shift.apply(std::span(w).first(63), square, nullptr, 1.0F, pool), nullm::error);
    CHECK_THROWS_AS(shift.apply(w, tall, nullptr, 1.0F, pool), nullm::error);
    CHECK_THROWS_AS(shift.apply(w, square, &tall, 1.0F, pool), nullm::error);
}
