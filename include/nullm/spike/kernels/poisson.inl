// Bernoulli spikes from Philox draws, 64 at a time; included once per instruction set (foreach_isa.hpp).

namespace nullm::inline NULLM_ABI::NULLM_ISA {

struct philox_lanes {
    i32x16 word[4];
};

/// philox4x32 (core/random.hpp) of 16 counters at once, all with the same key.
[[gnu::always_inline]] inline philox_lanes philox4x32(philox_lanes c, std::array<std::uint32_t, 2> key) {
    const i32x16 m0 = splat(static_cast<std::int32_t>(0xD2511F53U));
    const i32x16 m1 = splat(static_cast<std::int32_t>(0xCD9E8D57U));
    for (int round = 0; round < 10; ++round) {
        const i32x16 k0 = splat(static_cast<std::int32_t>(key[0]));
        const i32x16 k1 = splat(static_cast<std::int32_t>(key[1]));
        c = {bit_xor(bit_xor(mul_high(c.word[2], m1), c.word[1]), k0), mul_low(c.word[2], m1),
             bit_xor(bit_xor(mul_high(c.word[0], m0), c.word[3]), k1), mul_low(c.word[0], m0)};
        key[0] += 0x9E3779B9U;
        key[1] += 0xBB67AE85U;
    }
    return c;
}

/// Bit l of m moves to bit 4 l.
inline std::uint64_t spread_by_four(mask16 m) {
    std::uint64_t x = m;
    x = (x | (x << 24)) & 0x000000FF000000FFU;
    x = (x | (x << 12)) & 0x000F000F000F000FU;
    x = (x | (x << 6)) & 0x0303030303030303U;
    return (x | (x << 3)) & 0x1111111111111111U;
}

/// 64 spikes from draws 4 block .. 4 block + 63: bit i is set iff the i-th uniform lies below p[i].
inline std::uint64_t poisson_word(const poisson_call& call, std::uint32_t block, const float* p) {
    const philox_lanes draws = philox4x32({{add(splat(static_cast<std::int32_t>(block)), iota()),
                                            splat(static_cast<std::int32_t>(call.counter[1])),
                                            splat(static_cast<std::int32_t>(call.counter[2])),
                                            splat(static_cast<std::int32_t>(call.counter[3]))}},
                                          call.key);
    // Word w of the 16 blocks holds draws w, 4 + w, 8 + w, ...; their intensities are picked to match.
    f32x16 intensity[4];
    deinterleave4(p, intensity);
    std::uint64_t spikes = 0;
    for (int w = 0; w < 4; ++w) {
        const f32x16 uniform = mul(to_float(shift_right_logical<8>(draws.word[w])), splat(0x1p-24F));
        spikes |= spread_by_four(greater(intensity[w], uniform)) << w;
    }
    return spikes;
}

/// Intensities first .. first + 63 of the call (first may be -3), silent outside [0, n).
inline void poisson_pad(const poisson_call& call, std::ptrdiff_t first, float* padded) {
    for (std::ptrdiff_t j = 0; j < 64; ++j) {
        const std::ptrdiff_t i = first + j;
        const bool inside = i >= 0 && i < static_cast<std::ptrdiff_t>(call.n);
        padded[j] = inside ? call.intensities[i] : 0.0F;
    }
}

/// Sets the bits of call.words (all zero before). The first draw may lie inside a block of four; the words
/// are then drawn `skew` lanes early and shifted into place.
inline void poisson_spikes(const poisson_call& call) {
    const std::uint32_t skew = call.first_draw % 4;
    const std::size_t words = (call.n + 63) / 64;
    std::uint32_t block = call.first_draw / 4;
    alignas(64) float padded[64];
    for (std::size_t k = 0; k * 64 < call.n + skew; ++k, block += 16) {
        const std::ptrdiff_t first = static_cast<std::ptrdiff_t>(k * 64) - static_cast<std::ptrdiff_t>(skew);
        const bool inside = first >= 0 && static_cast<std::size_t>(first) + 64 <= call.n;
        if (!inside) poisson_pad(call, first, padded);
        const std::uint64_t spikes = poisson_word(call, block, inside ? call.intensities + first : padded);
        if (k < words) call.words[k] |= spikes >> skew;
        if (k > 0 && skew > 0) call.words[k - 1] |= spikes << (64 - skew);
    }
}

}  // namespace nullm::inline NULLM_ABI::NULLM_ISA
