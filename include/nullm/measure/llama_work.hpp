#pragma once
// What passes of a llama cost in multiplications and in bytes, from its shape and their counts.

#include <nullm/core/abi.hpp>
#include <nullm/measure/counters.hpp>
#include <nullm/model/llama_config.hpp>

#include <cstddef>
#include <cstdint>

namespace nullm::inline NULLM_ABI {

/// Multiply-accumulates and cache of a llama; norms, rotations and activations (under 1 %) are left out. No
/// activation of a SwiGLU transformer is exactly zero as a rule, so its dense operations are its effective
/// ones up to weights that are zero (connection sparsity).
struct llama_work {
    std::uint64_t layer_macs = 0;    // of a row, in the matrices of all layers
    std::uint64_t head_macs = 0;     // of a row with logits
    std::uint64_t key_macs = 0;      // of a row and a position it attends to: q.k, and the weighted value
    std::uint64_t key_elements = 0;  // numbers a position keeps in the cache

    explicit llama_work(const llama_config& c) {
        const std::uint64_t q_width = std::uint64_t{c.heads} * c.head_size;
        const std::uint64_t kv_width = std::uint64_t{c.kv_heads} * c.head_size;
        const std::uint64_t attention = c.width * (q_width + 2 * kv_width) + q_width * c.width;
        layer_macs = c.layers * (attention + 3 * std::uint64_t{c.width} * c.mlp_width);
        head_macs = std::uint64_t{c.width} * c.vocabulary;
        key_macs = 2 * std::uint64_t{c.layers} * q_width;
        key_elements = 2 * std::uint64_t{c.layers} * kv_width;
    }

    /// With exact attention.
    std::uint64_t macs(const pass_counts& counts) const {
        return counts.rows * layer_macs + counts.predictions * head_macs + counts.keys * key_macs;
    }
    /// Read from memory if every pass streams all weights, and the cache up to its end, once.
    std::uint64_t bytes(const pass_counts& counts, std::size_t weight_bytes,
                        std::size_t bytes_per_element) const {
        return counts.passes * weight_bytes + counts.cached * key_elements * bytes_per_element;
    }
};

}  // namespace nullm::inline NULLM_ABI
