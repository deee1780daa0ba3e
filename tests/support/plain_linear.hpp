#pragma once
// The simplest Linear: dequantised float weights, one fma chain per output. The archetype of the concept.

#include <nullm/linear/concepts.hpp>
#include <nullm/linear/dequantize.hpp>

#include <vector>

class plain_linear {
 public:
    struct input {
        void assign(nullm::matrix_view<const float> x, nullm::thread_pool&) { rows = x; }
        nullm::matrix_view<const float> rows;
    };

    static plain_linear from(std::span<const nullm::tensor_view> parts, nullm::thread_pool&) {
        plain_linear made;
        made.in_ = parts.front().cols;
        for (const auto& part : parts) {
            for (std::size_t r = 0; r < part.rows; ++r) {
                made.weights_.resize(made.weights_.size() + made.in_);
                nullm::dequantize_row(part, r,
                                      {made.weights_.data() + made.weights_.size() - made.in_, made.in_});
            }
        }
        return made;
    }

    std::size_t in() const { return in_; }
    std::size_t out() const { return weights_.size() / in_; }

    void apply(const input& x, nullm::matrix_view<float> y, nullm::thread_pool& pool) const {
        pool.for_each_range(out(), 16, [&](std::size_t begin, std::size_t end) {
            for (std::size_t row = 0; row < y.rows; ++row) {
                for (std::size_t o = begin; o < end; ++o) {
                    float sum = 0;
                    for (std::size_t i = 0; i < in_; ++i) {
                        sum = __builtin_fmaf(weights_[o * in_ + i], x.rows[row][i], sum);
                    }
                    y[row][o] = sum;
                }
            }
        });
    }

 private:
    std::size_t in_ = 0;
    std::vector<float> weights_;
};

static_assert(nullm::Linear<plain_linear>);
