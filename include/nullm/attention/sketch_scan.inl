// Proxy logits of all keys from their codes; included once per instruction set, VNNI among them, by
// sketch_kernels.hpp.

namespace nullm::inline NULLM_ABI::NULLM_ISA {

/// Scores of `groups` x 16 keys for `queries` queries; asks for as much memory at `ahead`, at the same pace.
template <int bits, int queries, int groups>
void score_codes(const std::int32_t* codes, std::size_t words, const std::int32_t* ahead,
                 const std::int8_t* const* q, const std::int32_t* offset, const float* factor,
                 const float* square, float* const* scores, std::size_t first) {
    constexpr int fields = 8 / bits;  // of a byte
    const std::size_t stride = (words + 1) * 16;
    const i32x16 mask = splat(std::int32_t{((1 << bits) - 1) * 0x01010101});
    i32x16 sum[queries][groups];
    for (int i = 0; i < queries; ++i) {
        for (int g = 0; g < groups; ++g) sum[i][g] = splat(std::int32_t{0});
    }
    for (std::size_t w = 0; w < words; ++w) {
        i32x16 word[groups];
        for (int g = 0; g < groups; ++g) {
            const std::size_t at = static_cast<std::size_t>(g) * stride + w * 16;
            word[g] = load(codes + at);
            __builtin_prefetch(ahead + at, 0, 2);
        }
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
        const std::size_t at = static_cast<std::size_t>(g) * stride + words * 16;
        const i32x16 kept = load(codes + at);
        __builtin_prefetch(ahead + at, 0, 2);
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
void score_codes(const std::int32_t* codes, std::size_t words, std::size_t groups, const std::int32_t* ahead,
                 const std::int8_t* const* q, const std::int32_t* offset, const float* factor,
                 const float* square, float* const* scores) {
    const std::size_t stride = (words + 1) * 16;
    std::size_t g = 0;
    for (; g + scored_groups <= groups; g += scored_groups) {
        score_codes<bits, queries, scored_groups>(codes + g * stride, words, ahead + g * stride, q, offset,
                                                  factor, square, scores, g * 16);
    }
    for (; g < groups; ++g)
        score_codes<bits, queries, 1>(codes + g * stride, words, ahead + g * stride, q, offset, factor, square,
                                      scores, g * 16);
}

/// scores[i][j] = (2 c_j . q[i] + offset[i]) scale_j factor[i] + spread_j square[i] for `groups` x 16 keys;
/// up to four queries, which share the loads. A group is words + 1 vectors: its codes c, then what scale and
/// spread are kept in (sketch_code.hpp). `ahead`: where as many groups lie that are read next.
template <int bits>
void score_codes(std::size_t queries, const std::int32_t* codes, std::size_t words, std::size_t groups,
                 const std::int32_t* ahead, const std::int8_t* const* q, const std::int32_t* offset,
                 const float* factor, const float* square, float* const* scores) {
    switch (queries) {
        case 1:
            return score_codes<bits, 1>(codes, words, groups, ahead, q, offset, factor, square, scores);
        case 2:
            return score_codes<bits, 2>(codes, words, groups, ahead, q, offset, factor, square, scores);
        case 3:
            return score_codes<bits, 3>(codes, words, groups, ahead, q, offset, factor, square, scores);
        default:
            return score_codes<bits, 4>(codes, words, groups, ahead, q, offset, factor, square, scores);
    }
}

}  // namespace nullm::inline NULLM_ABI::NULLM_ISA
