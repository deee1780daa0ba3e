#pragma once
// What a linear layer's inputs look like: the sum of x x^T over the rows it has seen.

#include <nullm/core/error.hpp>
#include <nullm/core/matrix_view.hpp>
#include <nullm/core/thread_pool.hpp>

#include <Eigen/Core>

#include <algorithm>
#include <cstddef>
#include <string>

namespace nullm::inline NULLM_ABI {

/// H = sum x x^T over all rows added: half the Hessian of the squared error of a layer's output in a row of its
/// weights. cols x cols floats; only the lower triangle is kept up.
class second_moments {
 public:
    using matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

    explicit second_moments(std::size_t cols)
        : sum_(matrix::Zero(static_cast<Eigen::Index>(cols), static_cast<Eigen::Index>(cols))) {}

    std::size_t cols() const { return static_cast<std::size_t>(sum_.rows()); }
    const matrix& lower() const { return sum_; }

    /// Adds x.rows rows. The same sums for the same calls, whatever the number of threads: they share out
    /// tiles of H. Costs x.rows * cols^2 / 2 multiplications. Throws error if the columns are not as many.
    void add(matrix_view<const float> x, thread_pool& pool) {
        if (x.cols != cols()) {
            throw error("second moments", std::to_string(cols()) + " columns", std::to_string(x.cols));
        }
        using rows_of = Eigen::Map<const matrix, 0, Eigen::OuterStride<>>;
        const rows_of rows(x.data, static_cast<Eigen::Index>(x.rows), static_cast<Eigen::Index>(x.cols),
                           Eigen::OuterStride<>(static_cast<Eigen::Index>(x.stride)));
        const auto n = sum_.rows();
        const Eigen::Index tiles = (n + tile - 1) / tile;
        pool.for_each(static_cast<std::size_t>(tiles * (tiles + 1) / 2), 1, [&](std::size_t job) {
            auto left = static_cast<Eigen::Index>(job);
            Eigen::Index i = 0;
            while (left > i) left -= ++i;  // row i of the triangle has i + 1 tiles
            const Eigen::Index top = i * tile, first = left * tile;
            const Eigen::Index height = std::min(tile, n - top), width = std::min(tile, n - first);
            sum_.block(top, first, height, width).noalias() +=
                rows.middleCols(top, height).transpose() * rows.middleCols(first, width);
        });
    }

 private:
    static constexpr Eigen::Index tile = 192;

    matrix sum_;
};

}  // namespace nullm::inline NULLM_ABI
