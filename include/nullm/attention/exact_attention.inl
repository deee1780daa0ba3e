// Attention of a few queries over one chunk of keys; included once per instruction set (foreach_isa.hpp).

namespace nullm::inline NULLM_ABI::NULLM_ISA {

/// Asks for the cache line `ahead` bytes on; may lie past the end, where it is never loaded. A chunk's values
/// follow its keys, so what lies ahead is what is read next, but for the last 4 kB of a chunk.
template <class T>
NULLM_INLINE void prefetch_ahead(const T* p, std::size_t ahead) {
    __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(p) + ahead));
}

/// scores[i][l] of `groups` x 16 keys from `keys` on: one fma chain over the head's elements, ascending.
template <int queries, int groups, class T>
void score_keys(const T* keys, std::size_t head_size, float scale, const float* const* q,
                float (*scores)[256], std::size_t first) {
    f32x16 sum[queries][groups];
    for (int i = 0; i < queries; ++i) {
        for (int g = 0; g < groups; ++g) sum[i][g] = zeros();
    }
    const std::size_t group_stride = head_size * 16;
    keys += first * head_size;
    for (std::size_t d = 0; d < head_size; ++d) {
        // The groups of one call lie side by side, and so do those of the next.
        for (std::size_t line = 0; line < groups * 16 * sizeof(T); line += 64)
            NULLM_ISA::prefetch_ahead(keys, groups * group_stride * sizeof(T) + d * groups * 16 * sizeof(T) + line);
        f32x16 k[groups];
        for (int g = 0; g < groups; ++g)
            k[g] = load(keys + static_cast<std::size_t>(g) * group_stride + d * 16);
        for (int i = 0; i < queries; ++i) {
            const f32x16 x = splat(q[i][d]);
            for (int g = 0; g < groups; ++g) sum[i][g] = fma(x, k[g], sum[i][g]);
        }
    }
    for (int i = 0; i < queries; ++i) {
        for (int g = 0; g < groups; ++g) store(scores[i] + first + 16 * g, mul(sum[i][g], splat(scale)));
    }
}

/// Turns the first `count` scores into weights e^(score - maximum), the rest of their group of 16 into 0.
inline void softmax_weights(float* scores, std::size_t count, float& maximum, float& total) {
    const f32x16 lowest = splat(-std::numeric_limits<float>::infinity());
    f32x16 top = lowest;
    for (std::size_t j = 0; j < count; j += 16) {
        const auto valid = static_cast<mask16>(count - j < 16 ? (1U << (count - j)) - 1U : 0xFFFFU);
        top = max(top, select(valid, load(scores + j), lowest));
    }
    maximum = reduce_max(top);
    f32x16 sum = zeros();
    for (std::size_t j = 0; j < count; j += 16) {
        const auto valid = static_cast<mask16>(count - j < 16 ? (1U << (count - j)) - 1U : 0xFFFFU);
        const f32x16 weight = select_or_zero(valid, exp(sub(load(scores + j), splat(maximum))));
        store(scores + j, weight);
        sum = add(sum, weight);
    }
    total = reduce_add(sum);
}

/// o[i] += weights[i][j] values[j] for j in [first, last), ascending, over `vectors` x 16 elements of the
/// head.
template <int queries, int vectors, class T>
void add_values(const T* values, std::size_t stride, std::size_t first, std::size_t last,
                const float (*weights)[256], float* const* o, std::size_t offset) {
    f32x16 sum[queries][vectors];
    for (int i = 0; i < queries; ++i) {
        for (int n = 0; n < vectors; ++n) sum[i][n] = load(o[i] + offset + 16 * n);
    }
    for (std::size_t j = first; j < last; ++j) {
        for (std::size_t line = 0; line < vectors * 16 * sizeof(T); line += 64)
            NULLM_ISA::prefetch_ahead(values + j * stride + offset, 4096 + line);
        f32x16 v[vectors];
        for (int n = 0; n < vectors; ++n) v[n] = load(values + j * stride + offset + 16 * n);
        for (int i = 0; i < queries; ++i) {
            const f32x16 w = splat(weights[i][j]);
            for (int n = 0; n < vectors; ++n) sum[i][n] = fma(w, v[n], sum[i][n]);
        }
    }
    for (int i = 0; i < queries; ++i) {
        for (int n = 0; n < vectors; ++n) store(o[i] + offset + 16 * n, sum[i][n]);
    }
}

template <int queries, class T>
void add_values(const T* values, std::size_t stride, std::size_t first, std::size_t last,
                const float (*weights)[256], float* const* o) {
    std::size_t offset = 0;
    for (; offset + 16 * attention_tile <= stride; offset += 16 * attention_tile) {
        add_values<queries, attention_tile>(values, stride, first, last, weights, o, offset);
    }
    for (; offset < stride; offset += 16)
        add_values<queries, 1>(values, stride, first, last, weights, o, offset);
}

/// Up to four queries of one KV head over one chunk: query i sees its first count[i] >= 1 keys, count
/// ascending. Writes each query's largest score, sum of weights and unnormalised o (stride elements). The
/// queries share the loads of keys and values; what is added to each, and in which order, depends on its own
/// count alone.
template <int queries, class T>
void attend_chunk(const T* keys, const T* values, std::size_t head_size, std::size_t stride, float scale,
                  const float* const* q, const std::size_t* count, float* maximum, float* total,
                  float* const* o) {
    float scores[queries][256];
    const std::size_t most = count[queries - 1];
    std::size_t first = 0;
    for (; first + 16 * attention_tile <= most; first += 16 * attention_tile) {
        score_keys<queries, attention_tile>(keys, head_size, scale, q, scores, first);
    }
    for (; first < most; first += 16) score_keys<queries, 1>(keys, head_size, scale, q, scores, first);

    for (int i = 0; i < queries; ++i) softmax_weights(scores[i], count[i], maximum[i], total[i]);

    for (int i = 0; i < queries; ++i) {
        for (std::size_t d = 0; d < stride; d += 16) store(o[i] + d, zeros());
    }
    // Keys all queries see together, then each one's own: a later key's value must not touch an earlier
    // query, not even with weight 0 (0 x infinity).
    add_values<queries>(values, stride, 0, count[0], scores, o);
    for (int i = 1; i < queries; ++i) {
        if (count[0] < count[i]) add_values<1>(values, stride, count[0], count[i], scores + i, o + i);
    }
}

template <class T>
void attend_chunk(std::size_t queries, const T* keys, const T* values, std::size_t head_size,
                  std::size_t stride, float scale, const float* const* q, const std::size_t* count,
                  float* maximum, float* total, float* const* o) {
    switch (queries) {
        case 1:
            return attend_chunk<1>(keys, values, head_size, stride, scale, q, count, maximum, total, o);
        case 2:
            return attend_chunk<2>(keys, values, head_size, stride, scale, q, count, maximum, total, o);
        case 3:
            return attend_chunk<3>(keys, values, head_size, stride, scale, q, count, maximum, total, o);
        default:
            return attend_chunk<4>(keys, values, head_size, stride, scale, q, count, maximum, total, o);
    }
}

/// Merges the results of `chunks` chunks in ascending order and divides by the sum (online softmax, Milakov
/// and Gimelshein 2018). o has head_size elements, the chunks' results stride elements each, one after the
/// other.
inline void merge_chunks(std::size_t chunks, const float* maximum, const float* total, const float* partial,
                         std::size_t stride, std::size_t head_size, float* o) {
    for (std::size_t d = 0; d < head_size; d += 16) {
        f32x16 top = splat(maximum[0]);
        f32x16 sum = splat(total[0]);
        f32x16 value = load(partial + d);
        for (std::size_t c = 1; c < chunks; ++c) {
            const f32x16 next = splat(maximum[c]);
            const f32x16 both = max(top, next);
            const f32x16 keep = exp(sub(top, both));
            const f32x16 take = exp(sub(next, both));
            sum = fma(take, splat(total[c]), mul(keep, sum));
            value = fma(take, load(partial + c * stride + d), mul(keep, value));
            top = both;
        }
        store_partial(o + d, div(value, sum), head_size - d < 16 ? head_size - d : 16);
    }
}

}  // namespace nullm::inline NULLM_ABI::NULLM_ISA
