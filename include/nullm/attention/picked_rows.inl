// Attention of queries over single keys picked out of the cache; included once per instruction set
// (foreach_isa.hpp).

namespace nullm::inline NULLM_ABI::NULLM_ISA {

/// dots[i][j] = q[i] . rows[j].key for `count` rows of `stride` elements (a multiple of 16, the surplus ones
/// zero), as has each query: sixteen fma chains, summed as reduce_add() does. dots are written up to the next
/// multiple of 16. Memory is asked for keys and values, which are read next.
template <int queries, class T>
void dot_picked(const picked_row<T>* rows, std::size_t count, std::size_t stride, const float* const* q,
                float* const* dots) {
    for (std::size_t first = 0; first < count; first += 16) {
        f32x16 sum[queries][16];
        for (std::size_t l = 0; l < 16; ++l) {
            const std::size_t j = first + l;
            f32x16 chain[queries];
            for (int i = 0; i < queries; ++i) chain[i] = zeros();
            if (j < count) {
                if (j + rows_from_memory < count) ask_memory_for(rows[j + rows_from_memory], stride);
                if (j + rows_from_cache < count) ask_cache_for(rows[j + rows_from_cache].key, stride);
                for (std::size_t d = 0; d < stride; d += 16) {
                    const f32x16 k = load(rows[j].key + d);
                    for (int i = 0; i < queries; ++i) chain[i] = fma(load(q[i] + d), k, chain[i]);
                }
            }
            for (int i = 0; i < queries; ++i) sum[i][l] = chain[i];
        }
        for (int i = 0; i < queries; ++i) store(dots[i] + first, reduce_add_each(sum[i]));
    }
}

template <class T>
void dot_picked(std::size_t queries, const picked_row<T>* rows, std::size_t count, std::size_t stride,
                const float* const* q, float* const* dots) {
    switch (queries) {
        case 1:
            return dot_picked<1>(rows, count, stride, q, dots);
        case 2:
            return dot_picked<2>(rows, count, stride, q, dots);
        case 3:
            return dot_picked<3>(rows, count, stride, q, dots);
        default:
            return dot_picked<4>(rows, count, stride, q, dots);
    }
}

/// Turns the first `count` dots into weights e^(dot scale + surprisal - maximum), the rest of their group of
/// 16 into 0; with their sum.
inline void weigh_picked(float* dots, const float* surprisal, std::size_t count, float scale, float& maximum,
                         float& total) {
    for (std::size_t j = 0; j < count; j += 16) {
        const std::size_t n = count - j < 16 ? count - j : 16;
        store_partial(dots + j,
                      add(mul(load_partial(dots + j, n), splat(scale)), load_partial(surprisal + j, n)), n);
    }
    softmax_weights(dots, count, maximum, total);
}

/// The sum of e^(dot scale - largest) over `count` dots, one at least, and the largest.
inline float sum_exponentials(const float* dots, std::size_t count, float scale, float& largest) {
    const f32x16 lowest = splat(-std::numeric_limits<float>::infinity());
    f32x16 top = lowest;
    for (std::size_t j = 0; j < count; j += 16) {
        const auto valid = static_cast<mask16>(count - j < 16 ? (1U << (count - j)) - 1U : 0xFFFFU);
        top = max(top, select(valid, mul(load(dots + j), splat(scale)), lowest));
    }
    largest = reduce_max(top);
    f32x16 sum = zeros();
    for (std::size_t j = 0; j < count; j += 16) {
        const auto valid = static_cast<mask16>(count - j < 16 ? (1U << (count - j)) - 1U : 0xFFFFU);
        sum = add(sum, select_or_zero(valid, exp(sub(mul(load(dots + j), splat(scale)), splat(largest)))));
    }
    return reduce_add(sum);
}

/// a . b over n elements.
inline float dot_of(const float* a, const float* b, std::size_t n) {
    f32x16 sum = zeros();
    for (std::size_t d = 0; d < n; d += 16) {
        const std::size_t count = n - d < 16 ? n - d : 16;
        sum = fma(load_partial(a + d, count), load_partial(b + d, count), sum);
    }
    return reduce_add(sum);
}

/// The sum of the squares of `count` weights.
inline float square_weights(const float* weights, std::size_t count) {
    f32x16 sum = zeros();
    for (std::size_t j = 0; j < count; j += 16) {
        const f32x16 w = load(weights + j);  // those past the last are 0
        sum = fma(w, w, sum);
    }
    return reduce_add(sum);
}

/// sum_j variances[j] |rows[j].value - o|^2, those of no variance left out.
template <class T>
float spread_picked(const picked_row<T>* rows, const float* variances, std::size_t count, std::size_t head_size,
                    const float* o) {
    f32x16 sum = zeros();
    for (std::size_t j = 0; j < count; ++j) {
        if (variances[j] == 0) continue;
        f32x16 square = zeros();
        for (std::size_t d = 0; d < head_size; d += 16) {
            // What pads a value is 0, and so is what pads o here.
            const f32x16 apart =
                sub(load(rows[j].value + d), load_partial(o + d, head_size - d < 16 ? head_size - d : 16));
            square = fma(apart, apart, square);
        }
        sum = fma(splat(variances[j]), square, sum);
    }
    return reduce_add(sum);
}

/// variances[j] = (weights[j] / total)^2 (1 - e^-surprisal[j]); the arrays reach to a multiple of 16.
inline void weight_variances(const float* weights, const float* surprisal, std::size_t count, float total,
                             float* variances) {
    for (std::size_t j = 0; j < count; j += 16) {
        const f32x16 share = div(load(weights + j), splat(total));
        const f32x16 missed = sub(splat(1.0F), exp(sub(zeros(), load(surprisal + j))));
        store(variances + j, mul(mul(share, share), missed));
    }
}

/// o[i][offset ..] = sum_j weights[i][j] rows[j].value over `vectors` x 16 elements; j ascending. Memory is
/// asked for one of the rows `ahead` with each, the same elements.
template <int queries, int vectors, class T>
void mix_picked(std::span<const picked_row<T>> rows, std::span<const picked_row<T>> ahead,
                const float* const* weights, std::size_t offset, float* const* o) {
    constexpr std::size_t elements = 16 * vectors;
    f32x16 sum[queries][vectors];
    for (int i = 0; i < queries; ++i) {
        for (int n = 0; n < vectors; ++n) sum[i][n] = zeros();
    }
    for (std::size_t j = 0; j < rows.size(); ++j) {
        if (j < ahead.size())
            ask_memory_for(picked_row<T>{ahead[j].key + offset, ahead[j].value + offset}, elements);
        if (j + rows_from_cache < rows.size())
            ask_cache_for(rows[j + rows_from_cache].value + offset, elements);
        f32x16 v[vectors];
        for (int n = 0; n < vectors; ++n)
            v[n] = load(rows[j].value + offset + 16 * static_cast<std::size_t>(n));
        for (int i = 0; i < queries; ++i) {
            const f32x16 w = splat(weights[i][j]);
            for (int n = 0; n < vectors; ++n) sum[i][n] = fma(w, v[n], sum[i][n]);
        }
    }
    for (int i = 0; i < queries; ++i) {
        for (int n = 0; n < vectors; ++n) store(o[i] + offset + 16 * static_cast<std::size_t>(n), sum[i][n]);
    }
}

template <int queries, class T>
void mix_picked(std::span<const picked_row<T>> rows, std::span<const picked_row<T>> ahead, std::size_t stride,
                const float* const* weights, float* const* o) {
    std::size_t offset = 0;
    for (; offset + 16 * attention_tile <= stride; offset += 16 * attention_tile)
        mix_picked<queries, attention_tile>(rows, ahead, weights, offset, o);
    for (; offset < stride; offset += 16) mix_picked<queries, 1>(rows, ahead, weights, offset, o);
}

/// Of up to four queries over the same rows, which share the loads of the values; `stride` elements each.
template <class T>
void mix_picked(std::size_t queries, std::span<const picked_row<T>> rows,
                std::span<const picked_row<T>> ahead, std::size_t stride, const float* const* weights,
                float* const* o) {
    switch (queries) {
        case 1:
            return mix_picked<1>(rows, ahead, stride, weights, o);
        case 2:
            return mix_picked<2>(rows, ahead, stride, weights, o);
        case 3:
            return mix_picked<3>(rows, ahead, stride, weights, o);
        default:
            return mix_picked<4>(rows, ahead, stride, weights, o);
    }
}

/// o = sum of the parts' partial results / sum of their totals, each times factor = e^(its maximum - that of
/// all), in order; and the sums of totals and of squares.
inline void merge_picked(std::size_t parts, const float* maximum, const float* total, const float* square,
                         const float* partial, std::size_t stride, std::size_t head_size, float* o,
                         float* factor, float& sum, float& squares) {
    f32x16 top = splat(maximum[0]);
    for (std::size_t p = 1; p < parts; ++p) top = max(top, splat(maximum[p]));
    f32x16 totals = zeros();
    f32x16 square_sum = zeros();
    for (std::size_t p = 0; p < parts; ++p) {
        const f32x16 take = exp(sub(splat(maximum[p]), top));
        totals = fma(take, splat(total[p]), totals);
        square_sum = fma(mul(take, take), splat(square[p]), square_sum);
        store_partial(factor + p, take, 1);
    }
    store_partial(&sum, totals, 1);
    store_partial(&squares, square_sum, 1);
    for (std::size_t d = 0; d < head_size; d += 16) {
        f32x16 value = zeros();
        for (std::size_t p = 0; p < parts; ++p)
            value = fma(splat(factor[p]), load(partial + p * stride + d), value);
        store_partial(o + d, div(value, totals), head_size - d < 16 ? head_size - d : 16);
    }
}

}  // namespace nullm::inline NULLM_ABI::NULLM_ISA
