// The inner loops of the error-compensating NF4 encoder; included once per instruction set (foreach_isa.hpp).
// Sixteen rows of a matrix lie side by side: column k of all of them is sixteen floats. All give the same bits.

namespace nullm::inline NULLM_ABI::NULLM_ISA {

/// The nearest value of the codebook, of two as near the lower one.
inline f32x16 nearest_nf4(f32x16 s) {
    f32x16 value = splat(nf4_codebook[0]);
    for (std::size_t i = 0; i < nf4_boundaries.size(); ++i) {
        value = select(greater(s, splat(nf4_boundaries[i])), splat(nf4_codebook[i + 1]), value);
    }
    return value;
}

/// out[k] -= sum over j of d[j] m[j][k], for `count` columns (a multiple of four) and `rows` rows of m.
inline void subtract_products(float* out, std::size_t count, const float* m, std::size_t stride, const float* d,
                              std::size_t rows) {
    for (std::size_t k = 0; k < count; k += 4) {
        f32x16 sum[4] = {zeros(), zeros(), zeros(), zeros()};
        const float* at = m + k;
        for (std::size_t j = 0; j < rows; ++j, at += stride) {
            const f32x16 dj = load(d + j * 16);
            NULLM_UNROLL for (std::size_t i = 0; i < 4; ++i) sum[i] = fma(dj, splat(at[i]), sum[i]);
        }
        NULLM_UNROLL for (std::size_t i = 0; i < 4; ++i) {
            store(out + (k + i) * 16, sub(load(out + (k + i) * 16), sum[i]));
        }
    }
}

/// Rounds the `block` columns of w one after the other to codebook values times scale, each column's error
/// divided by its diagonal element passed on to those behind it: w becomes these errors, values the codebook
/// values. Returns the sum of their squares, a lane a row.
inline void round_block(float* w, std::size_t block, const float* factor, std::size_t stride, const float* scale,
                        const float* inverse, float* values, float* loss) {
    const f32x16 s = load(scale);
    const f32x16 per_s = load(inverse);
    f32x16 squares = zeros();
    for (std::size_t j = 0; j < block; ++j) {
        const float* row = factor + j * stride;
        const f32x16 wj = load(w + j * 16);
        const f32x16 value = nearest_nf4(mul(wj, per_s));
        const f32x16 e = mul(sub(wj, mul(value, s)), splat(1.0F / row[j]));
        squares = fma(e, e, squares);
        store(values + j * 16, value);
        store(w + j * 16, e);
        const f32x16 minus = sub(zeros(), e);
        for (std::size_t k = j + 1; k < block; ++k) {
            store(w + k * 16, fma(minus, splat(row[k]), load(w + k * 16)));
        }
    }
    store(loss, squares);
}

/// One step of coordinate descent on (w - q)^T H (w - q) within a block: first the scale (if `refit`), then
/// each code in turn takes its best value, everything else held. gradient is H (w - q) of the block's
/// columns; change gathers what was added to q. Scales and values are rewritten.
inline void descend_block(float* gradient, std::size_t block, const float* metric, std::size_t stride, bool refit,
                          float* scale, float* values, float* change) {
    f32x16 s = load(scale);
    if (refit) {
        f32x16 above = zeros();
        f32x16 below = zeros();
        alignas(64) float moved[64 * 16];
        for (std::size_t k = 0; k < block; ++k) {
            f32x16 sum = zeros();
            const float* row = metric + k * stride;
            for (std::size_t j = 0; j < block; ++j) sum = fma(load(values + j * 16), splat(row[j]), sum);
            store(moved + k * 16, sum);
            const f32x16 value = load(values + k * 16);
            above = fma(value, load(gradient + k * 16), above);
            below = fma(value, sum, below);
        }
        const f32x16 step = select_or_zero(greater(below, zeros()), div(above, below));
        s = add(s, step);
        const f32x16 minus = sub(zeros(), step);
        for (std::size_t k = 0; k < block; ++k) {
            store(gradient + k * 16, fma(minus, load(moved + k * 16), load(gradient + k * 16)));
            store(change + k * 16, fma(step, load(values + k * 16), load(change + k * 16)));
        }
        store(scale, s);
    }
    const f32x16 magnitude = abs(s);
    const f32x16 per_s = select_or_zero(greater(magnitude, splat(1e-30F)), div(splat(1.0F), s));
    for (std::size_t j = 0; j < block; ++j) {
        const float* row = metric + j * stride;
        const f32x16 value = load(values + j * 16);
        const f32x16 wanted = fma(load(gradient + j * 16), splat(1.0F / row[j]), mul(value, s));
        const f32x16 best = nearest_nf4(mul(wanted, per_s));
        const f32x16 delta = mul(sub(best, value), s);
        if (greater(abs(delta), zeros()) == 0) continue;
        store(values + j * 16, best);
        store(change + j * 16, add(load(change + j * 16), delta));
        const f32x16 minus = sub(zeros(), delta);
        for (std::size_t k = 0; k < block; ++k) {
            store(gradient + k * 16, fma(minus, splat(row[k]), load(gradient + k * 16)));
        }
    }
}

}  // namespace nullm::inline NULLM_ABI::NULLM_ISA
