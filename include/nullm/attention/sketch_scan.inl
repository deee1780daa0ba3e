// Proxy logits of all keys from their codes; included once per instruction set, VNNI among them, by
// sketch_kernels.hpp.

namespace nullm::inline NULLM_ABI::NULLM_ISA {

/// Scores of `groups` x 16 keys for `queries` queries. What a key's word holds: sketch_code.hpp.
template <int bits, int queries, int groups>
void score_codes(const std::int32_t* codes, std::size_t words, const std::int32_t* scales,
                 const std::int8_t* const* q, const std::int32_t* offset, const float* factor,
                 const float* square, float* const* scores, std::size_t first) {
    constexpr int fields = 8 / bits;  // of a byte
    const i32x16 mask = splat(std::int32_t{((1 << bits) - 1) * 0x01010101});
    i32x16 sum[queries][groups];
    for (int i = 0; i < queries; ++i) {
        for (int g = 0; g < groups; ++g) sum[i][g] = splat(std::int32_t{0});
    }
    for (std::size_t w = 0; w < words; ++w) {
        i32x16 word[groups];
        for (int g = 0; g < groups; ++g)
            word[g] = load(codes + (static_cast<std::size_t>(g) * words + w) * 16);
        NULLM_UNROLL
        for (int f = 0; f < fields; ++f) {
            const std::size_t at = (w * fields + static_cast<std::size_t>(f)) * 4;
            for (int g = 0; g < groups; ++g) {
                const i32x16 code = bit_and(word[g], mask);
                for (int i = 0; i < queries; ++i)
                    sum[i][g] = NULLM_ISA::dot_codes(sum[i][g], code, q[i] + at);
                word[g] = shift_right_logical<bits>(word[g]);
            }
        }
    }
    for (int g = 0; g < groups; ++g) {
        const i32x16 kept = load(scales + 16 * g);
        const f32x16 scale = bits_to_float(bit_and(kept, splat(std::int32_t{-0x10000})));
        const f32x16 spread = bits_to_float(shift_left<16>(kept));
        for (int i = 0; i < queries; ++i) {
            const f32x16 dot = to_float(add(add(sum[i][g], sum[i][g]), splat(offset[i])));
            const f32x16 mean = mul(mul(dot, scale), splat(factor[i]));
            // Infinite, or of two infinities: chosen, and no more than that.
            const f32x16 score = min(fma(spread, splat(square[i]), mean), splat(1e30F));
            store(scores[i] + first + 16 * g, score);
        }
    }
}

template <int bits, int queries>
void score_codes(const std::int32_t* codes, std::size_t words, std::size_t groups, const std::int32_t* scales,
                 const std::int8_t* const* q, const std::int32_t* offset, const float* factor,
                 const float* square, float* const* scores) {
    std::size_t g = 0;
    for (; g + scored_groups <= groups; g += scored_groups) {
        score_codes<bits, queries, scored_groups>(codes + g * words * 16, words, scales + g * 16, q, offset,
                                                  factor, square, scores, g * 16);
    }
    for (; g < groups; ++g)
        score_codes<bits, queries, 1>(codes + g * words * 16, words, scales + g * 16, q, offset, factor,
                                      square, scores, g * 16);
}

/// scores[i][j] = (2 c_j . q[i] + offset[i]) scale_j factor[i] + spread_j square[i] for `groups` x 16 keys of
/// codes c_j, whose scales[j] holds both; up to four queries, which share the loads of the codes.
template <int bits>
void score_codes(std::size_t queries, const std::int32_t* codes, std::size_t words, std::size_t groups,
                 const std::int32_t* scales, const std::int8_t* const* q, const std::int32_t* offset,
                 const float* factor, const float* square, float* const* scores) {
    switch (queries) {
        case 1:
            return score_codes<bits, 1>(codes, words, groups, scales, q, offset, factor, square, scores);
        case 2:
            return score_codes<bits, 2>(codes, words, groups, scales, q, offset, factor, square, scores);
        case 3:
            return score_codes<bits, 3>(codes, words, groups, scales, q, offset, factor, square, scores);
        default:
            return score_codes<bits, 4>(codes, words, groups, scales, q, offset, factor, square, scores);
    }
}

}  // namespace nullm::inline NULLM_ABI::NULLM_ISA
