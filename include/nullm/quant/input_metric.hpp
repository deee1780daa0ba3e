#pragma once
// A layer's second moments made ready for an encoder that compensates: damped, ordered, factorised.

#include <nullm/core/error.hpp>
#include <nullm/core/tensor.hpp>
#include <nullm/core/thread_pool.hpp>
#include <nullm/quant/second_moments.hpp>

#include <Eigen/Cholesky>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <string>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// H + d I, with d a share of the mean of H's diagonal, its rows and columns in the order an encoder takes
/// them, and the upper triangular U with (H + d I)^-1 = U^T U: what rounding one column costs, and how it is
/// best made up for in those behind it (Frantar and Alistarh 2022; GPTQ, Frantar et al. 2022).
///
/// Columns that carry more come first, as far as the format allows: those of a block share a scale, so blocks
/// are ordered by their sum of the diagonal, and columns within their block.
class input_metric {
 public:
    using matrix = second_moments::matrix;

    /// Throws error if the columns are not whole blocks of 64, or a moment is not finite. O(cols^3).
    input_metric(const second_moments& moments, thread_pool& pool, double damping = 0.01) {
        const auto n = moments.lower().rows();
        check(static_cast<std::size_t>(n));
        const auto& lower = moments.lower();
        const double mean = lower.diagonal().cast<double>().mean();
        if (!std::isfinite(mean) || !lower.allFinite()) {
            throw error("input metric", "finite inputs", "others");
        }
        // Inputs that were always zero leave nothing to tell the weights apart by.
        const double added = mean > 0 ? damping * mean : 1.0;
        take_order(lower);
        metric_.resize(n, n);
        for (Eigen::Index i = 0; i < n; ++i) {
            for (Eigen::Index j = 0; j < n; ++j) {
                const auto a = static_cast<Eigen::Index>(order_[static_cast<std::size_t>(i)]);
                const auto b = static_cast<Eigen::Index>(order_[static_cast<std::size_t>(j)]);
                metric_(i, j) = lower(std::max(a, b), std::min(a, b));
            }
            metric_(i, i) = static_cast<float>(static_cast<double>(metric_(i, i)) + added);
        }
        factorise(pool);
    }

    /// The metric that weighs all columns alike and couples none: plain squared error.
    static input_metric plain(std::size_t cols) {
        check(cols);
        input_metric made;
        made.order_.resize(cols);
        std::iota(made.order_.begin(), made.order_.end(), std::size_t{0});
        const auto n = static_cast<Eigen::Index>(cols);
        made.metric_ = matrix::Identity(n, n);
        made.factor_ = matrix::Identity(n, n);
        made.coupled_ = false;
        return made;
    }

    std::size_t cols() const { return order_.size(); }
    /// Whether rounding one column says anything about another.
    bool coupled() const { return coupled_; }
    /// The column at each place.
    const std::vector<std::size_t>& order() const { return order_; }
    const matrix& metric() const { return metric_; }  // by places
    const matrix& factor() const { return factor_; }  // U, by places; zero below the diagonal

 private:
    input_metric() = default;

    static void check(std::size_t cols) {
        if (cols == 0 || cols % nf4_scale_block != 0) {
            throw error("input metric", "columns in whole blocks of 64", std::to_string(cols));
        }
    }

    void take_order(const matrix& lower) {
        const auto n = static_cast<std::size_t>(lower.rows());
        const auto weight = [&](std::size_t k) {
            return static_cast<double>(lower(static_cast<Eigen::Index>(k), static_cast<Eigen::Index>(k)));
        };
        std::vector<double> of_block(n / nf4_scale_block, 0.0);
        for (std::size_t k = 0; k < n; ++k) of_block[k / nf4_scale_block] += weight(k);
        order_.resize(n);
        std::iota(order_.begin(), order_.end(), std::size_t{0});
        std::stable_sort(order_.begin(), order_.end(), [&](std::size_t a, std::size_t b) {
            const std::size_t block_a = a / nf4_scale_block, block_b = b / nf4_scale_block;
            if (block_a == block_b) return weight(a) > weight(b);
            if (of_block[block_a] != of_block[block_b]) return of_block[block_a] > of_block[block_b];
            return block_a < block_b;
        });
    }

    // With J turning the order round, J (H + d I) J = L L^T, so H + d I = R R^T for the upper R = J L J, and
    // U = R^-1: no inverse of H is ever formed.
    void factorise(thread_pool& pool) {
        using wide = Eigen::MatrixXd;
        const auto n = metric_.rows();
        wide turned = metric_.cast<double>().reverse();
        const Eigen::LLT<Eigen::Ref<wide>> cholesky(turned);
        if (cholesky.info() != Eigen::Success) {
            throw error("input metric", "moments of real inputs", "a matrix that is not positive definite");
        }
        wide inverse = wide::Zero(n, n);
        const auto block = static_cast<Eigen::Index>(nf4_scale_block);
        pool.for_each(static_cast<std::size_t>(n / block), 1, [&](std::size_t b) {
            const auto first = static_cast<Eigen::Index>(b) * block;
            const auto rest = n - first;
            auto columns = inverse.block(first, first, rest, block);
            columns.topRows(block).setIdentity();
            turned.bottomRightCorner(rest, rest).triangularView<Eigen::Lower>().solveInPlace(columns);
        });
        factor_ = inverse.reverse().cast<float>();
    }

    std::vector<std::size_t> order_;
    matrix metric_;
    matrix factor_;
    bool coupled_ = true;
};

}  // namespace nullm::inline NULLM_ABI
