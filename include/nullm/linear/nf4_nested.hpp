#pragma once
// NF4 whose scales are quantised in turn (QLoRA's double quantisation; bitsandbytes' compress_statistics).

#include <nullm/core/error.hpp>
#include <nullm/core/thread_pool.hpp>
#include <nullm/linear/dynamic8_codec.hpp>
#include <nullm/linear/nf4_codec.hpp>

#include <cmath>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// NF4 with a scale of block i of map[code i] * nested scale + offset: 4.127 bits a weight at 64 a block.
struct nf4_nested_data {
    std::size_t elements = 0;
    std::size_t block = 64;
    std::vector<std::byte> packed;
    dynamic8_data absmax;  // of the scales less the offset, 256 a block
    float offset = 0.0F;
};

/// The mean of the scales, summed in double and narrowed: the offset bitsandbytes takes, but for its last
/// bits (it sums in float, in an order that depends on the machine).
inline float mean_of_scales(std::span<const float> absmax) {
    double sum = 0.0;
    for (const float a : absmax) sum += static_cast<double>(a);
    return absmax.empty() ? 0.0F : static_cast<float>(sum / static_cast<double>(absmax.size()));
}

/// Encodes w as nf4_encode, then the scales less `offset` in 8 bits: the bytes of quantize_4bit(compress_
/// statistics = True) of bitsandbytes 0.50 on a CPU, given the offset it used. Throws error as nf4_encode,
/// and if a weight is not finite.
inline nf4_nested_data nf4_encode_nested(std::span<const float> w, std::size_t block, thread_pool& pool,
                                         std::optional<float> offset = {}, isa level = active_isa()) {
    nf4_data plain = nf4_encode(w, block, pool, level);
    const float centre = offset ? *offset : mean_of_scales(plain.absmax);
    for (float& a : plain.absmax) a -= centre;
    return {.elements = plain.elements,
            .block = block,
            .packed = std::move(plain.packed),
            .absmax = dynamic8_encoder().encode(plain.absmax),
            .offset = centre};
}

/// The scales as floats: what NF4 without nesting stores. Throws error if sizes do not fit.
inline std::vector<float> nf4_scales(const dynamic8_view& absmax, float offset) {
    std::vector<float> scales(absmax.codes.size());
    dynamic8_decode(absmax, offset, scales);
    return scales;
}

/// Nested NF4 without the nesting; decodes to the same bits. Throws error if sizes do not fit.
inline nf4_data nf4_unnest(const nf4_nested_data& nested) {
    nf4_data data{nested.elements, nested.block, nested.packed,
                  nf4_scales(nested.absmax.view(), nested.offset)};
    check_nf4(data.view(), "nf4_unnest");
    return data;
}

}  // namespace nullm::inline NULLM_ABI
