// One row of activations into blocks; included once per instruction set (foreach_isa.hpp). All give the same
// bits.

namespace nullm::inline NULLM_ABI::NULLM_ISA {

/// The n elements at x (n <= 32), as blocks see them: padded with zeros.
inline void load_block(const float* x, std::size_t n, f32x16& low, f32x16& high) {
    if (n == 32) {
        low = load(x);
        high = load(x + 16);
    } else {
        low = load_partial(x, std::min<std::size_t>(n, 16));
        high = n > 16 ? load_partial(x + 16, n - 16) : zeros();
    }
}

/// Quantises n elements (n <= 32, the rest zero): scale = max|x| / max_code, code = round(x * (max_code /
/// max|x|)), both quotients and the product rounded, ties of the last rounding to even. The product exceeds
/// max_code by at most two units in the last place, so the code never does.
template <class Code>
inline void quantize_block(const float* x, std::size_t n, int max_code, activation_block<Code>& out) {
    f32x16 low, high;
    load_block(x, n, low, high);
    const f32x16 magnitude_low = abs(low);
    const f32x16 magnitude_high = abs(high);
    const f32x16 infinity = splat(__builtin_inff());
    const unsigned finite = greater(infinity, magnitude_low) & greater(infinity, magnitude_high);
    const float largest = reduce_max(max(magnitude_low, magnitude_high));
    float inverse = 0.0F;
    out.scale = 0.0F;
    if (finite != 0xFFFFU) {
        out.scale = __builtin_nanf("");
        low = high = zeros();
    } else if (largest >= smallest_scaled) {
        out.scale = largest / static_cast<float>(max_code);
        inverse = static_cast<float>(max_code) / largest;
    }
    const i32x16 low_codes = round_to_int(mul(low, splat(inverse)));
    const i32x16 high_codes = round_to_int(mul(high, splat(inverse)));
    store_codes(out.codes, low_codes);
    store_codes(out.codes + 16, high_codes);
    // Below 2^24, so exact in float in any order.
    const float sum = reduce_add(add(to_float(low_codes), to_float(high_codes)));
    out.minus_8_sum = -8 * static_cast<std::int32_t>(sum);
    out.minus_128_sum = -128 * static_cast<std::int32_t>(sum);
    out.scaled_sum = scalar::rounded(out.scale * sum);
}

/// A row of `cols` elements into `blocks` blocks, block b going to out[b * stride]; blocks past the end are
/// zero.
template <class Code>
inline void quantize_row(const float* x, std::size_t cols, std::size_t blocks, int max_code,
                         activation_block<Code>* out, std::size_t stride) {
    for (std::size_t b = 0; b < blocks; ++b) {
        const std::size_t begin = std::min(b * 32, cols);
        quantize_block(x + begin, std::min<std::size_t>(32, cols - begin), max_code, out[b * stride]);
    }
}

inline void copy_row(const float* x, std::size_t cols, std::size_t blocks, float_block* out,
                     std::size_t stride) {
    for (std::size_t b = 0; b < blocks; ++b) {
        const std::size_t begin = std::min(b * 32, cols);
        f32x16 low, high;
        load_block(x + begin, std::min<std::size_t>(32, cols - begin), low, high);
        store(out[b * stride].values, low);
        store(out[b * stride].values + 16, high);
    }
}

}  // namespace nullm::inline NULLM_ABI::NULLM_ISA
