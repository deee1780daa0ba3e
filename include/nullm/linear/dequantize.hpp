#pragma once
// A tensor's row in floats: embedding look-ups, and the definition the multiplying kernels are tested
// against.

#include <nullm/core/error.hpp>
#include <nullm/core/half.hpp>
#include <nullm/core/tensor.hpp>
#include <nullm/linear/nf4_tables.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

namespace nullm::inline NULLM_ABI {

/// A little-endian value at any address.
template <class T>
T read_unaligned(const std::byte* p) {
    T value;
    std::memcpy(&value, p, sizeof(T));
    return value;
}

/// Calls visit(element, code) for the 32 codes of a quantised block, element in [0, 32): 0..15 for the nibble
/// formats, the byte plus 128 (0..255) for Q8_0, so that a weight is d * (code - offset), or d * code + m for
/// Q4_1.
template <class F>
void for_each_code(tensor_type type, const std::byte* block, F&& visit) {
    if (type == tensor_type::q8_0) {
        for (unsigned i = 0; i < 32; ++i) visit(i, std::to_integer<unsigned>(block[2 + i]) ^ 0x80U);
        return;
    }
    const std::byte* nibbles = block + (type == tensor_type::q4_1 ? 4 : 2);
    for (unsigned i = 0; i < 16; ++i) {
        const auto pair = std::to_integer<unsigned>(nibbles[i]);
        visit(i, pair & 15U);
        visit(i + 16, pair >> 4);
    }
}

/// Writes row `row` of the tensor as floats; out.size() == tensor.cols. Exact for every format but Q4_1,
/// whose d * q + m is rounded once. The same values as llama.cpp's dequantize_row_* (ggml-quants.c). Throws
/// error if the row, the length of `out` or the tensor's bytes do not fit its shape, or the type is none.
inline void dequantize_row(const tensor_view& tensor, std::size_t row, std::span<float> out) {
    if (tensor.type > tensor_type::nf4) {
        throw error("dequantize_row", "a type the library knows",
                    std::to_string(static_cast<int>(tensor.type)));
    }
    if (row >= tensor.rows) {
        throw error("dequantize_row", "a row below " + std::to_string(tensor.rows), std::to_string(row));
    }
    if (out.size() != tensor.cols || tensor.cols % block_elements(tensor.type) != 0) {
        throw error("dequantize_row", std::to_string(tensor.cols) + " elements in whole blocks",
                    std::to_string(out.size()));
    }
    if (tensor.row_bytes() != 0 && tensor.bytes.size() / tensor.row_bytes() <= row) {
        throw error("dequantize_row", "bytes of all rows", std::to_string(tensor.bytes.size()) + " bytes");
    }
    const std::byte* p = tensor.row(row).data();
    const std::size_t step = block_bytes(tensor.type);
    switch (tensor.type) {
        case tensor_type::f32:
            for (std::size_t k = 0; k < out.size(); ++k) out[k] = read_unaligned<float>(p + k * step);
            return;
        case tensor_type::f16:
            for (std::size_t k = 0; k < out.size(); ++k) out[k] = to_float(read_unaligned<f16>(p + k * step));
            return;
        case tensor_type::bf16:
            for (std::size_t k = 0; k < out.size(); ++k)
                out[k] = to_float(read_unaligned<bf16>(p + k * step));
            return;
        case tensor_type::q4_0:
        case tensor_type::q8_0: {
            const int offset = tensor.type == tensor_type::q4_0 ? 8 : 128;
            for (std::size_t k = 0; k < out.size(); k += 32, p += step) {
                const float d = to_float(read_unaligned<f16>(p));
                for_each_code(tensor.type, p, [&](unsigned i, unsigned code) {
                    out[k + i] = d * static_cast<float>(static_cast<int>(code) - offset);
                });
            }
            return;
        }
        case tensor_type::q4_1:
            for (std::size_t k = 0; k < out.size(); k += 32, p += step) {
                const float d = to_float(read_unaligned<f16>(p));
                const float m = to_float(read_unaligned<f16>(p + 2));
                for_each_code(tensor.type, p, [&](unsigned i, unsigned code) {
                    out[k + i] = __builtin_fmaf(d, static_cast<float>(code), m);
                });
            }
            return;
        case tensor_type::nf4: {
            const std::size_t first = row * tensor.cols;
            if ((first + out.size() - 1) / nf4_scale_block >= tensor.scales.size()) {
                throw error("dequantize_row", "scales of all rows", std::to_string(tensor.scales.size()));
            }
            for (std::size_t k = 0; k < out.size(); ++k) {
                const auto pair = std::to_integer<unsigned>(p[k / 2]);
                out[k] = nf4_codebook[k % 2 == 0 ? pair >> 4 : pair & 15U] *
                         tensor.scales[(first + k) / nf4_scale_block];
            }
            return;
        }
    }
}

}  // namespace nullm::inline NULLM_ABI
