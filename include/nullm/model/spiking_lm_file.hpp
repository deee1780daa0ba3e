#pragma once
// A spiking language model from a safetensors file.

#include <nullm/core/error.hpp>
#include <nullm/io/safetensors.hpp>
#include <nullm/model/spiking_lm.hpp>

#include <string>
#include <utility>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// Reads what a PyTorch module with `embedding = nn.Embedding(V, H)` and `head = nn.Linear(H, V)` saves by
/// `safetensors.torch.save_file(module.state_dict(), ...)`:
///     embedding.weight (V, H)    head.weight (V, H)    head.bias (V), optional: none is zeros
/// each F32, F16 or BF16; further tensors are not looked at. Encoder, neuron and scale are no part of the
/// file. The file is not needed afterwards. Throws nullm::error if a tensor is missing, misshapen or of
/// another type.
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
        bias.resize(vocabulary);
        dequantize_row(file.view("head.bias", 1, vocabulary), 0, bias);
    }
    return SpikingLm(file.view("embedding.weight", vocabulary, width),
                     file.view("head.weight", vocabulary, width), bias, std::move(how), std::move(neurons),
                     params);
}

}  // namespace nullm::inline NULLM_ABI
