#pragma once
// What a linear layer's inputs look like: the sum of x x^T over the rows it has seen.

#include <nullm/core/error.hpp>
#include <nullm/core/matrix_view.hpp>
#include <nullm/core/thread_pool.hpp>
#include <nullm/quant/outer_products.hpp>

#include <Eigen/Core>

#include <cstddef>
#include <string>

namespace nullm::inline NULLM_ABI {

/// H = sum x x^T over all rows added: half the Hessian of the squared error of a layer's output in a row of its
/// weights. cols x cols floats; only the lower triangle is kept up.
class second_moments {
 public:
    using matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

    /// Columns in whole blocks of 64.
    explicit second_moments(std::size_t cols)
        : sum_(matrix::Zero(static_cast<Eigen::Index>(cols), static_cast<Eigen::Index>(cols))) {}

    std::size_t cols() const { return static_cast<std::size_t>(sum_.rows()); }
    const matrix& lower() const { return sum_; }

    /// Adds x.rows rows. The same sums for any number of threads. Costs x.rows * cols^2 / 2 multiplications.
    /// Throws error if the columns are not as many.
    void add(matrix_view<const float> x, thread_pool& pool) {
        if (x.cols != cols()) {
            throw error("second moments", std::to_string(cols()) + " columns", std::to_string(x.cols));
        }
        add_outer_products(x, x, {sum_.data(), cols(), cols()}, outer_part::lower, pool);
    }

 private:
    matrix sum_;
};

}  // namespace nullm::inline NULLM_ABI
