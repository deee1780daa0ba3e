#pragma once
// NF4 weights as bitsandbytes 0.50 stores them in safetensors files: found, checked, and left packed.

#include <nullm/core/abi.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/half.hpp>
#include <nullm/core/nf4_codebook.hpp>
#include <nullm/io/nf4_quant_state.hpp>
#include <nullm/io/safetensors.hpp>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// The scales of an NF4 weight, themselves quantised (`compress_statistics`): the scale of block i is
/// float(map[codes[i]] * absmax[i / 256]) + offset, both roundings to float.
struct nf4_nested_scales {
    std::span<const std::byte> codes;  // one a block
    std::vector<float> absmax;         // one per 256 blocks
    std::array<float, 256> map = {};
    float offset = 0;
};

/// A 4-bit weight of rows x cols (out x in). Blocks are of `block` consecutive elements of the flat array, so
/// one may reach over the end of a row. Element i is codebook[code i] * scale of block i / block.
struct nf4_weight {
    std::size_t rows = 0;
    std::size_t cols = 0;
    std::size_t block = 64;                   // a power of two from 32 to 4096
    std::string dtype;                        // before quantisation: float32, bfloat16 or float16
    std::span<const std::byte> packed;        // (rows * cols + 1) / 2, the first element in the high nibble
    std::vector<float> absmax;                // one a block; empty if nested
    std::optional<nf4_nested_scales> nested;  // or these
    std::vector<float> bias;                  // rows, or empty

    std::size_t blocks() const {
        const std::size_t elements = rows * cols;
        return elements / block + (elements % block != 0 ? 1 : 0);
    }
};

namespace detail {

inline void check_nf4_count(const safetensors_file& file, const safetensors_tensor& tensor, std::uint64_t n) {
    if (tensor.shape.size() != 1 || tensor.shape[0] != n) {
        throw error(file.tensor_place(tensor.name), "one dimension of " + std::to_string(n),
                    describe_shape(tensor.shape));
    }
}

inline const safetensors_tensor& nf4_part(const safetensors_file& file, const std::string& name,
                                          safetensors_dtype dtype, std::uint64_t n) {
    const safetensors_tensor& tensor = file.at(name);
    if (tensor.dtype != dtype) {
        throw error(file.tensor_place(name), name_of(dtype), name_of(tensor.dtype));
    }
    check_nf4_count(file, tensor, n);
    return tensor;
}

inline void nf4_floats(const safetensors_file& file, const std::string& name, std::span<float> out) {
    const auto& tensor = nf4_part(file, name, safetensors_dtype::f32, out.size());
    std::memcpy(out.data(), tensor.bytes.data(), tensor.bytes.size());
}

inline std::vector<float> nf4_floats(const safetensors_file& file, const std::string& name, std::size_t n) {
    nf4_part(file, name, safetensors_dtype::f32, n);  // before n floats are allocated
    std::vector<float> out(n);
    nf4_floats(file, name, std::span(out));
    return out;
}

/// Of F32, F16 or BF16.
inline std::vector<float> any_floats(const safetensors_file& file, const safetensors_tensor& tensor) {
    const auto type = storage_of(tensor.dtype);
    if (!type) throw error(file.tensor_place(tensor.name), "F32, F16 or BF16", name_of(tensor.dtype));
    const std::size_t size = block_bytes(*type);
    std::vector<float> out(tensor.bytes.size() / size);
    for (std::size_t i = 0; i < out.size(); ++i) {
        const std::byte* const at = tensor.bytes.data() + i * size;
        if (*type == tensor_type::f32) {
            std::memcpy(&out[i], at, sizeof(float));
        } else if (*type == tensor_type::f16) {
            f16 x;
            std::memcpy(&x, at, sizeof(x));
            out[i] = to_float(x);
        } else {
            bf16 x;
            std::memcpy(&x, at, sizeof(x));
            out[i] = to_float(x);
        }
    }
    return out;
}

/// The quant_state of `weight`, of which there must be one, and of NF4.
inline nf4_quant_state find_nf4_state(const safetensors_file& file, const std::string& weight) {
    constexpr std::string_view nf4 = "nf4";
    const std::string prefix = weight + ".quant_state.bitsandbytes__";
    const auto states = file.starting_with(prefix);
    if (states.size() != 1) {
        throw error(file.tensor_place(weight),
                    "one tensor whose name goes on with .quant_state.bitsandbytes__",
                    std::to_string(states.size()));
    }
    const auto& stored = states.front();
    const std::string where = file.tensor_place(stored.name);
    const std::string_view suffix = stored.name.substr(prefix.size());
    if (suffix != nf4) throw error(where, "the format nf4", nullm::in_quotes(suffix));
    nf4_part(file, std::string(stored.name), safetensors_dtype::u8, stored.bytes.size());
    auto state = read_nf4_quant_state(
        {reinterpret_cast<const char*>(stored.bytes.data()), stored.bytes.size()}, where);

    if (state.quant_type != nf4) throw error(where, "quant_type nf4", nullm::in_quotes(state.quant_type));
    if (state.dtype != "float32" && state.dtype != "bfloat16" && state.dtype != "float16") {
        throw error(where, "dtype float32, bfloat16 or float16", nullm::in_quotes(state.dtype));
    }
    if (!std::has_single_bit(state.blocksize) || state.blocksize < 32 || state.blocksize > 4096) {
        throw error(where, "a blocksize that is a power of two from 32 to 4096",
                    std::to_string(state.blocksize));
    }
    std::uint64_t elements = 0;
    if (__builtin_mul_overflow(state.rows, state.cols, &elements) || elements == 0) {
        throw error(where, "a shape whose product is positive and fits 64 bits",
                    std::to_string(state.rows) + " x " + std::to_string(state.cols));
    }
    if (state.nested && (state.nested_blocksize != 256 || state.nested_dtype != "float32")) {
        throw error(where, "nested_blocksize 256 and nested_dtype float32",
                    std::to_string(state.nested_blocksize) + " and " + nullm::in_quotes(state.nested_dtype));
    }
    return state;
}

/// Every tensor of the weight is one that was asked for.
inline void check_nf4_parts(const safetensors_file& file, const std::string& weight, bool nested) {
    for (const auto& part : file.starting_with(weight + ".")) {
        const std::string_view name = part.name.substr(weight.size() + 1);
        const bool known = name == "absmax" || name == "quant_map" ||
                           name == "quant_state.bitsandbytes__nf4" ||
                           (nested && (name == "nested_absmax" || name == "nested_quant_map"));
        if (!known) throw error(file.tensor_place(part.name), "no further tensor of this weight", "it");
    }
}

}  // namespace detail

/// Gathers the linear layer `layer` ("model.layers.0.self_attn.q_proj"): its `.weight`, the tensors beside it
/// and, if there is one, its `.bias`. `packed` and `nested->codes` are views into the file; everything else
/// is copied. The type of `.weight` does not matter (`bnb_4bit_quant_storage`): its bytes do. Throws
/// nullm::error if one is missing, superfluous, or of another type or size than the others imply, or if the
/// codebook is not NF4's. Scales are not examined: one that is not finite makes its own block so.
inline nf4_weight gather_nf4(const safetensors_file& file, std::string_view layer) {
    const std::string weight = std::string(layer) + ".weight";
    const auto& stored = file.at(weight);
    const nf4_quant_state state = detail::find_nf4_state(file, weight);
    detail::check_nf4_parts(file, weight, state.nested);

    nf4_weight out{.rows = static_cast<std::size_t>(state.rows),
                   .cols = static_cast<std::size_t>(state.cols),
                   .block = static_cast<std::size_t>(state.blocksize),
                   .dtype = state.dtype,
                   .packed = stored.bytes,
                   .absmax = {},
                   .nested = {},
                   .bias = {}};
    const std::uint64_t elements = state.rows * state.cols;
    const std::uint64_t needed = elements / 2 + elements % 2;
    if (stored.bytes.size() != needed) {
        throw error(file.tensor_place(weight), std::to_string(needed) + " bytes of codes",
                    std::to_string(stored.bytes.size()));
    }
    std::array<std::uint32_t, 16> codebook;
    const auto& map = detail::nf4_part(file, weight + ".quant_map", safetensors_dtype::f32, codebook.size());
    std::memcpy(codebook.data(), map.bytes.data(), sizeof(codebook));
    if (codebook != nf4_codebook_bits) {
        throw error(file.tensor_place(map.name), "the codebook of NF4", "another");
    }
    const std::size_t blocks = out.blocks();
    if (state.nested) {
        nf4_nested_scales& nested = out.nested.emplace();
        nested.codes = detail::nf4_part(file, weight + ".absmax", safetensors_dtype::u8, blocks).bytes;
        nested.absmax = detail::nf4_floats(file, weight + ".nested_absmax", (blocks + 255) / 256);
        detail::nf4_floats(file, weight + ".nested_quant_map", std::span<float>(nested.map));
        nested.offset = state.nested_offset;
    } else {
        out.absmax = detail::nf4_floats(file, weight + ".absmax", blocks);
    }
    if (const auto* const bias = file.find(std::string(layer) + ".bias")) {
        detail::check_nf4_count(file, *bias, state.rows);
        out.bias = detail::any_floats(file, *bias);
    }
    return out;
}

}  // namespace nullm::inline NULLM_ABI
