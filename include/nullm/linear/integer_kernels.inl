// Tiles of quantised weights times quantised activations; included once per instruction set (kernels.hpp).
// The dot product of a block is an exact integer, so all instruction sets give the same bits; a row's result
// does not depend on the rows computed beside it. Calls spell NULLM_ISA where argument-dependent lookup would
// find avx512's function beside vnni's, which has the same types.

namespace nullm::inline NULLM_ABI::NULLM_ISA {

/// What a block's dot product starts from: the offset of the codes times the sum of the activations.
template <class Format, class Code>
inline dot_ints start_of(const activation_block<Code>& x) {
    if constexpr (Format::offset == 8) {
        return dot_splat(x.minus_8_sum);
    } else if constexpr (Format::offset == 128) {
        return dot_splat(x.minus_128_sum);
    } else {
        return dot_splat(std::int32_t{0});
    }
}

/// dot[r] += four 8-bit codes of each lane times x[r].codes[at .. at + 3].
template <class Format, std::size_t rows>
NULLM_INLINE void dot_fours(dot_ints codes, const activation_block<std::int8_t>* x, std::size_t at,
                            dot_ints (&dot)[rows]) {
    NULLM_UNROLL for (std::size_t r = 0; r < rows; ++r) {
        dot[r] = NULLM_ISA::dot4<Format::max_code>(dot[r], codes, x[r].codes + at);
    }
}

/// dot[r] += two 16-bit codes of each lane times x[r].codes[at .. at + 1].
template <std::size_t rows>
NULLM_INLINE void dot_twos(dot_ints codes, const activation_block<std::int16_t>* x, std::size_t at,
                           dot_ints (&dot)[rows]) {
    NULLM_UNROLL for (std::size_t r = 0; r < rows; ++r) {
        dot[r] = NULLM_ISA::dot2(dot[r], codes, x[r].codes + at);
    }
}

/// Adds the products of one word of codes; unpacked once, used for every row. Orders: tile_layout.hpp.
template <class Format, std::size_t rows>
NULLM_INLINE void dot_word(dot_ints word, const activation_block<std::int8_t>* x, std::size_t w,
                           dot_ints (&dot)[rows]) {
    if constexpr (Format::words == 8) {
        NULLM_ISA::dot_fours<Format>(word, x, 4 * w, dot);
    } else {
        const dot_ints mask = dot_splat(std::int32_t{0x0F0F0F0F});
        NULLM_ISA::dot_fours<Format>(bit_and(word, mask), x, 8 * w, dot);
        NULLM_ISA::dot_fours<Format>(bit_and(shift_right_logical<4>(word), mask), x, 8 * w + 4, dot);
    }
}
template <class Format, std::size_t rows>
NULLM_INLINE void dot_word(dot_ints word, const activation_block<std::int16_t>* x, std::size_t w,
                           dot_ints (&dot)[rows]) {
    if constexpr (Format::words == 8) {
        const dot_ints mask = dot_splat(std::int32_t{0x00FF00FF});
        NULLM_ISA::dot_twos(bit_and(word, mask), x, 4 * w, dot);
        NULLM_ISA::dot_twos(bit_and(shift_right_logical<8>(word), mask), x, 4 * w + 2, dot);
    } else {
        const dot_ints mask = dot_splat(std::int32_t{0x000F000F});
        NULLM_ISA::dot_twos(bit_and(word, mask), x, 8 * w, dot);
        NULLM_ISA::dot_twos(bit_and(shift_right_logical<4>(word), mask), x, 8 * w + 4, dot);
        NULLM_ISA::dot_twos(bit_and(shift_right_logical<8>(word), mask), x, 8 * w + 2, dot);
        NULLM_ISA::dot_twos(bit_and(shift_right_logical<12>(word), mask), x, 8 * w + 6, dot);
    }
}

/// Asks for what lies 2 kB ahead. Worth it where a group takes long enough for the hardware's own prefetching
/// to lose the thread (measured on Zen 4: a sixth at eight rows; with few rows it costs a fifth instead).
template <std::size_t bytes>
NULLM_INLINE void prefetch_ahead(const std::byte* group) {
    const auto ahead = reinterpret_cast<std::uintptr_t>(group) + 2048;  // may lie past the end: never loaded
    NULLM_UNROLL for (std::size_t line = 0; line < bytes; line += 64) {
        __builtin_prefetch(reinterpret_cast<const void*>(ahead + line));
    }
}

/// y[r][lane] = sum over blocks b, ascending, of fma(dot, d * scale, sum), then fma(m, scaled_sum, sum) where
/// the format has an m; d * scale and scaled_sum are rounded products.
template <class Format, class Code, std::size_t rows>
void multiply_rows(const tile_job<activation_block<Code>>& job) {
    for (std::size_t lane = 0; lane < job.lanes; lane += dot_lanes) {
        dot_floats sum[rows];
        NULLM_UNROLL for (std::size_t r = 0; r < rows; ++r) sum[r] = dot_zeros();
        const std::byte* group = job.tile;
        const activation_block<Code>* x = job.x;
        for (std::size_t g = 0; g < job.groups; ++g, group += group_bytes<Format>) {
            if constexpr (rows > 4) NULLM_ISA::prefetch_ahead<group_bytes<Format>>(group);
            for (std::size_t half = 0; half < 2; ++half, x += job.x_stride) {
                const std::byte* codes =
                    group + codes_at<Format> + (half * Format::words * tile_rows + lane) * 4;
                dot_ints dot[rows];
                NULLM_UNROLL for (std::size_t r = 0; r < rows; ++r) dot[r] = start_of<Format>(x[r]);
                NULLM_UNROLL for (std::size_t w = 0; w < Format::words; ++w) {
                    NULLM_ISA::dot_word<Format>(load_words(codes + w * tile_rows * 4), x, w, dot);
                }
                const f16* scales = reinterpret_cast<const f16*>(group) + half * tile_rows + lane;
                const dot_floats d = load_scales(scales);
                NULLM_UNROLL for (std::size_t r = 0; r < rows; ++r) {
                    sum[r] = fma(to_float(dot[r]), mul(d, dot_splat(x[r].scale)), sum[r]);
                }
                if constexpr (Format::has_min) {
                    const dot_floats m = load_scales(scales + 2 * tile_rows);
                    NULLM_UNROLL for (std::size_t r = 0; r < rows; ++r) {
                        sum[r] = fma(m, dot_splat(x[r].scaled_sum), sum[r]);
                    }
                }
            }
        }
        NULLM_UNROLL for (std::size_t r = 0; r < rows; ++r) {
            store_first(job.y + r * job.y_stride + lane, sum[r], std::min(dot_lanes, job.lanes - lane));
        }
    }
}

template <class Format, class Code, std::size_t... i>
inline void multiply_count(const tile_job<activation_block<Code>>& job, std::size_t rows,
                           std::index_sequence<i...>) {
    ((rows == i + 1 ? multiply_rows<Format, Code, i + 1>(job) : void()), ...);
}

/// As multiply_rows for 1 to panel_rows rows, as many at once as the registers hold.
template <class Format, class Code>
void multiply_tile(tile_job<activation_block<Code>> job, std::size_t rows) {
    for (; rows > dot_rows; rows -= dot_rows) {
        multiply_rows<Format, Code, dot_rows>(job);
        job.x += dot_rows;
        job.y += dot_rows * job.y_stride;
    }
    NULLM_ISA::multiply_count<Format>(job, rows, std::make_index_sequence<dot_rows>{});
}

}  // namespace nullm::inline NULLM_ABI::NULLM_ISA
