#pragma once
// Are all weights of a tensor finite? One NaN scale would turn every later logit into NaN.

#include <nullm/core/abi.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/tensor.hpp>
#include <nullm/core/thread_pool.hpp>
#include <nullm/core/in_quotes.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

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
        case tensor_type::nf4:
            return false;  // codes: the scales are elsewhere
    }
    return true;
}

/// The scales that row r of an NF4 tensor is multiplied with.
inline std::span<const float> nf4_row_scales(const tensor_view& tensor, std::size_t r) {
    const std::size_t first = r * tensor.cols / nf4_scale_block;
    const std::size_t last = ((r + 1) * tensor.cols - 1) / nf4_scale_block;
    return tensor.scales.subspan(first, last - first + 1);
}

inline bool any_scale_not_finite(std::span<const float> scales) {
    const auto bytes = std::as_bytes(scales);
    return any_not_finite<std::uint32_t>(bytes.data(), scales.size(), sizeof(float), 0x7F800000U);
}

}  // namespace detail

/// Throws nullm::error naming tensor, row and byte offset in the tensor of the first weight (or block) that
/// is infinite or NaN, whatever the number of threads. Reads every scale once: the speed of memory. `place`
/// stands before the tensor's name in the error.
inline void verify_finite(std::span<const tensor_view> tensors, thread_pool& pool,
                          std::string_view place = {}) {
    struct rows {
        const tensor_view* tensor;
        std::size_t begin;
        std::size_t end;
    };
    constexpr std::size_t bytes_at_once = 1U << 18;
    // All tensors in one list, so that the threads meet once and not once a tensor.
    std::vector<rows> parts;
    for (const tensor_view& t : tensors) {
        const std::size_t count =
            std::max<std::size_t>(1, bytes_at_once / std::max<std::size_t>(1, t.row_bytes()));
        for (std::size_t r = 0; r < t.rows; r += count) parts.push_back({&t, r, std::min(t.rows, r + count)});
    }
    const auto bad_row = [](const rows& part) {  // its first, or part.end
        const std::size_t blocks = part.tensor->cols / block_elements(part.tensor->type);
        std::size_t r = part.begin;
        if (part.tensor->type == tensor_type::nf4) {
            while (r < part.end && !detail::any_scale_not_finite(detail::nf4_row_scales(*part.tensor, r))) ++r;
            return r;
        }
        while (r < part.end &&
               !detail::any_block_not_finite(part.tensor->row(r).data(), blocks, part.tensor->type)) {
            ++r;
        }
        return r;
    };
    std::atomic<std::size_t> first_bad{parts.size()};
    pool.for_each_range(parts.size(), 1, [&](std::size_t begin, std::size_t end) {
        for (std::size_t p = begin; p < end; ++p) {
            std::size_t seen = first_bad.load(std::memory_order_relaxed);
            if (p > seen || bad_row(parts[p]) == parts[p].end) continue;
            while (p < seen && !first_bad.compare_exchange_weak(seen, p, std::memory_order_relaxed)) {
            }
        }
    });
    const std::size_t part = first_bad.load(std::memory_order_relaxed);
    if (part == parts.size()) return;
    const tensor_view& tensor = *parts[part].tensor;
    const std::size_t row = bad_row(parts[part]);
    if (tensor.type == tensor_type::nf4) {
        throw error(std::string(place) + "tensor " + in_quotes(tensor.name) + ", row " + std::to_string(row),
                    "finite weights", "a block scale of infinity or NaN");
    }
    const std::size_t size = block_bytes(tensor.type);
    std::size_t block = 0;
    while (!detail::any_block_not_finite(tensor.row(row).data() + block * size, 1, tensor.type)) ++block;
    throw error(std::string(place) + "tensor " + in_quotes(tensor.name) + ", row " + std::to_string(row) +
                    ", byte " + std::to_string(row * tensor.row_bytes() + block * size),
                "finite weights",
                block_elements(tensor.type) == 1 ? "infinity or NaN" : "a block scale of infinity or NaN");
}

/// One tensor, on one thread.
inline void verify_finite(const tensor_view& tensor) {
    thread_pool one(1);
    verify_finite({&tensor, 1}, one);
}

}  // namespace nullm::inline NULLM_ABI
