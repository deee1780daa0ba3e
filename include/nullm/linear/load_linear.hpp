#pragma once
// How a model makes its matrices, whatever the linear layer offers beyond the concept.

#include <nullm/core/tensor.hpp>
#include <nullm/core/thread_pool.hpp>
#include <nullm/linear/concepts.hpp>
#include <nullm/linear/weight_arena.hpp>

#include <cstddef>
#include <span>

namespace nullm::inline NULLM_ABI {

/// L::from, in the arena if L can live there. Throws as L::from does.
template <Linear L>
L load_linear(std::span<const tensor_view> parts, thread_pool& pool, weight_arena& arena) {
    if constexpr (requires { L::from(parts, pool, arena); }) {
        return L::from(parts, pool, arena);
    } else {
        return L::from(parts, pool);
    }
}

/// Bytes a small batch reads of the matrix: what it says itself, else those of the tensors it was made from.
template <Linear L>
std::size_t bytes_read(const L& linear, std::span<const tensor_view> parts) {
    if constexpr (requires { linear.bytes(); }) {
        return linear.bytes();
    } else {
        std::size_t bytes = 0;
        for (const auto& part : parts) bytes += part.bytes.size();
        return bytes;
    }
}

}  // namespace nullm::inline NULLM_ABI
