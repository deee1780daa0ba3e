// Spikes to currents over 16 lanes; included once per instruction set (foreach_isa.hpp).

namespace nullm::inline NULLM_ABI::NULLM_ISA {

/// current[i] = weight where neuron i spiked, else 0; n floats.
inline void spread_spikes(const std::uint64_t* words, float weight, float* current, std::size_t n) {
    const f32x16 w = splat(weight);
    for (std::size_t i = 0; i < n; i += 16) {
        const f32x16 c = select_or_zero(static_cast<mask16>(words[i / 64] >> (i % 64)), w);
        if (i + 16 <= n) {
            store(current + i, c);
        } else {
            store_partial(current + i, c, n - i);
        }
    }
}

}  // namespace nullm::inline NULLM_ABI::NULLM_ISA
