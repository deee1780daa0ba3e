#pragma once
// NF4 to the bit as bitsandbytes 0.50 encodes and decodes it on a CPU.

#include <nullm/core/error.hpp>
#include <nullm/core/simd.hpp>
#include <nullm/core/tensor.hpp>
#include <nullm/core/thread_pool.hpp>
#include <nullm/linear/check_tensor.hpp>
#include <nullm/linear/dequantize.hpp>
#include <nullm/linear/nf4_tables.hpp>
#include <nullm/linear/simd/dot_avx2.hpp>
#include <nullm/linear/simd/dot_avx512.hpp>
#include <nullm/linear/simd/dot_scalar.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// Elements of a flat array in NF4: element i is codebook[code i] * absmax[i / block].
struct nf4_view {
    std::size_t elements = 0;
    std::size_t block = 64;             // consecutive elements that share a scale
    std::span<const std::byte> packed;  // two codes a byte, the first in the high half
    std::span<const float> absmax;      // one a block
};

/// The same, owned.
struct nf4_data {
    std::size_t elements = 0;
    std::size_t block = 64;
    std::vector<std::byte> packed;
    std::vector<float> absmax;

    nf4_view view() const { return {elements, block, packed, absmax}; }
};

/// Whether a block may have this many elements: a power of two from 32 to 4096.
constexpr bool is_nf4_block(std::size_t block) {
    return std::has_single_bit(block) && block >= 32 && block <= 4096;
}
constexpr std::size_t nf4_packed_bytes(std::size_t elements) {
    return elements / 2 + elements % 2;
}
constexpr std::size_t nf4_blocks(std::size_t elements, std::size_t block) {
    return elements / block + (elements % block != 0);
}
constexpr unsigned nf4_code(std::span<const std::byte> packed, std::size_t element) {
    return std::to_integer<unsigned>(packed[element / 2]) >> (element % 2 == 0 ? 4 : 0) & 15U;
}

/// The codes and scales of a tensor of that type.
inline nf4_view nf4_of(const tensor_view& tensor) {
    return {tensor.rows * tensor.cols, nf4_scale_block, tensor.bytes, tensor.scales};
}

/// Throws error if the block size is none, or the bytes and scales are not as many as the elements need.
inline void check_nf4(const nf4_view& data, std::string_view where = "NF4") {
    if (!is_nf4_block(data.block)) {
        throw error(where, "a block of 32, 64, ... 4096 elements", std::to_string(data.block));
    }
    if (data.packed.size() != nf4_packed_bytes(data.elements)) {
        throw error(where, std::to_string(nf4_packed_bytes(data.elements)) + " bytes of codes",
                    std::to_string(data.packed.size()));
    }
    if (data.absmax.size() != nf4_blocks(data.elements, data.block)) {
        throw error(where, std::to_string(nf4_blocks(data.elements, data.block)) + " scales",
                    std::to_string(data.absmax.size()));
    }
}

/// Smallest magnitude bitsandbytes divides by.
inline constexpr float nf4_smallest = 1e-38F;

/// What the weights of a whole block are multiplied with before they are rounded; NaN for NaN.
inline float nf4_inverse(float absmax) {
    return 1.0F / (absmax < nf4_smallest ? nf4_smallest : absmax);
}

}  // namespace nullm::inline NULLM_ABI

#define NULLM_KERNELS <nullm/linear/nf4_encode.inl>
#include <nullm/core/simd/foreach_isa.hpp>

namespace nullm::inline NULLM_ABI {

/// Encodes n floats that start at a block's start, writing nf4_packed_bytes(n) bytes and nf4_blocks(n, block)
/// scales, on the calling thread. What nf4_encode does on all.
inline void nf4_encode_range(const float* w, std::size_t n, std::size_t block, std::byte* packed,
                             float* absmax, isa level) {
    const std::size_t whole = n / block;
    NULLM_DISPATCH(level, encode_nf4_blocks(w, whole, block, packed, absmax));
    if (n % block == 0) return;
    // A last block that is not full has rules of its own: its scale is the clamped one, and it is divided by.
    w += whole * block;
    packed += whole * block / 2;
    float largest = nf4_smallest;
    for (std::size_t i = 0; i < n % block; ++i) {
        const float magnitude = std::fabs(w[i]);
        if (!(magnitude <= largest) && !std::isnan(largest)) largest = magnitude;
    }
    absmax[whole] = largest;
    for (std::size_t i = 0; i < n % block; i += 2) {
        unsigned pair[2] = {0, nf4_zero};
        for (std::size_t j = 0; j < std::min<std::size_t>(2, n % block - i); ++j) {
            const float s = w[i + j] / largest;
            pair[j] = 0;
            for (const float boundary : nf4_boundaries) pair[j] += s <= boundary ? 0U : 1U;
        }
        packed[i / 2] = static_cast<std::byte>(pair[0] << 4 | pair[1]);
    }
}

/// Encodes w to NF4 with the largest magnitude of each block as its scale: bytes and scales are those of
/// bitsandbytes.functional.quantize_4bit (0.50, CPU) for float32, and for bfloat16 and float16 input that is
/// widened first. Blocks run over the flat array. A code is the nearest value's, exact ties go to the lower
/// one. As there: a NaN makes its block NaN (scale NaN, codes 15); an infinity makes its block's scale
/// infinite, its own code 15 and the finite ones' 7; blocks below 1e-38 decode to less than they were; an
/// empty half byte at the end holds code 7. (CUDA's encoder differs in about one code of a million, and in
/// blocks of zeros.)
///
/// Any number of elements; block 32, 64, ... 4096. Same bytes on any number of threads and any instruction
/// set. About 1 ns an element and thread. Throws error if the block is not one of these.
inline nf4_data nf4_encode(std::span<const float> w, std::size_t block, thread_pool& pool,
                           isa level = active_isa()) {
    if (!is_nf4_block(block)) {
        throw error("nf4_encode", "a block of 32, 64, ... 4096 elements", std::to_string(block));
    }
    nf4_data data{.elements = w.size(), .block = block, .packed = {}, .absmax = {}};
    data.packed.resize(nf4_packed_bytes(w.size()));
    data.absmax.resize(nf4_blocks(w.size(), block));
    level = std::min(level, detected_isa());
    pool.for_each_range(data.absmax.size(), 65536 / block, [&](std::size_t first, std::size_t last) {
        const std::size_t from = first * block;
        nf4_encode_range(w.data() + from, std::min(last * block, w.size()) - from, block,
                         data.packed.data() + from / 2, data.absmax.data() + first, level);
    });
    return data;
}

/// Encodes a tensor of any format: as nf4_encode of all its rows, dequantised, one after the other. Needs the
/// floats of a few rows at a time, never of all. Throws error if the tensor's bytes do not match its shape.
inline nf4_data nf4_encode(const tensor_view& tensor, std::size_t block, thread_pool& pool,
                           isa level = active_isa()) {
    if (!is_nf4_block(block)) {
        throw error("nf4_encode", "a block of 32, 64, ... 4096 elements", std::to_string(block));
    }
    check_tensor(tensor, tensor.cols);
    const std::size_t cols = tensor.cols;
    const std::size_t elements = tensor.rows * cols;  // at most twice as many as there are bytes
    nf4_data data{.elements = elements, .block = block, .packed = {}, .absmax = {}};
    data.packed.resize(nf4_packed_bytes(elements));
    data.absmax.resize(nf4_blocks(elements, block));
    level = std::min(level, detected_isa());
    // Blocks may start inside a row: a range's first and last rows are dequantised for its neighbour, too.
    const std::size_t grain =
        std::max<std::size_t>(65536, cols <= elements / 4 ? 4 * cols : elements) / block;
    pool.for_each_range(data.absmax.size(), grain, [&](std::size_t first, std::size_t last) {
        const std::size_t from = first * block;
        const std::size_t to = std::min(last * block, elements);
        const std::size_t row = from / cols;
        const std::size_t end = (to - 1) / cols + 1;
        std::vector<float> w((end - row) * cols);
        for (std::size_t r = row; r < end; ++r) {
            dequantize_row(tensor, r, std::span(w).subspan((r - row) * cols, cols));
        }
        nf4_encode_range(w.data() + (from - row * cols), to - from, block, data.packed.data() + from / 2,
                         data.absmax.data() + first, level);
    });
    return data;
}

/// Writes the elements as floats, each one product rounded once: bitsandbytes' dequantize_4bit to float32.
/// out.size() == data.elements. Throws error if the sizes do not fit.
inline void nf4_decode(const nf4_view& data, std::span<float> out, thread_pool& pool) {
    check_nf4(data, "nf4_decode");
    if (out.size() != data.elements) {
        throw error("nf4_decode", "room for " + std::to_string(data.elements) + " elements",
                    std::to_string(out.size()));
    }
    pool.for_each_range(data.absmax.size(), 65536 / data.block, [&](std::size_t first, std::size_t last) {
        for (std::size_t b = first; b < last; ++b) {
            float value[16];
            for (std::size_t c = 0; c < 16; ++c) value[c] = nf4_codebook[c] * data.absmax[b];
            const std::size_t end = std::min((b + 1) * data.block, data.elements);
            for (std::size_t i = b * data.block; i < end; ++i) out[i] = value[nf4_code(data.packed, i)];
        }
    });
}

}  // namespace nullm::inline NULLM_ABI
