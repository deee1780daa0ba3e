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
    nullm::input_drift drift(cols), drift_shared(cols);
    drift.add({original.data(), tokens, cols}, {now.data(), tokens, cols}, one);
    drift_shared.add({original.data(), tokens, cols}, {now.data(), tokens, cols}, two);
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
    nullm::input_shift(drift, moments, 0.0001, 1.0F, one).apply(shifted, two);
    nullm::input_shift(drift, moments, 0.0001, 0.5F, two).apply(halfway, one);
    nullm::input_shift(drift, moments, 0.0001, 0.0F, one).apply(unmoved, one);
    CHECK(unmoved == w);
    CHECK(off(shifted) < 0.1 * off(w));
    CHECK(off(halfway) < off(w));
    CHECK(off(shifted) < off(halfway));
}
