// Tiles of NF4 times quantised activations; included once per instruction set (nf4_kernels.hpp). As
// integer_kernels.inl, but codes pass through a table of integers. Calls spell NULLM_ISA where
// argument-dependent lookup would find avx512's function beside vnni's.

namespace nullm::inline NULLM_ABI::NULLM_ISA {

/// Adds the products of one word of codes with activations in 8 bits: looked up once, used for every row.
template <class Format, std::size_t rows>
NULLM_INLINE void dot_looked_up(dot_ints word, const codes8& table, const activation_block<std::int8_t>* x,
                                std::size_t w, dot_ints (&dot)[rows]) {
    const dot_ints mask = dot_splat(std::int32_t{0x0F0F0F0F});
    NULLM_ISA::dot_fours<Format>(lookup_bytes(table, bit_and(word, mask)), x, 8 * w, dot);
    NULLM_ISA::dot_fours<Format>(lookup_bytes(table, bit_and(shift_right_logical<4>(word), mask)), x,
                                 8 * w + 4, dot);
}
/// The same in 16 bits. Order of the pairs: tile_layout.hpp.
template <class Format, std::size_t rows>
NULLM_INLINE void dot_looked_up(dot_ints word, const codes16& table, const activation_block<std::int16_t>* x,
                                std::size_t w, dot_ints (&dot)[rows]) {
    dot_ints even, odd;
    lookup_pairs<0>(table, word, even, odd);
    NULLM_ISA::dot_twos(even, x, 8 * w, dot);
    NULLM_ISA::dot_twos(odd, x, 8 * w + 2, dot);
    lookup_pairs<1>(table, word, even, odd);
    NULLM_ISA::dot_twos(even, x, 8 * w + 4, dot);
    NULLM_ISA::dot_twos(odd, x, 8 * w + 6, dot);
}

/// The integers of the codebook, as the instruction set looks them up.
inline codes16 integers_for(std::int16_t) {
    return make_codes(nf4_integers<std::int16_t>::codes.data());
}
inline codes8 integers_for(std::int8_t) {
    std::uint8_t unsigned_codes[16];
    for (std::size_t i = 0; i < 16; ++i) {
        unsigned_codes[i] = static_cast<std::uint8_t>(nf4_integers<std::int8_t>::codes[i] + 128);
    }
    return make_codes(unsigned_codes);
}
template <class Code>
inline dot_ints nf4_start_of(const activation_block<Code>& x) {
    if constexpr (sizeof(Code) == 1) {
        return dot_splat(x.minus_128_sum);
    } else {
        return dot_splat(std::int32_t{0});
    }
}

/// y[r][lane] = (sum over runs, ascending, of fma(part, scale, sum)) / nf4_integers::scale, with part = sum
/// over the run's pieces of fma(dot, scale of x, part); the quotient a rounded product.
template <class Format, class Code, std::size_t rows>
void multiply_nf4_rows(const tile_job<activation_block<Code>>& job) {
    const auto table = NULLM_ISA::integers_for(Code{});
    for (std::size_t lane = 0; lane < job.lanes; lane += dot_lanes) {
        dot_floats sum[rows];
        NULLM_UNROLL for (std::size_t r = 0; r < rows; ++r) sum[r] = dot_zeros();
        const std::byte* run = job.tile;
        const activation_block<Code>* x = job.x;
        for (std::size_t g = 0; g < job.groups; ++g, run += Format::run_bytes) {
            const std::byte* codes = run + (tile_rows + lane) * 4;
            dot_floats part[rows];
            NULLM_UNROLL for (std::size_t r = 0; r < rows; ++r) part[r] = dot_zeros();
            for (std::size_t piece = 0; piece < Format::pieces; ++piece, codes += 4 * tile_rows * 4) {
                if constexpr (rows > 4) NULLM_ISA::prefetch_ahead<4 * tile_rows * 4>(codes);
                dot_ints dot[rows];
                NULLM_UNROLL for (std::size_t r = 0; r < rows; ++r) {
                    dot[r] = NULLM_ISA::nf4_start_of(x[r]);
                }
                NULLM_UNROLL for (std::size_t w = 0; w < 4; ++w) {
                    NULLM_ISA::dot_looked_up<Format>(load_words(codes + w * tile_rows * 4), table, x, w, dot);
                }
                NULLM_UNROLL for (std::size_t r = 0; r < rows; ++r) {
                    part[r] = fma(to_float(dot[r]), dot_splat(x[r].scale), part[r]);
                }
                if (Format::copies == 1 || g % Format::copies == Format::copies - 1) x += job.x_stride;
            }
            const dot_floats scale = load_scales(reinterpret_cast<const float*>(run) + lane);
            NULLM_UNROLL for (std::size_t r = 0; r < rows; ++r) sum[r] = fma(part[r], scale, sum[r]);
        }
        const dot_floats unit = dot_splat(1.0F / nf4_integers<Code>::scale);
        NULLM_UNROLL for (std::size_t r = 0; r < rows; ++r) {
            store_first(job.y + r * job.y_stride + lane, mul(sum[r], unit),
                        std::min(dot_lanes, job.lanes - lane));
        }
    }
}

template <class Format, class Code, std::size_t... i>
inline void multiply_nf4_count(const tile_job<activation_block<Code>>& job, std::size_t rows,
                               std::index_sequence<i...>) {
    ((rows == i + 1 ? multiply_nf4_rows<Format, Code, i + 1>(job) : void()), ...);
}

/// As multiply_nf4_rows for 1 to panel_rows rows, as many at once as the registers hold.
template <class Format, class Code>
void multiply_nf4_tile(tile_job<activation_block<Code>> job, std::size_t rows) {
    for (; rows > dot_rows; rows -= dot_rows) {
        multiply_nf4_rows<Format, Code, dot_rows>(job);
        job.x += dot_rows;
        job.y += dot_rows * job.y_stride;
    }
    NULLM_ISA::multiply_nf4_count<Format>(job, rows, std::make_index_sequence<dot_rows>{});
}

}  // namespace nullm::inline NULLM_ABI::NULLM_ISA
