#pragma once
// From a bitsandbytes layer in a file to a matrix that multiplies.

#include <nullm/io/bitsandbytes.hpp>
#include <nullm/linear/nf4_linear.hpp>
#include <nullm/linear/nf4_nested.hpp>

#include <cstddef>
#include <string_view>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// The scales of a gathered weight, one a block; nested ones are decoded.
inline std::vector<float> nf4_scales(const nf4_weight& weight) {
    if (!weight.nested) return weight.absmax;
    const auto& nested = *weight.nested;
    return nf4_scales(dynamic8_view{.codes = nested.codes, .absmax = nested.absmax, .map = nested.map},
                      nested.offset);
}

/// The linear layer `layer` of a file that bitsandbytes wrote, repacked without loss. A bias is no part of
/// it: gather_nf4() has it. Throws nullm::error as gather_nf4() does, and if the file's blocks are not of
/// `Block`.
template <std::size_t Block = 64, Arithmetic A = i16>
nf4_linear<Block, A> load_nf4_linear(const safetensors_file& file, std::string_view layer,
                                     thread_pool& pool) {
    const nf4_weight weight = gather_nf4(file, layer);
    const std::vector<float> scales = nf4_scales(weight);
    const nf4_matrix matrix{.name = layer,
                            .rows = weight.rows,
                            .cols = weight.cols,
                            .data = {.elements = weight.rows * weight.cols,
                                     .block = weight.block,
                                     .packed = weight.packed,
                                     .absmax = scales}};
    return nf4_linear<Block, A>::from_encoded({&matrix, 1}, pool);
}

}  // namespace nullm::inline NULLM_ABI
