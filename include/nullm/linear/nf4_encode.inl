// Whole blocks of floats to NF4; included once per instruction set (foreach_isa.hpp). All give the same bits.

namespace nullm::inline NULLM_ABI::NULLM_ISA {

/// `blocks` blocks of `block` floats (a multiple of 16) to two codes a byte, the first in the high half, and
/// a scale each.
inline void encode_nf4_blocks(const float* w, std::size_t blocks, std::size_t block, std::byte* packed,
                              float* absmax) {
    for (std::size_t b = 0; b < blocks; ++b, w += block) {
        f32x16 largest = zeros();
        unsigned numbers = 0xFFFFU;  // lanes that saw no NaN, which max() would lose
        for (std::size_t i = 0; i < block; i += 16) {
            const f32x16 magnitude = abs(load(w + i));
            largest = max(largest, magnitude);
            numbers &= greater(magnitude, splat(-1.0F));
        }
        absmax[b] = numbers == 0xFFFFU ? reduce_max(largest) : __builtin_nanf("");
        const f32x16 inverse = splat(nf4_inverse(absmax[b]));
        for (std::size_t i = 0; i < block; i += 16, packed += 8) {
            // bitsandbytes clamps s to [-1, 1] first; all boundaries lie inside, so that changes no code.
            const f32x16 s = mul(load(w + i), inverse);
            i32x16 code = splat(std::int32_t{0});
            for (const float boundary : nf4_boundaries) code = count_not_at_most(code, s, splat(boundary));
            std::int8_t codes[16];
            store_codes(codes, code);
            for (std::size_t j = 0; j < 8; ++j) {
                packed[j] = static_cast<std::byte>(codes[2 * j] << 4 | codes[2 * j + 1]);
            }
        }
    }
}

}  // namespace nullm::inline NULLM_ABI::NULLM_ISA
