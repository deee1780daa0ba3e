// Included once per instruction set (foreach_isa.hpp); see swiglu.hpp.

namespace nullm::inline NULLM_ABI::NULLM_ISA {

inline void swiglu(const float* gate, const float* up, std::size_t size, float* y) {
    const f32x16 one = splat(1.0F);
    for (std::size_t i = 0; i < size; i += 16) {
        const std::size_t count = size - i < 16 ? size - i : 16;
        const f32x16 g = load_partial(gate + i, count);
        const f32x16 silu = div(g, add(one, exp(sub(zeros(), g))));
        store_partial(y + i, mul(silu, load_partial(up + i, count)), count);
    }
}

}  // namespace nullm::inline NULLM_ABI::NULLM_ISA
