// Included once per instruction set (foreach_isa.hpp); see rope.hpp.

namespace nullm::inline NULLM_ABI::NULLM_ISA {

/// x[l] = x[l] cosine[l] + x[l ^ 1] sine[l] for size (even) elements, sine negative in even places.
inline void rotate_pairs(float* x, const float* cosine, const float* sine, std::size_t size) {
    for (std::size_t i = 0; i < size; i += 16) {
        const std::size_t count = size - i < 16 ? size - i : 16;
        const f32x16 pairs = load_partial(x + i, count);
        const f32x16 turned = mul(swap_lanes<1>(pairs), load_partial(sine + i, count));
        store_partial(x + i, fma(pairs, load_partial(cosine + i, count), turned), count);
    }
}

}  // namespace nullm::inline NULLM_ABI::NULLM_ISA
