// Tiles of weights times float activations; included once per instruction set (foreach_isa.hpp). Weights
// become exact floats; each output is four chains of fma, by element number modulo four, added as (0 + 1) +
// (2 + 3).

namespace nullm::inline NULLM_ABI::NULLM_ISA {

/// Elements of a float_block: from one row's value of an element to the next row's.
inline constexpr std::size_t next_row = sizeof(float_block) / sizeof(float);

/// Chain c of row r += w * x[r * next_row].
template <std::size_t rows>
NULLM_INLINE void chain(dot_floats w, const float* x, std::size_t c, dot_floats (&sum)[rows][4]) {
    NULLM_UNROLL for (std::size_t r = 0; r < rows; ++r) {
        sum[r][c] = fma(w, dot_splat(x[r * next_row]), sum[r][c]);
    }
}

template <std::size_t rows>
NULLM_INLINE void clear_chains(dot_floats (&sum)[rows][4]) {
    NULLM_UNROLL for (std::size_t r = 0; r < rows; ++r) {
        NULLM_UNROLL for (std::size_t c = 0; c < 4; ++c) sum[r][c] = dot_zeros();
    }
}

template <std::size_t rows>
NULLM_INLINE void store_chains(const tile_job<float_block>& job, std::size_t lane,
                               dot_floats (&sum)[rows][4]) {
    NULLM_UNROLL for (std::size_t r = 0; r < rows; ++r) {
        const dot_floats total = add(add(sum[r][0], sum[r][1]), add(sum[r][2], sum[r][3]));
        store_first(job.y + r * job.y_stride + lane, total, std::min(dot_lanes, job.lanes - lane));
    }
}

/// Element i of a word, as a float: d * (code - offset), which is exact, or fma(d, code, m).
template <class Format, std::size_t i>
NULLM_INLINE dot_floats weight(dot_ints word, const table16& codebook, dot_floats d, dot_floats m) {
    if constexpr (Format::words == 8) {
        return mul(d, centred_byte<static_cast<int>(i)>(word));
    } else {
        const dot_floats q = lookup(codebook, shift_right_logical<shift_of<Format>(i)>(word));
        if constexpr (Format::has_min) {
            return fma(d, q, m);
        } else {
            return mul(d, q);
        }
    }
}

/// The elements of one word, x being at the first.
template <class Format, std::size_t rows, std::size_t... i>
NULLM_INLINE void chain_word(dot_ints word, const table16& codebook, dot_floats d, dot_floats m,
                             const float* x, dot_floats (&sum)[rows][4], std::index_sequence<i...>) {
    (chain(weight<Format, i>(word, codebook, d, m), x + i, i % 4, sum), ...);
}

/// A quantised tile.
template <class Format, std::size_t rows>
void multiply_quantized_rows(const tile_job<float_block>& job) {
    constexpr std::size_t word_elements = 32 / Format::words;
    float entries[16];
    for (int i = 0; i < 16; ++i) entries[i] = static_cast<float>(i - Format::offset);
    const table16 codebook = make_table(entries);
    for (std::size_t lane = 0; lane < job.lanes; lane += dot_lanes) {
        dot_floats sum[rows][4];
        clear_chains(sum);
        const std::byte* group = job.tile;
        const float_block* x = job.x;
        for (std::size_t g = 0; g < job.groups; ++g, group += group_bytes<Format>) {
            for (std::size_t half = 0; half < 2; ++half, x += job.x_stride) {
                const f16* scales = reinterpret_cast<const f16*>(group) + half * tile_rows + lane;
                const std::byte* codes =
                    group + codes_at<Format> + (half * Format::words * tile_rows + lane) * 4;
                const dot_floats d = load_scales(scales);
                const dot_floats m = Format::has_min ? load_scales(scales + 2 * tile_rows) : d;
                for (std::size_t w = 0; w < Format::words; ++w) {
                    chain_word<Format>(load_words(codes + w * tile_rows * 4), codebook, d, m,
                                       x->values + w * word_elements, sum,
                                       std::make_index_sequence<word_elements>{});
                }
            }
        }
        store_chains(job, lane, sum);
    }
}

/// A tile stored as floats of type T.
template <class T, std::size_t rows>
void multiply_float_rows(const tile_job<float_block>& job) {
    for (std::size_t lane = 0; lane < job.lanes; lane += dot_lanes) {
        dot_floats sum[rows][4];
        clear_chains(sum);
        const T* w = reinterpret_cast<const T*>(job.tile) + lane;
        const float_block* x = job.x;
        for (std::size_t left = job.cols; left > 0; x += job.x_stride) {
            const std::size_t n = std::min<std::size_t>(left, 32);
            std::size_t k = 0;
            for (; k + 4 <= n; k += 4, w += 4 * tile_rows) {
                NULLM_UNROLL for (std::size_t c = 0; c < 4; ++c) {
                    chain(load_scales(w + c * tile_rows), x->values + k + c, c, sum);
                }
            }
            NULLM_UNROLL for (std::size_t c = 0; c < 3; ++c) {
                if (k + c < n) chain(load_scales(w + c * tile_rows), x->values + k + c, c, sum);
            }
            left -= n;
        }
        store_chains(job, lane, sum);
    }
}

template <class Weights, std::size_t rows>
inline void multiply_any_rows(const tile_job<float_block>& job) {
    if constexpr (requires { Weights::words; }) {
        multiply_quantized_rows<Weights, rows>(job);
    } else {
        multiply_float_rows<Weights, rows>(job);
    }
}

template <class Weights, std::size_t... i>
inline void multiply_any_count(const tile_job<float_block>& job, std::size_t rows,
                               std::index_sequence<i...>) {
    ((rows == i + 1 ? multiply_any_rows<Weights, i + 1>(job) : void()), ...);
}

/// Weights is a quantised format, or the type of a tile stored as floats; 1 to panel_rows rows.
template <class Weights>
void multiply_float_tile(tile_job<float_block> job, std::size_t rows) {
    for (; rows > float_rows; rows -= float_rows) {
        multiply_any_rows<Weights, float_rows>(job);
        job.x += float_rows;
        job.y += float_rows * job.y_stride;
    }
    multiply_any_count<Weights>(job, rows, std::make_index_sequence<float_rows>{});
}

}  // namespace nullm::inline NULLM_ABI::NULLM_ISA
