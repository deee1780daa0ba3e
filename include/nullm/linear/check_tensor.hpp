#pragma once
// What every linear layer asks of the tensors it is made from.

#include <nullm/core/error.hpp>
#include <nullm/core/tensor.hpp>

#include <cstddef>
#include <limits>
#include <string>

namespace nullm::inline NULLM_ABI {

/// Throws error unless the tensor has `cols` columns, at least one and in whole blocks, a type the library
/// knows, and the bytes its shape asks for (rows * cols then does not overflow).
inline void check_tensor(const tensor_view& tensor, std::size_t cols) {
    const std::string where = "tensor " + std::string(tensor.name);
    if (tensor.cols != cols || cols == 0) {
        throw error(where,
                    cols == 0 ? "at least one column" : std::to_string(cols) + " columns, as the part before",
                    std::to_string(tensor.cols));
    }
    if (tensor.type > tensor_type::nf4) {
        throw error(where, "a type the library knows", std::to_string(static_cast<int>(tensor.type)));
    }
    if (cols % block_elements(tensor.type) != 0) {
        throw error(where, "columns in whole blocks of " + std::to_string(block_elements(tensor.type)),
                    std::to_string(cols));
    }
    const std::size_t bytes = tensor.bytes.size();
    const bool fits =
        tensor.rows == 0 ? bytes == 0 : bytes % tensor.rows == 0 && bytes / tensor.rows == tensor.row_bytes();
    if (!fits || cols > std::numeric_limits<std::size_t>::max() / 64) {
        throw error(where,
                    "bytes for " + std::to_string(tensor.rows) + " x " + std::to_string(cols) + " of " +
                        std::string(name_of(tensor.type)),
                    std::to_string(bytes));
    }
    if (tensor.type != tensor_type::nf4) return;
    const std::size_t elements = tensor.rows * cols;
    const std::size_t scales = elements / nf4_scale_block + (elements % nf4_scale_block != 0 ? 1 : 0);
    if (tensor.scales.size() != scales) {
        throw error(where, std::to_string(scales) + " scales", std::to_string(tensor.scales.size()));
    }
}

}  // namespace nullm::inline NULLM_ABI
