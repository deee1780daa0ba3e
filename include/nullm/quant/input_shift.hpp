#pragma once
// Weights that make up for inputs which have drifted since the layers in front were quantised.

#include <nullm/core/aligned.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/matrix_view.hpp>
#include <nullm/core/thread_pool.hpp>
#include <nullm/quant/outer_products.hpp>
#include <nullm/quant/second_moments.hpp>

#include <Eigen/Cholesky>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// D = sum of (y - z) x^T over rows: y what something was in the original model, z what it is now that layers in
/// front are quantised, x the inputs of a layer as they are now.
class drift_products {
 public:
    using matrix = second_moments::matrix;

    /// Rows as many as y has columns, columns as many as x; both in whole blocks of 64.
    drift_products(std::size_t rows, std::size_t cols)
        : sum_(matrix::Zero(static_cast<Eigen::Index>(rows), static_cast<Eigen::Index>(cols))) {}

    const matrix& sum() const { return sum_; }

    /// Adds as many rows of each. The same sums for any number of threads. Throws error if shapes differ.
    void add(matrix_view<const float> original, matrix_view<const float> now, matrix_view<const float> x,
             thread_pool& pool) {
        const auto rows = static_cast<std::size_t>(sum_.rows()), cols = static_cast<std::size_t>(sum_.cols());
        if (original.rows != now.rows || x.rows != now.rows || original.cols != rows || now.cols != rows ||
            x.cols != cols) {
            throw error("drift", "as many rows of " + std::to_string(rows) + ", " + std::to_string(rows) + " and " +
                                     std::to_string(cols) + " columns",
                        "others");
        }
        aligned_vector<float> moved(now.rows * now.cols);
        const matrix_view<float> by(moved.data(), now.rows, now.cols);
        pool.for_each(now.rows, 16, [&](std::size_t r) {
            std::transform(original[r], original[r] + now.cols, now[r], by[r], std::minus<>());
        });
        add_outer_products(by, x, {sum_.data(), rows, cols}, outer_part::whole, pool);
    }

 private:
    matrix sum_;
};

/// Draws weights towards those that undo drift, W + share (W C + R) (H + d I)^-1: the ridge regression on the
/// inputs x as they are of W y, where C = sum (y - x) x^T says how the inputs have drifted (compare GPTAQ, Li et
/// al. 2025), and of the drift R = sum (s - s') x^T of a sum s that the outputs are added to, for a layer that
/// writes into one.
class input_shift {
 public:
    /// `damping` and the moments as for input_metric. O(cols^3).
    input_shift(const second_moments& moments, double damping) : damped_(moments.lower()) {
        const double mean = moments.lower().diagonal().cast<double>().mean();
        damped_.diagonal().array() += static_cast<float>(mean > 0 ? damping * mean : 1.0);
        const Eigen::LLT<Eigen::Ref<Eigen::MatrixXf>> cholesky(damped_);
        if (cholesky.info() != Eigen::Success) {
            throw error("input shift", "moments of real inputs", "a matrix that is not positive definite");
        }
    }

    /// Changes w, whole rows; `of_sum` is R, of as many rows, or null. Costs three times cols multiplications a
    /// weight. Throws error if shapes differ.
    void apply(std::span<float> w, const drift_products& of_inputs, const drift_products* of_sum, float share,
               thread_pool& pool) const {
        using matrix = drift_products::matrix;
        const auto n = damped_.rows();
        const auto rows = static_cast<Eigen::Index>(w.size()) / n;
        const auto fits = [&](const matrix& drift, Eigen::Index height) {
            return drift.rows() == height && drift.cols() == n;
        };
        if (static_cast<Eigen::Index>(w.size()) != rows * n || !fits(of_inputs.sum(), n) ||
            (of_sum != nullptr && !fits(of_sum->sum(), rows))) {
            throw error("input shift", "whole rows of " + std::to_string(n) + ", and drifts that fit them", "others");
        }
        constexpr Eigen::Index part = 64;
        pool.for_each(static_cast<std::size_t>((rows + part - 1) / part), 1, [&](std::size_t i) {
            const auto first = static_cast<Eigen::Index>(i) * part;
            const auto count = std::min(part, rows - first);
            Eigen::Map<matrix> some(w.data() + first * n, count, n);
            Eigen::MatrixXf columns = of_inputs.sum().transpose() * some.transpose();
            if (of_sum != nullptr) columns += of_sum->sum().middleRows(first, count).transpose();
            damped_.triangularView<Eigen::Lower>().solveInPlace(columns);
            damped_.triangularView<Eigen::Lower>().adjoint().solveInPlace(columns);
            some += share * columns.transpose();
        });
    }

 private:
    Eigen::MatrixXf damped_;  // below the diagonal: its factor L
};

}  // namespace nullm::inline NULLM_ABI
