#pragma once
// A spiking language model from a safetensors file.

#include <nullm/core/error.hpp>
#include <nullm/io/safetensors.hpp>
#include <nullm/model/spiking_lm.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// Reads what a PyTorch module with `embedding = nn.Embedding(V, H)` and `head = nn.Linear(H, V)` saves by
/// `safetensors.torch.save_file(module.state_dict(), ...)`:
///     embedding.weight (V, H)    head.weight (V, H)    head.bias (V), optional: none is zeros
/// each F32, F16 or BF16; further tensors are not looked at. Encoder, neuron and scale are no part of the
/// file. The file is not needed afterwards. Throws nullm::error if a tensor is missing, misshapen, of another
/// type, or holds a value that is not finite.
template <class SpikingLm>
SpikingLm load_spiking_lm(const safetensors_file& file, typename SpikingLm::encoder how = {},
                          typename SpikingLm::neuron neurons = {}, const spiking_lm_params& params = {}) {
    const auto& shape = file.at("embedding.weight").shape;
    if (shape.size() != 2) {
        throw error(file.tensor_place("embedding.weight"), "vocabulary x width", describe_shape(shape));
    }
    const auto vocabulary = static_cast<std::size_t>(shape[0]);
    const auto width = static_cast<std::size_t>(shape[1]);
    std::vector<float> bias;
    if (file.find("head.bias") != nullptr) {
        const tensor_view stored =
            file.view("head.bias", 1, vocabulary);  // before as many floats are allocated
        bias.resize(vocabulary);
        dequantize_row(stored, 0, bias);
    }
    const tensor_view embedding = file.view("embedding.weight", vocabulary, width);
    const tensor_view head = file.view("head.weight", vocabulary, width);
    std::vector<float> row(width);
    const auto check = [&](std::span<const float> values, const char* name) {
        if (!std::all_of(values.begin(), values.end(), [](float x) { return std::isfinite(x); })) {
            throw error(file.tensor_place(name), "numbers that are finite", "one that is not");
        }
    };
    check(bias, "head.bias");
    for (std::size_t r = 0; r < (width == 0 ? 0 : vocabulary); ++r) {
        dequantize_row(embedding, r, row);
        check(row, "embedding.weight");
        dequantize_row(head, r, row);
        check(row, "head.weight");
    }
    return SpikingLm(embedding, head, bias, std::move(how), std::move(neurons), params);
}

}  // namespace nullm::inline NULLM_ABI
