#pragma once
// Weights that make up for inputs which have drifted since the layers in front were quantised.

#include <nullm/core/error.hpp>
#include <nullm/core/matrix_view.hpp>
#include <nullm/core/thread_pool.hpp>
#include <nullm/quant/second_moments.hpp>

#include <Eigen/Cholesky>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// C = sum of (y - x) x^T over pairs of rows: y what a layer's input was in the original model, x what it is.
class input_drift {
 public:
    using matrix = second_moments::matrix;

    explicit input_drift(std::size_t cols)
        : sum_(matrix::Zero(static_cast<Eigen::Index>(cols), static_cast<Eigen::Index>(cols))) {}

    const matrix& sum() const { return sum_; }

    /// Adds as many rows of both. The same sums for any number of threads. Throws error if shapes differ.
    void add(matrix_view<const float> original, matrix_view<const float> now, thread_pool& pool) {
        const auto n = sum_.rows();
        if (original.rows != now.rows || original.cols != now.cols || now.cols != static_cast<std::size_t>(n)) {
            throw error("input drift", "rows of " + std::to_string(n) + " columns, as many of both", "others");
        }
        using rows_of = Eigen::Map<const matrix, 0, Eigen::OuterStride<>>;
        const auto mapped = [](matrix_view<const float> x) {
            return rows_of(x.data, static_cast<Eigen::Index>(x.rows), static_cast<Eigen::Index>(x.cols),
                           Eigen::OuterStride<>(static_cast<Eigen::Index>(x.stride)));
        };
        const matrix moved = mapped(original) - mapped(now);
        const rows_of x = mapped(now);
        const Eigen::Index tiles = (n + tile - 1) / tile;
        pool.for_each(static_cast<std::size_t>(tiles * tiles), 1, [&](std::size_t job) {
            const Eigen::Index top = static_cast<Eigen::Index>(job) / tiles * tile;
            const Eigen::Index left = static_cast<Eigen::Index>(job) % tiles * tile;
            const Eigen::Index height = std::min(tile, n - top), width = std::min(tile, n - left);
            sum_.block(top, left, height, width).noalias() +=
                moved.middleCols(top, height).transpose() * x.middleCols(left, width);
        });
    }

 private:
    static constexpr Eigen::Index tile = 192;

    matrix sum_;
};

/// Draws weights towards those whose outputs on the inputs as they are come closest to the original outputs:
/// w' = w + share * w C (H + d I)^-1, the ridge regression of W y on x (compare GPTAQ, Li et al. 2025).
class input_shift {
 public:
    using matrix = second_moments::matrix;

    /// `damping` and the moments as for input_metric. O(cols^3).
    input_shift(const input_drift& drift, const second_moments& moments, double damping, float share,
                thread_pool& pool) {
        const auto n = moments.lower().rows();
        Eigen::MatrixXf damped = moments.lower();
        const double mean = moments.lower().diagonal().cast<double>().mean();
        damped.diagonal().array() += static_cast<float>(mean > 0 ? damping * mean : 1.0);
        const Eigen::LLT<Eigen::Ref<Eigen::MatrixXf>> cholesky(damped);
        if (cholesky.info() != Eigen::Success) {
            throw error("input shift", "moments of real inputs", "a matrix that is not positive definite");
        }
        // Columns of the transpose: (H + d I)^-1 C^T, a few at a time.
        Eigen::MatrixXf solved = share * drift.sum().transpose();
        const Eigen::Index part = 64;
        pool.for_each(static_cast<std::size_t>((n + part - 1) / part), 1, [&](std::size_t i) {
            const auto first = static_cast<Eigen::Index>(i) * part;
            auto columns = solved.middleCols(first, std::min(part, n - first));
            damped.triangularView<Eigen::Lower>().solveInPlace(columns);
            damped.triangularView<Eigen::Lower>().adjoint().solveInPlace(columns);
        });
        shift_ = solved.transpose();
    }

    /// Changes w, whole rows.
    void apply(std::span<float> w, thread_pool& pool) const {
        const auto n = shift_.rows();
        const auto rows = static_cast<Eigen::Index>(w.size()) / n;
        constexpr Eigen::Index part = 64;
        pool.for_each(static_cast<std::size_t>((rows + part - 1) / part), 1, [&](std::size_t i) {
            const auto first = static_cast<Eigen::Index>(i) * part;
            Eigen::Map<matrix> some(w.data() + first * n, std::min(part, rows - first), n);
            const matrix moved = some * shift_;
            some += moved;
        });
    }

 private:
    matrix shift_;
};

}  // namespace nullm::inline NULLM_ABI
