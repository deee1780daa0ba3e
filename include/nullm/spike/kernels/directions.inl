// Sums over embeddings, in one order on every instruction set; included once for each (foreach_isa.hpp). Rows have a
// multiple of 16 floats, filled up with zeros.

namespace nullm::inline NULLM_ABI::NULLM_ISA {

/// x = (x - mean) / |x - mean|, or zero if that has no length. Returns the length.
inline float to_direction(float* x, const float* mean, std::size_t n) {
    f32x16 square = zeros();
    for (std::size_t j = 0; j < n; j += 16) {
        const f32x16 d = sub(load(x + j), load(mean + j));
        store(x + j, d);
        square = fma(d, d, square);
    }
    const float length = std::sqrt(reduce_add(square));
    const f32x16 by = splat(length > 0 ? length : 1.0F);
    for (std::size_t j = 0; j < n; j += 16) store(x + j, div(load(x + j), by));
    return length;
}

/// out[k] = <x, row k> for `count` rows of n floats, 16 running sums each, added as a tree. No fma: without an instruction
/// for it, it is a function call, and this is a billion of them.
inline void dots(const float* x, const float* rows, std::size_t count, std::size_t n, float* out) {
    std::size_t k = 0;
    for (; k + 4 <= count; k += 4) {  // four rows share the loads of x
        const float* const row = rows + k * n;
        f32x16 a = zeros();
        f32x16 b = zeros();
        f32x16 c = zeros();
        f32x16 d = zeros();
        for (std::size_t j = 0; j < n; j += 16) {
            const f32x16 v = load(x + j);
            a = add(a, mul(v, load(row + j)));
            b = add(b, mul(v, load(row + n + j)));
            c = add(c, mul(v, load(row + 2 * n + j)));
            d = add(d, mul(v, load(row + 3 * n + j)));
        }
        out[k] = reduce_add(a);
        out[k + 1] = reduce_add(b);
        out[k + 2] = reduce_add(c);
        out[k + 3] = reduce_add(d);
    }
    for (; k < count; ++k) {
        f32x16 a = zeros();
        for (std::size_t j = 0; j < n; j += 16) a = add(a, mul(load(x + j), load(rows + k * n + j)));
        out[k] = reduce_add(a);
    }
}

/// sum += x over n floats.
inline void add_direction(float* sum, const float* x, std::size_t n) {
    for (std::size_t j = 0; j < n; j += 16) store(sum + j, add(load(sum + j), load(x + j)));
}

/// y = 1 / (1 + e^(-slope (y - centre))) for n values, in place.
inline void logistic(float* y, std::size_t n, float slope, float centre) {
    for (std::size_t j = 0; j < n; j += 16) {
        const std::size_t count = n - j < 16 ? n - j : 16;
        const f32x16 x = mul(splat(-slope), sub(load_partial(y + j, count), splat(centre)));
        store_partial(y + j, div(splat(1.0F), add(splat(1.0F), exp(x))), count);
    }
}

/// y_k = e^(scale (y_k - max y)) / sum of them, for a multiple of 16 values.
inline void softmax_scaled(float* y, std::size_t n, float scale) {
    f32x16 highest = load(y);
    for (std::size_t j = 16; j < n; j += 16) highest = max(highest, load(y + j));
    const f32x16 top = splat(reduce_max(highest));
    f32x16 sum = zeros();
    for (std::size_t j = 0; j < n; j += 16) {
        const f32x16 e = exp(mul(splat(scale), sub(load(y + j), top)));
        store(y + j, e);
        sum = add(sum, e);
    }
    const f32x16 total = splat(reduce_add(sum));
    for (std::size_t j = 0; j < n; j += 16) store(y + j, div(load(y + j), total));
}

}  // namespace nullm::inline NULLM_ABI::NULLM_ISA
