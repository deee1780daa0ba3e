// Tiles of NF4 times float activations; included once per instruction set (foreach_isa.hpp). Weights become
// the floats bitsandbytes decodes; chains and their order are those of float_kernels.inl. Where pieces are
// stored twice (nf4_layout.hpp) an element's other copy adds zero, which changes no bit of a finite sum.

namespace nullm::inline NULLM_ABI::NULLM_ISA {

template <class Format, std::size_t rows>
void multiply_nf4_float_rows(const tile_job<float_block>& job) {
    const table16 codebook = make_table(nf4_codebook.data());
    for (std::size_t lane = 0; lane < job.lanes; lane += dot_lanes) {
        dot_floats sum[rows][4];
        clear_chains(sum);
        const std::byte* run = job.tile;
        const float_block* x = job.x;
        for (std::size_t g = 0; g < job.groups; ++g, run += Format::run_bytes) {
            const dot_floats scale = load_scales(reinterpret_cast<const float*>(run) + lane);
            const std::byte* codes = run + (tile_rows + lane) * 4;
            for (std::size_t piece = 0; piece < Format::pieces; ++piece, codes += 4 * tile_rows * 4) {
                for (std::size_t w = 0; w < 4; ++w) {
                    chain_word<Format>(load_words(codes + w * tile_rows * 4), codebook, scale, scale,
                                       x->values + w * 8, sum, std::make_index_sequence<8>{});
                }
                if (Format::copies == 1 || g % Format::copies == Format::copies - 1) x += job.x_stride;
            }
        }
        store_chains(job, lane, sum);
    }
}

template <class Format, std::size_t... i>
inline void multiply_nf4_float_count(const tile_job<float_block>& job, std::size_t rows,
                                     std::index_sequence<i...>) {
    ((rows == i + 1 ? multiply_nf4_float_rows<Format, i + 1>(job) : void()), ...);
}

template <class Format>
void multiply_nf4_float_tile(tile_job<float_block> job, std::size_t rows) {
    for (; rows > float_rows; rows -= float_rows) {
        multiply_nf4_float_rows<Format, float_rows>(job);
        job.x += float_rows;
        job.y += float_rows * job.y_stride;
    }
    multiply_nf4_float_count<Format>(job, rows, std::make_index_sequence<float_rows>{});
}

}  // namespace nullm::inline NULLM_ABI::NULLM_ISA
