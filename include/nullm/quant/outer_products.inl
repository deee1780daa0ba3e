// The inner loop of sums of outer products; included once per instruction set (foreach_isa.hpp). All give the
// same bits: an output is one chain of fma.

namespace nullm::inline NULLM_ABI::NULLM_ISA {

/// sum[i][j] += sum over t of a[t][i] b[t][j], for four i and 64 j; a and b lie without gaps.
inline void add_outer_tile(float* sum, std::size_t stride, const float* a, const float* b, std::size_t count) {
    constexpr std::size_t vectors = outer_product_tile;
    for (std::size_t j = 0; j < 64; j += vectors * 16) {
        f32x16 s[4][vectors];
        NULLM_UNROLL for (std::size_t i = 0; i < 4; ++i) {
            NULLM_UNROLL for (std::size_t v = 0; v < vectors; ++v) s[i][v] = load(sum + i * stride + j + v * 16);
        }
        for (std::size_t t = 0; t < count; ++t) {
            f32x16 row[vectors];
            NULLM_UNROLL for (std::size_t v = 0; v < vectors; ++v) row[v] = load(b + t * 64 + j + v * 16);
            NULLM_UNROLL for (std::size_t i = 0; i < 4; ++i) {
                const f32x16 ai = splat(a[t * 4 + i]);
                NULLM_UNROLL for (std::size_t v = 0; v < vectors; ++v) s[i][v] = fma(ai, row[v], s[i][v]);
            }
        }
        NULLM_UNROLL for (std::size_t i = 0; i < 4; ++i) {
            NULLM_UNROLL for (std::size_t v = 0; v < vectors; ++v) store(sum + i * stride + j + v * 16, s[i][v]);
        }
    }
}

}  // namespace nullm::inline NULLM_ABI::NULLM_ISA
