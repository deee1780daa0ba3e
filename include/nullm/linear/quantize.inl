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

/// Quantises up to sixteen blocks of one row: scale = max|x| / max_code, code = round(x * (max_code /
/// max|x|)), both quotients and the product rounded, ties of the last rounding to even. The product exceeds
/// max_code by at most two units in the last place, so the code never does. What a block needs once (its
/// largest element, two quotients, the sum of its codes) is computed for all of them together, a lane a
/// block. Block b goes to out[b * stride].
template <class Code>
inline void quantize_blocks(const float* x, std::size_t cols, std::size_t blocks, int max_code,
                            activation_block<Code>* out, std::size_t stride) {
    const auto load_one = [&](std::size_t b, f32x16& low, f32x16& high) {
        const std::size_t begin = std::min(b * 32, cols);
        load_block(x + begin, std::min<std::size_t>(32, cols - begin), low, high);
    };
    // |x| as bits: ordered as integers, with NaN above infinity.
    const i32x16 magnitude = splat(std::int32_t{0x7FFFFFFF});
    f32x16 low, high;
    i32x16 each[16];
    for (std::size_t b = 0; b < 16; ++b) {
        each[b] = splat(std::int32_t{0});
        if (b >= blocks) continue;
        load_one(b, low, high);
        each[b] = max(bit_and(bits_to_int(low), magnitude), bit_and(bits_to_int(high), magnitude));
    }
    const f32x16 largest = bits_to_float(reduce_max_each(each));
    const f32x16 most = splat(static_cast<float>(max_code));
    const mask16 finite = greater(splat(__builtin_inff()), largest);
    const auto scaled = static_cast<mask16>(finite & ~greater(splat(smallest_scaled), largest));
    const f32x16 scale =
        select(finite, select_or_zero(scaled, div(largest, most)), splat(__builtin_nanf("")));
    float inverse[16];
    store(inverse, select_or_zero(scaled, div(most, select(scaled, largest, most))));
    for (std::size_t b = 0; b < blocks; ++b) {
        load_one(b, low, high);
        if (((finite >> b) & 1) == 0) low = high = zeros();
        const i32x16 low_codes = round_to_int(mul(low, splat(inverse[b])));
        const i32x16 high_codes = round_to_int(mul(high, splat(inverse[b])));
        store_codes(out[b * stride].codes, low_codes);
        store_codes(out[b * stride].codes + 16, high_codes);
        each[b] = add(low_codes, high_codes);
    }
    const i32x16 sum = reduce_add_each(each);  // below 2^21: exact in float, too
    float scales[16], scaled_sum[16];
    std::int32_t minus_8_sum[16], minus_128_sum[16];
    store(scales, scale);
    store(scaled_sum, mul(scale, to_float(sum)));
    store(minus_8_sum, mul_low(sum, splat(std::int32_t{-8})));
    store(minus_128_sum, mul_low(sum, splat(std::int32_t{-128})));
    for (std::size_t b = 0; b < blocks; ++b) {
        activation_block<Code>& block = out[b * stride];
        block.scale = scales[b];
        block.minus_8_sum = minus_8_sum[b];
        block.minus_128_sum = minus_128_sum[b];
        block.scaled_sum = scaled_sum[b];
    }
}

/// A row of `cols` elements into `blocks` blocks, block b going to out[b * stride]; blocks past the end are
/// zero.
template <class Code>
inline void quantize_row(const float* x, std::size_t cols, std::size_t blocks, int max_code,
                         activation_block<Code>* out, std::size_t stride) {
    for (std::size_t b = 0; b < blocks; b += 16) {
        const std::size_t begin = std::min(b * 32, cols);
        NULLM_ISA::quantize_blocks(x + begin, cols - begin, std::min<std::size_t>(16, blocks - b), max_code,
                                   out + b * stride, stride);
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
