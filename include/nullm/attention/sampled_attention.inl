// Attention of the queries of one KV head over chosen keys; included once per instruction set
// (foreach_isa.hpp).

namespace nullm::inline NULLM_ABI::NULLM_ISA {

/// dots[i][16 g + l] = q[i] . key 16 g + l for `groups` groups of sixteen keys, whose numbers are g: one fma
/// chain over the head's elements, ascending, as in exact attention. blocks[c] are the keys of chunk c.
template <int queries, int groups, class T>
void dot_groups(const T* const* blocks, std::size_t head_size, const float* const* q, const std::uint32_t* g,
                float* const* dots) {
    f32x16 sum[queries][groups];
    const T* keys[groups];
    for (int n = 0; n < groups; ++n) {
        keys[n] = blocks[g[n] / 16] + g[n] % 16 * 16 * head_size;
        for (int i = 0; i < queries; ++i) sum[i][n] = zeros();
    }
    for (std::size_t d = 0; d < head_size; ++d) {
        f32x16 k[groups];
        for (int n = 0; n < groups; ++n) k[n] = load(keys[n] + d * 16);
        for (int i = 0; i < queries; ++i) {
            const f32x16 x = splat(q[i][d]);
            for (int n = 0; n < groups; ++n) sum[i][n] = fma(x, k[n], sum[i][n]);
        }
    }
    for (int i = 0; i < queries; ++i) {
        for (int n = 0; n < groups; ++n) store(dots[i] + std::size_t{g[n]} * 16, sum[i][n]);
    }
}

template <int queries, class T>
void dot_groups(const T* const* blocks, std::size_t head_size, const float* const* q, const std::uint32_t* g,
                std::size_t count, float* const* dots) {
    std::size_t n = 0;
    for (; n + attention_tile <= count; n += attention_tile) {
        dot_groups<queries, attention_tile>(blocks, head_size, q, g + n, dots);
    }
    for (; n < count; ++n) dot_groups<queries, 1>(blocks, head_size, q, g + n, dots);
}

/// Of up to four queries, which share the loads of the keys.
template <class T>
void dot_groups(std::size_t queries, const T* const* blocks, std::size_t head_size, const float* const* q,
                const std::uint32_t* g, std::size_t count, float* const* dots) {
    switch (queries) {
        case 1:
            return dot_groups<1>(blocks, head_size, q, g, count, dots);
        case 2:
            return dot_groups<2>(blocks, head_size, q, g, count, dots);
        case 3:
            return dot_groups<3>(blocks, head_size, q, g, count, dots);
        default:
            return dot_groups<4>(blocks, head_size, q, g, count, dots);
    }
}

/// o[offset ..] = sum_j weights[j] value(positions[j]) / total over `vectors` x 16 elements; j ascending.
template <int vectors, class T>
void mix_values(const T* const* blocks, std::size_t stride, const std::uint32_t* positions,
                const float* weights, std::size_t count, float total, std::size_t head_size,
                std::size_t offset, float* o) {
    f32x16 sum[vectors];
    for (int n = 0; n < vectors; ++n) sum[n] = zeros();
    for (std::size_t j = 0; j < count; ++j) {
        const T* value = blocks[positions[j] / 256] + positions[j] % 256 * stride + offset;
        const f32x16 w = splat(weights[j]);
        for (int n = 0; n < vectors; ++n) sum[n] = fma(w, load(value + 16 * n), sum[n]);
    }
    for (int n = 0; n < vectors; ++n) {
        const std::size_t at = offset + 16 * static_cast<std::size_t>(n);
        store_partial(o + at, div(sum[n], splat(total)), head_size - at < 16 ? head_size - at : 16);
    }
}

/// o = softmax(dots * scale + surprisal) values, over the values at `positions`; blocks[c] are the values of
/// chunk c. dots becomes the weights; its size is count rounded up to 16. count >= 1.
template <class T>
void mix_chosen(const T* const* blocks, std::size_t stride, const std::uint32_t* positions, float* dots,
                const float* surprisal, std::size_t count, float scale, std::size_t head_size, float* o) {
    for (std::size_t j = 0; j < count; j += 16) {
        const std::size_t n = count - j < 16 ? count - j : 16;
        store_partial(dots + j,
                      add(mul(load_partial(dots + j, n), splat(scale)), load_partial(surprisal + j, n)), n);
    }
    float maximum;
    float total;
    softmax_weights(dots, count, maximum, total);
    std::size_t offset = 0;
    for (; offset + 64 <= stride; offset += 64) {
        mix_values<4>(blocks, stride, positions, dots, count, total, head_size, offset, o);
    }
    for (; offset < stride; offset += 16) {
        mix_values<1>(blocks, stride, positions, dots, count, total, head_size, offset, o);
    }
}

}  // namespace nullm::inline NULLM_ABI::NULLM_ISA
