#pragma once
// Inputs and weights made from a seed, and errors worked out in double, for the tests of the encoders.

#include <nullm/core/matrix_view.hpp>
#include <nullm/core/random.hpp>
#include <nullm/linear/nf4_codec.hpp>

#include <Eigen/Core>

#include <cstddef>
#include <cstdint>
#include <span>
#include <support/synthetic_checkpoint.hpp>
#include <vector>

namespace quant_fixture {

/// rows x cols, neighbours alike and columns of very different sizes, as activations are.
inline std::vector<float> activations(std::uint64_t seed, std::size_t rows, std::size_t cols) {
    auto x = support::synthetic_normal(seed, 1, rows * cols, 1.0F);
    const auto size = support::synthetic_normal(seed, 2, cols, 1.0F);
    for (std::size_t r = 0; r < rows; ++r) {
        for (std::size_t k = 1; k < cols; ++k) x[r * cols + k] += 0.7F * x[r * cols + k - 1];
        for (std::size_t k = 0; k < cols; ++k) x[r * cols + k] *= 0.1F + size[k] * size[k];
    }
    return x;
}

inline std::vector<float> weights(std::uint64_t seed, std::size_t rows, std::size_t cols) {
    return support::synthetic_normal(seed, 3, rows * cols, 0.02F);
}

/// |X (w - q)^T|^2 of row r, damped as the metric: what a row's rounding costs, in double.
inline double row_error(std::span<const float> x, std::span<const float> w, std::span<const float> q,
                        std::size_t cols, std::size_t r, double added) {
    double sum = 0;
    for (std::size_t t = 0; t < x.size() / cols; ++t) {
        double y = 0;
        for (std::size_t k = 0; k < cols; ++k) {
            y += static_cast<double>(x[t * cols + k]) *
                 (static_cast<double>(w[r * cols + k]) - static_cast<double>(q[r * cols + k]));
        }
        sum += y * y;
    }
    for (std::size_t k = 0; k < cols; ++k) {
        const double d = static_cast<double>(w[r * cols + k]) - static_cast<double>(q[r * cols + k]);
        sum += added * d * d;
    }
    return sum;
}

inline std::vector<float> decoded(const nullm::nf4_data& data) {
    nullm::thread_pool one(1);
    std::vector<float> q(data.elements);
    nullm::nf4_decode(data.view(), q, one);
    return q;
}

}  // namespace quant_fixture
