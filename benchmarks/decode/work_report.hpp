#pragma once
// What a position costs in the gate and in the model, in NeuroBench's terms.

#include "contenders.hpp"

#include <nullm/linear/dequantize.hpp>
#include <nullm/measure/counters.hpp>
#include <nullm/measure/llama_work.hpp>
#include <nullm/measure/operations.hpp>
#include <nullm/model/checkpoint.hpp>

#include <cstddef>
#include <cstdio>
#include <span>
#include <string>
#include <vector>

namespace decode {

/// Zeros among the weights that a pass multiplies with, as the file has them.
inline nullm::sparsity connection_sparsity(const nullm::checkpoint& file) {
    nullm::sparsity found;
    std::vector<float> row;
    const auto add = [&](const std::string& name) {
        const auto tensor = file.find(name);
        if (!tensor) return false;
        row.resize(tensor->cols);
        for (std::size_t r = 0; r < tensor->rows; ++r) {
            nullm::dequantize_row(*tensor, r, row);
            found.add(row);
        }
        return true;
    };
    for (std::size_t l = 0; l < file.config().layers; ++l) {
        for (const char* part :
             {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"}) {
            add("blk." + std::to_string(l) + "." + part + ".weight");
        }
    }
    if (!add("output.weight")) add("token_embd.weight");  // a tied head
    return found;
}

/// Steps the gate through the text with its spikes counted.
inline void print_work(const nullm::quiet_gate& gate, std::span<const article> text,
                       const nullm::checkpoint& file) {
    nullm::spike_counts encoded, spiked;
    const nullm::spike_gate counted(gate.drive(), nullm::counted_encoder(gate.encoder(), encoded),
                                    nullm::counted_neuron(gate.neuron(), spiked), gate.threshold());
    const auto positions = static_cast<double>(scores_of(counted, text, true, 0).size());
    const auto each = [&](std::uint64_t count) { return static_cast<double>(count) / positions; };
    constexpr int operations_of_an_update = 4;  // NeuroBench's figure for snnTorch's Leaky
    const double neurons = each(spiked.lines);
    std::printf(
        "\nWork a position (NeuroBench's terms; the gate is 'quiet')\n"
        "gate:  %.1f of %.0f synapses carry a spike (effective ACs, dense ACs); activation sparsity %.3f; "
        "%.1f "
        "membranes\n       updated, %.0f neuron operations; footprint of the neurons %.0f bytes\n",
        each(encoded.spikes), each(encoded.lines), spiked.sparsity(), each(spiked.updates),
        operations_of_an_update * each(spiked.updates), 2 * sizeof(float) * neurons);
    const nullm::llama_work work(file.config());
    const nullm::sparsity weights = connection_sparsity(file);
    const auto macs = static_cast<double>(work.layer_macs + work.head_macs);
    double footprint = 0;
    for (const nullm::tensor_view& t : file.tensors())
        footprint += static_cast<double>(t.bytes.size());
    std::printf(
        "model: %.1f M MACs in the layers, %.1f M in the head, %.4f M a position attended to; connection "
        "sparsity %.5f, so\n       %.1f M of the matrices' are effective; footprint %.1f MB, and %.1f kB of "
        "f16 cache a position\n",
        1e-6 * static_cast<double>(work.layer_macs), 1e-6 * static_cast<double>(work.head_macs),
        1e-6 * static_cast<double>(work.key_macs), weights.share(), 1e-6 * macs * (1 - weights.share()),
        1e-6 * footprint, 1e-3 * 2 * static_cast<double>(work.key_elements));
}

}  // namespace decode
