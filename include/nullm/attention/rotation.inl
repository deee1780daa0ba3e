// Signs and Walsh-Hadamard transforms; included once per instruction set by rotation.hpp.

namespace nullm::inline NULLM_ABI::NULLM_ISA {

/// Of lanes that lie `half` apart the lower becomes their sum, the upper the lower less the upper.
template <int half>
[[gnu::always_inline]] inline f32x16 add_across(f32x16 x) {
    mask16 lower = 0;
    for (unsigned l = 0; l < 16; ++l) lower |= static_cast<mask16>((l & half) == 0 ? 1U << l : 0U);
    const f32x16 other = swap_lanes<half>(x);
    return select(lower, add(x, other), sub(other, x));
}

/// y = H (signs y) in place, `width` elements, a multiple of 16 and a power of two; H is not normalised.
inline void sign_and_transform(const float* signs, std::size_t width, float* y) {
    for (std::size_t i = 0; i < width; i += 16) {
        f32x16 x = mul(load(y + i), load(signs + i));
        x = add_across<1>(x);
        x = add_across<2>(x);
        x = add_across<4>(x);
        store(y + i, add_across<8>(x));
    }
    for (std::size_t half = 16; half < width; half *= 2) {
        for (std::size_t i = 0; i < width; i += 2 * half) {
            for (std::size_t j = i; j < i + half; j += 16) {
                const f32x16 a = load(y + j);
                const f32x16 b = load(y + j + half);
                store(y + j, add(a, b));
                store(y + j + half, sub(a, b));
            }
        }
    }
}

inline void scale_elements(float* y, std::size_t width, float factor) {
    for (std::size_t i = 0; i < width; i += 16) store(y + i, mul(load(y + i), splat(factor)));
}

}  // namespace nullm::inline NULLM_ABI::NULLM_ISA
