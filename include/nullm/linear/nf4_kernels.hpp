#pragma once
// Multiplies one tile of NF4 weights with one panel of activations, on the instruction set asked for.

#include <nullm/linear/kernels.hpp>
#include <nullm/linear/nf4_layout.hpp>
#include <nullm/linear/nf4_tables.hpp>

#define NULLM_KERNELS <nullm/linear/nf4_integer_kernels.inl>
#include <nullm/core/simd/foreach_isa.hpp>

#define NULLM_KERNELS <nullm/linear/nf4_float_kernels.inl>
#include <nullm/core/simd/foreach_isa.hpp>

#define NULLM_KERNELS <nullm/linear/nf4_integer_kernels.inl>
#include <nullm/core/simd/for_vnni.hpp>

namespace nullm::inline NULLM_ABI {

/// The kernel of an nf4_format with activations in blocks of type Block: activation_block or float_block.
template <class Format, class Block>
struct nf4_kernel;

template <class Format, class Code>
struct nf4_kernel<Format, activation_block<Code>> {
    static tile_kernel<activation_block<Code>> on(isa level) {
#if defined(__x86_64__)
        if (level == isa::vnni) return vnni::multiply_nf4_tile<Format, Code>;
        if (level == isa::avx512) return avx512::multiply_nf4_tile<Format, Code>;
        if (level == isa::avx2) return avx2::multiply_nf4_tile<Format, Code>;
#endif
        return scalar::multiply_nf4_tile<Format, Code>;
    }
};

template <class Format>
struct nf4_kernel<Format, float_block> {
    static tile_kernel<float_block> on(isa level) {
#if defined(__x86_64__)
        if (level >= isa::avx512) return avx512::multiply_nf4_float_tile<Format>;
        if (level == isa::avx2) return avx2::multiply_nf4_float_tile<Format>;
#endif
        return scalar::multiply_nf4_float_tile<Format>;
    }
};

/// Gives a part of a stack whose rows are `cols` long, in blocks of `Block`, its tiles' size and their kernel.
template <std::size_t Block, class Part>
void choose_nf4_kernel(Part& part, std::size_t cols, isa level) {
    const auto choose = [&]<class Format>(Format) {
        if constexpr (std::is_same_v<typename Part::block, float_block>) {
            part.by_floats = nf4_kernel<Format, float_block>::on(level);
        } else {
            part.by_codes = nf4_kernel<Format, typename Part::block>::on(level);
        }
    };
    part.stride = nf4_tile_bytes<Block>(cols);
    part.groups = nf4_runs<Block>(cols);
    switch (nf4_rows_of<Block>(cols)) {
        case nf4_rows::whole_blocks:
            return choose(nf4_whole<Block>{});
        case nf4_rows::whole_pieces:
            return choose(nf4_piece{});
        case nf4_rows::split_pieces:
            return choose(nf4_split{});
    }
}

}  // namespace nullm::inline NULLM_ABI
