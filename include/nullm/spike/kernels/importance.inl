// Sums over one embedding, in one order on every instruction set; included once for each (foreach_isa.hpp).

namespace nullm::inline NULLM_ABI::NULLM_ISA {

/// dot = sum (x - mean) c and square = sum (x - mean)^2 over n dimensions, 16 running sums each, added as a
/// tree.
inline centred_sums centred_dot(const float* x, const float* mean, const float* c, std::size_t n) {
    f32x16 dot = zeros();
    f32x16 square = zeros();
    for (std::size_t j = 0; j < n; j += 16) {
        const bool whole = j + 16 <= n;
        const std::size_t count = whole ? 16 : n - j;
        const f32x16 a = whole ? load(x + j) : load_partial(x + j, count);
        const f32x16 m = whole ? load(mean + j) : load_partial(mean + j, count);
        const f32x16 d = sub(a, m);
        dot = fma(d, whole ? load(c + j) : load_partial(c + j, count), dot);
        square = fma(d, d, square);
    }
    return {reduce_add(dot), reduce_add(square)};
}

/// y = 1 / (1 + e^(-slope (y - centre))) for n values, in place.
inline void logistic(float* y, std::size_t n, float slope, float centre) {
    for (std::size_t j = 0; j < n; j += 16) {
        const std::size_t count = n - j < 16 ? n - j : 16;
        const f32x16 x = mul(splat(-slope), sub(load_partial(y + j, count), splat(centre)));
        store_partial(y + j, div(splat(1.0F), add(splat(1.0F), exp(x))), count);
    }
}

}  // namespace nullm::inline NULLM_ABI::NULLM_ISA
