// From scores to probabilities, and from these to a choice; included once per instruction set by
// sketch_kernels.hpp.

namespace nullm::inline NULLM_ABI::NULLM_ISA {

/// Nearly e^x for x <= 88: with y = x / ln 2, 2^floor(y) (1 + y - floor(y)), which is e^x at whole y and at
/// most 6.2 % above it between (Schraudolph 1999): the bits of a float are linear in its logarithm. 0 below
/// -88. What it returns lies in [least, most], whose bits are given as floats.
[[gnu::always_inline]] inline f32x16 power(f32x16 x, f32x16 least_bits, f32x16 most_bits) {
    const f32x16 bits = fma(x, splat(0x1p23F / 0.693147181F), splat(127 * 0x1p23F));
    return bits_to_float(round_to_int(min(max(bits, least_bits), most_bits)));
}

/// Largest of `count` scores, a multiple of 16.
inline float largest_score(const float* scores, std::size_t count) {
    f32x16 most = load(scores);
    for (std::size_t j = 16; j < count; j += 16) most = max(load(scores + j), most);
    return reduce_max(most);
}

/// The sum of power(score - most) of `count` scores.
inline float sum_powers(const float* scores, std::size_t count, float most) {
    f32x16 sum = zeros();
    for (std::size_t j = 0; j < count; j += 16) {
        sum = add(sum, power(sub(load(scores + j), splat(most)), zeros(), splat(127 * 0x1p23F)));
    }
    return reduce_add(sum);
}

/// The sum of sums[p] e^(largest[p] - most) over `parts`.
inline float merge_sums(const float* largest, const float* sums, std::size_t parts, float most) {
    f32x16 sum = zeros();
    for (std::size_t p = 0; p < parts; p += 16) {
        const std::size_t n = parts - p < 16 ? parts - p : 16;
        // What fills up is 0 in sums.
        sum = fma(exp(sub(load_partial(largest + p, n), splat(most))), load_partial(sums + p, n), sum);
    }
    return reduce_add(sum);
}

/// Of 16 keys: the largest over the heads of scores[i stride] - level[i].
[[gnu::always_inline]] inline f32x16 merged_scores(std::size_t heads, const float* scores, std::size_t stride,
                                                   const float* level) {
    f32x16 most = sub(load(scores), splat(level[0]));
    for (std::size_t i = 1; i < heads; ++i) most = max(sub(load(scores + i * stride), splat(level[i])), most);
    return most;
}

/// Keeps key j of `count`, a multiple of 64, iff its draw r is below its probability
/// u = min(1, max(least, power(merged score - threshold))), on a grid of 2^-24; those whose bit in `always`
/// is set with u = 1. Key j draws number j of the runs that begin with `counter`. Writes the kept ones'
/// numbers, in order, and u, both to arrays of count + 16; returns how many.
inline std::size_t choose_scores(std::size_t heads, const float* scores, std::size_t stride,
                                 const float* level, std::size_t count, float threshold, float least,
                                 const std::uint64_t* always, std::array<std::uint32_t, 4> counter,
                                 std::array<std::uint32_t, 2> key, std::uint32_t* kept, float* u) {
    const f32x16 least_bits = splat(static_cast<float>(std::bit_cast<std::int32_t>(least)));
    const f32x16 most_bits = splat(127 * 0x1p23F);
    std::size_t n = 0;
    for (std::size_t j = 0; j < count; j += 64, counter[0] += 16) {
        i32x16 draws[4];
        philox_runs(counter, key, draws);
        const std::uint64_t certain = always[j / 64];
        for (std::size_t run = 0; run < 4; ++run) {
            const std::size_t first = j + 16 * run;
            const f32x16 score = merged_scores(heads, scores + first, stride, level);
            const f32x16 chance = power(sub(score, splat(threshold)), least_bits, most_bits);
            const f32x16 limit = to_float(round_to_int(mul(chance, splat(0x1p24F))));
            const f32x16 draw = to_float(shift_right_logical<8>(draws[run]));
            const auto sure = static_cast<mask16>(certain >> 16 * run & 0xFFFFU);
            const auto hits = static_cast<mask16>(greater(limit, draw) | sure);
            const f32x16 taken = select(sure, splat(1.0F), mul(limit, splat(0x1p-24F)));
            n += NULLM_ISA::keep_lanes(hits, static_cast<std::uint32_t>(first), taken, kept + n, u + n);
        }
    }
    return n;
}

/// out[j] = -log u[j] of `count` normal numbers up to 1, within 2e-7 (1 - log u); 0 for 1. Both arrays reach
/// to the next multiple of 16.
inline void negative_logs(const float* u, std::size_t count, float* out) {
    constexpr std::int32_t half_root = 0x3F3504F3;  // the bits of sqrt(1/2)
    for (std::size_t j = 0; j < count; j += 16) {
        // u = 2^e (1 + f), with 1 + f from sqrt(1/2) to sqrt(2); log (1 + f) = 2 artanh(f / (2 + f)).
        const i32x16 bits = add(bits_to_int(load(u + j)), splat(0x3F800000 - half_root));
        const f32x16 e = to_float(add(shift_right_logical<23>(bits), splat(std::int32_t{-127})));
        const f32x16 m = bits_to_float(add(bit_and(bits, splat(std::int32_t{0x7FFFFF})), splat(half_root)));
        const f32x16 f = sub(m, splat(1.0F));
        const f32x16 s = div(f, add(m, splat(1.0F)));
        const f32x16 square = mul(s, s);
        f32x16 sum = splat(1.0F / 9);
        sum = fma(sum, square, splat(1.0F / 7));
        sum = fma(sum, square, splat(1.0F / 5));
        sum = fma(sum, square, splat(1.0F / 3));
        sum = fma(sum, square, splat(1.0F));
        const f32x16 log = mul(mul(s, splat(2.0F)), sum);
        store(out + j, sub(mul(e, splat(-0.693147181F)), log));
    }
}

}  // namespace nullm::inline NULLM_ABI::NULLM_ISA
