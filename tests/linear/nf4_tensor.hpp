#pragma once
// NF4 tensors for the tests of what reads any tensor: their scales lie apart from their bytes.

#include "tensors.hpp"

#include <nullm/core/thread_pool.hpp>
#include <nullm/linear/nf4_codec.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace tensors {

/// Weights of about unit variance, as nf4_encode stores them.
class nf4_tensor {
 public:
    nf4_tensor(std::size_t rows, std::size_t cols, std::uint64_t seed) : rows_(rows), cols_(cols) {
        generator random(seed);
        std::vector<float> w(rows * cols);
        for (float& value : w) value = random.normal();
        nullm::thread_pool one(1);
        data_ = nullm::nf4_encode(w, nullm::nf4_scale_block, one);
    }

    nullm::nf4_data& data() { return data_; }
    nullm::tensor_view view() const {
        return {"test", nullm::tensor_type::nf4, rows_, cols_, data_.packed, data_.absmax};
    }

 private:
    std::size_t rows_, cols_;
    nullm::nf4_data data_;
};

}  // namespace tensors
