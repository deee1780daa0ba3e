// Bernoulli spikes from Philox draws, 64 at a time; included once per instruction set (foreach_isa.hpp).

namespace nullm::inline NULLM_ABI::NULLM_ISA {

/// 64 spikes from draws 4 block .. 4 block + 63: bit i is set iff the i-th uniform lies below p[i].
NULLM_INLINE std::uint64_t poisson_word(const poisson_call& call, std::uint32_t block, const float* p) {
    i32x16 draws[4];
    philox_runs({block, call.counter[1], call.counter[2], call.counter[3]}, call.key, draws);
    std::uint64_t spikes = 0;
    NULLM_UNROLL
    for (int j = 0; j < 4; ++j) {
        const f32x16 uniform = mul(to_float(shift_right_logical<8>(draws[j])), splat(0x1p-24F));
        spikes |= std::uint64_t{greater(load(p + 16 * j), uniform)} << (16 * j);
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
