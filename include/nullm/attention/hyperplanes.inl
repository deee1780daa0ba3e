// Signs of projections; included once per instruction set (foreach_isa.hpp).

namespace nullm::inline NULLM_ABI::NULLM_ISA {

/// Bits b .. b + at_once - 1 of `vectors` vectors' codes in 16 tables, added to code. Each projection is one
/// fma chain over the vector's elements, ascending.
template <int vectors, int at_once>
void add_code_bits(const bf16* planes, std::size_t size, const float* const* x, std::size_t b, i32x16* code) {
    f32x16 sum[vectors][at_once];
    for (int v = 0; v < vectors; ++v) {
        for (int i = 0; i < at_once; ++i) sum[v][i] = zeros();
    }
    planes += b * size * 16;
    for (std::size_t d = 0; d < size; ++d) {
        f32x16 w[at_once];
        for (int i = 0; i < at_once; ++i) w[i] = load(planes + (static_cast<std::size_t>(i) * size + d) * 16);
        for (int v = 0; v < vectors; ++v) {
            const f32x16 e = splat(x[v][d]);
            for (int i = 0; i < at_once; ++i) sum[v][i] = fma(e, w[i], sum[v][i]);
        }
    }
    for (int v = 0; v < vectors; ++v) {
        for (int i = 0; i < at_once; ++i) {
            const f32x16 bit = bits_to_float(splat(std::int32_t{1} << (b + static_cast<std::size_t>(i))));
            code[v] = add(code[v], bits_to_int(select_or_zero(greater(sum[v][i], zeros()), bit)));
        }
    }
}

/// The codes of `vectors` vectors in 16 tables, whose planes are [bits][size][16].
template <int vectors>
void hash_block(const bf16* planes, std::size_t bits, std::size_t size, const float* const* x,
                std::uint16_t* const* codes) {
    i32x16 code[vectors];
    for (int v = 0; v < vectors; ++v) code[v] = splat(std::int32_t{0});
    std::size_t b = 0;
    for (; b + hash_bits <= bits; b += hash_bits) add_code_bits<vectors, hash_bits>(planes, size, x, b, code);
    for (; b < bits; ++b) add_code_bits<vectors, 1>(planes, size, x, b, code);
    for (int v = 0; v < vectors; ++v) {
        std::int32_t lane[16];
        store(lane, code[v]);
        for (int l = 0; l < 16; ++l) codes[v][l] = static_cast<std::uint16_t>(lane[l]);
    }
}

/// codes[v * code_stride + t] of `count` vectors at x + v * stride, for `blocks` x 16 tables.
inline void hash_vectors(const bf16* planes, std::size_t blocks, std::size_t bits, std::size_t size,
                         const float* x, std::size_t stride, std::size_t count, std::uint16_t* codes,
                         std::size_t code_stride) {
    for (std::size_t block = 0; block < blocks; ++block) {
        const bf16* block_planes = planes + block * bits * size * 16;
        for (std::size_t first = 0; first < count; first += 4) {
            const float* from[4];
            std::uint16_t* to[4];
            for (std::size_t v = 0; v < 4 && first + v < count; ++v) {
                from[v] = x + (first + v) * stride;
                to[v] = codes + (first + v) * code_stride + block * 16;
            }
            switch (count - first) {
                case 1:
                    hash_block<1>(block_planes, bits, size, from, to);
                    break;
                case 2:
                    hash_block<2>(block_planes, bits, size, from, to);
                    break;
                case 3:
                    hash_block<3>(block_planes, bits, size, from, to);
                    break;
                default:
                    hash_block<4>(block_planes, bits, size, from, to);
            }
        }
    }
}

}  // namespace nullm::inline NULLM_ABI::NULLM_ISA
