// Included once per instruction set (foreach_isa.hpp); see rms_norm.hpp.

namespace nullm::inline NULLM_ABI::NULLM_ISA {

inline void rms_norm(const float* x, const float* weight, std::size_t size, float epsilon, float* y) {
    f32x16 squares = zeros();
    for (std::size_t i = 0; i < size; i += 16) {
        const f32x16 part = load_partial(x + i, size - i < 16 ? size - i : 16);
        squares = fma(part, part, squares);
    }
    const float mean = reduce_add(squares) / static_cast<float>(size);
    const f32x16 scale = splat(1.0F / std::sqrt(mean + epsilon));
    for (std::size_t i = 0; i < size; i += 16) {
        const std::size_t count = size - i < 16 ? size - i : 16;
        const f32x16 normed = mul(load_partial(x + i, count), scale);
        store_partial(y + i, mul(normed, load_partial(weight + i, count)), count);
    }
}

/// x += y.
inline void add_residual(float* x, const float* y, std::size_t size) {
    for (std::size_t i = 0; i < size; i += 16) {
        const std::size_t count = size - i < 16 ? size - i : 16;
        store_partial(x + i, add(load_partial(x + i, count), load_partial(y + i, count)), count);
    }
}

}  // namespace nullm::inline NULLM_ABI::NULLM_ISA
