#pragma once
// Are all weights of a tensor finite? One NaN scale would turn every later logit into NaN.

#include <nullm/core/abi.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/tensor.hpp>
#include <nullm/core/thread_pool.hpp>
#include <nullm/io/gguf_text.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

namespace nullm::inline NULLM_ABI {

namespace detail {

/// Whether any of the numbers at first, first + step, ... has all exponent bits set (infinity or NaN).
template <class Word>
bool any_not_finite(const std::byte* first, std::size_t count, std::size_t step, Word exponent) {
    bool found = false;
    for (std::size_t i = 0; i < count; ++i) {
        Word bits;
        std::memcpy(&bits, first + i * step, sizeof(bits));
        found |= (bits & exponent) == exponent;
    }
    return found;
}

/// The same for `count` blocks of a tensor type: the elements of float types, the scales (d, m) of quantised
/// ones.
inline bool any_block_not_finite(const std::byte* first, std::size_t count, tensor_type type) {
    constexpr std::uint16_t f16_exponent = 0x7C00;
    switch (type) {
        case tensor_type::f32:
            return any_not_finite<std::uint32_t>(first, count, 4, 0x7F800000U);
        case tensor_type::f16:
            return any_not_finite<std::uint16_t>(first, count, 2, f16_exponent);
        case tensor_type::bf16:
            return any_not_finite<std::uint16_t>(first, count, 2, 0x7F80);
        case tensor_type::q4_0:
        case tensor_type::q8_0:
            return any_not_finite(first, count, block_bytes(type), f16_exponent);
        case tensor_type::q4_1:
            return any_not_finite(first, count, block_bytes(type), f16_exponent) ||
                   any_not_finite(first + 2, count, block_bytes(type), f16_exponent);
    }
    return true;
}

}  // namespace detail

/// Throws nullm::error naming tensor, row and byte offset in the tensor of the first weight (or block) that
/// is infinite or NaN. Reads all blocks' scales once: the speed of memory. `place` stands before the tensor's
/// name in the error.
inline void verify_finite(const tensor_view& tensor, thread_pool& pool, const std::string& place = {}) {
    constexpr std::size_t chunk = 1U << 18;  // bytes a thread takes at once
    std::atomic<std::size_t> bad_row{tensor.rows};
    const std::size_t blocks = tensor.cols / block_elements(tensor.type);
    const std::size_t rows_at_once =
        std::max<std::size_t>(1, chunk / std::max<std::size_t>(1, tensor.row_bytes()));
    pool.for_each_range(tensor.rows, rows_at_once, [&](std::size_t begin, std::size_t end) {
        for (std::size_t r = begin; r < end; ++r) {
            if (!detail::any_block_not_finite(tensor.row(r).data(), blocks, tensor.type)) continue;
            std::size_t seen = bad_row.load(std::memory_order_relaxed);
            while (r < seen && !bad_row.compare_exchange_weak(seen, r, std::memory_order_relaxed)) {
            }
            return;
        }
    });
    const std::size_t row = bad_row.load(std::memory_order_relaxed);
    if (row == tensor.rows) return;
    const std::size_t size = block_bytes(tensor.type);
    std::size_t block = 0;
    while (!detail::any_block_not_finite(tensor.row(row).data() + block * size, 1, tensor.type)) ++block;
    throw error(place + "tensor " + quoted(tensor.name) + ", row " + std::to_string(row) + ", byte " +
                    std::to_string(row * tensor.row_bytes() + block * size),
                "finite weights",
                block_elements(tensor.type) == 1 ? "infinity or NaN" : "a block scale of infinity or NaN");
}

/// The same with one thread.
inline void verify_finite(const tensor_view& tensor) {
    thread_pool one(1);
    verify_finite(tensor, one);
}

}  // namespace nullm::inline NULLM_ABI
