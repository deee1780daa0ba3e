#pragma once
// What the multiplying kernels ask of an instruction set, in plain C++: the twin that defines the results.
//
// A kernel works on `dot_lanes` output rows at a time, held in `dot_floats` and `dot_ints`: sixteen here and
// with AVX-512, eight with AVX2, which has half the registers.

#include <nullm/core/simd/lanes_scalar.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace nullm::inline NULLM_ABI::scalar {

using dot_floats = f32x16;
using dot_ints = i32x16;
inline constexpr std::size_t dot_lanes = 16;
/// Most rows of activations a kernel keeps in registers: with integer, and with float arithmetic (four chains
/// a row).
inline constexpr std::size_t dot_rows = 1;
inline constexpr std::size_t float_rows = 1;

inline dot_floats dot_zeros() {
    return zeros();
}
inline dot_floats dot_splat(float x) {
    return splat(x);
}
inline dot_ints dot_splat(std::int32_t x) {
    return splat(x);
}

/// One u32 word of each row.
inline dot_ints load_words(const std::byte* p) {
    dot_ints r;
    std::memcpy(r.lane, p, sizeof(r.lane));
    return r;
}
/// One f16, bf16 or float of each row.
inline dot_floats load_scales(const f16* p) {
    return load(p);
}
inline dot_floats load_scales(const bf16* p) {
    return load(p);
}
inline dot_floats load_scales(const float* p) {
    return load(p);
}

/// sum + the products of each lane's four bytes (unsigned, at most max_code) with x[0..3].
template <int max_code>
inline dot_ints dot4(dot_ints sum, dot_ints codes, const std::int8_t* x) {
    NULLM_ROLL for (int l = 0; l < 16; ++l) {
        const auto c = static_cast<std::uint32_t>(codes.lane[l]);
        sum.lane[l] +=
            static_cast<std::int32_t>(c & 255U) * x[0] + static_cast<std::int32_t>((c >> 8) & 255U) * x[1] +
            static_cast<std::int32_t>((c >> 16) & 255U) * x[2] + static_cast<std::int32_t>(c >> 24) * x[3];
    }
    return sum;
}
/// sum + the products of each lane's two signed 16-bit halves with x[0..1].
inline dot_ints dot2(dot_ints sum, dot_ints codes, const std::int16_t* x) {
    NULLM_ROLL for (int l = 0; l < 16; ++l) {
        const auto c = static_cast<std::uint32_t>(codes.lane[l]);
        sum.lane[l] +=
            static_cast<std::int16_t>(c & 0xFFFFU) * x[0] + static_cast<std::int16_t>(c >> 16) * x[1];
    }
    return sum;
}

/// Sixteen floats to look up by the low four bits of each lane: the codebook of a nibble format.
struct table16 {
    float entry[16];
};
inline table16 make_table(const float* entries) {
    table16 t;
    std::memcpy(t.entry, entries, sizeof(t.entry));
    return t;
}
inline dot_floats lookup(const table16& table, dot_ints index) {
    dot_floats r;
    NULLM_ROLL for (int l = 0; l < 16; ++l) r.lane[l] = table.entry[index.lane[l] & 15];
    return r;
}
/// Byte `byte` of each lane, minus 128, as a float.
template <int byte>
inline dot_floats centred_byte(dot_ints word) {
    dot_floats r;
    NULLM_ROLL for (int l = 0; l < 16; ++l) {
        r.lane[l] = static_cast<float>(((word.lane[l] >> (8 * byte)) & 255) - 128);
    }
    return r;
}

/// The first n (at most dot_lanes) lanes to p.
inline void store_first(float* p, dot_floats a, std::size_t n) {
    store_partial(p, a, n);
}

/// Sixteen 8-bit codes in order, or 16-bit codes in the order 0,2,1,3 of every four (tile_layout.hpp).
inline void store_codes(std::int8_t* p, i32x16 codes) {
    NULLM_ROLL for (int l = 0; l < 16; ++l) p[l] = static_cast<std::int8_t>(codes.lane[l]);
}
inline void store_codes(std::int16_t* p, i32x16 codes) {
    constexpr int order[] = {0, 2, 1, 3};
    NULLM_ROLL for (int l = 0; l < 16; ++l) p[l] = static_cast<std::int16_t>(codes.lane[l / 4 * 4 + order[l % 4]]);
}

/// n + 1 in the lanes where a <= b does not hold (NaN included), n in the others.
inline i32x16 count_not_at_most(i32x16 n, f32x16 a, f32x16 b) {
    NULLM_ROLL for (int l = 0; l < 16; ++l) n.lane[l] += a.lane[l] <= b.lane[l] ? 0 : 1;
    return n;
}

/// An integer for each code of a codebook, 16 bits wide, and 8 bits wide and unsigned.
struct codes16 {
    std::int16_t entry[16];
};
inline codes16 make_codes(const std::int16_t* entries) {
    codes16 t;
    std::memcpy(t.entry, entries, sizeof(t.entry));
    return t;
}
struct codes8 {
    std::uint8_t entry[16];
};
inline codes8 make_codes(const std::uint8_t* entries) {
    codes8 t;
    std::memcpy(t.entry, entries, sizeof(t.entry));
    return t;
}
/// Of the four low (high = 0) or high (high = 1) nibbles of each lane's bytes: the integers of bytes 0 and 2
/// as the 16-bit halves of `even`, those of bytes 1 and 3 as the halves of `odd`.
template <int high>
void lookup_pairs(const codes16& table, dot_ints word, dot_ints& even, dot_ints& odd) {
    NULLM_ROLL for (int l = 0; l < 16; ++l) {
        const std::uint32_t nibbles = static_cast<std::uint32_t>(word.lane[l]) >> (4 * high);
        const auto at = [&](int byte) {
            return std::uint32_t{static_cast<std::uint16_t>(table.entry[(nibbles >> (8 * byte)) & 15U])};
        };
        even.lane[l] = static_cast<std::int32_t>(at(0) | at(2) << 16);
        odd.lane[l] = static_cast<std::int32_t>(at(1) | at(3) << 16);
    }
}
/// Each byte, 0 to 15, looked up.
inline dot_ints lookup_bytes(const codes8& table, dot_ints nibbles) {
    NULLM_ROLL for (int l = 0; l < 16; ++l) {
        const auto n = static_cast<std::uint32_t>(nibbles.lane[l]);
        std::uint32_t found = 0;
        for (int byte = 0; byte < 4; ++byte) {
            found |= std::uint32_t{table.entry[(n >> (8 * byte)) & 15U]} << (8 * byte);
        }
        nibbles.lane[l] = static_cast<std::int32_t>(found);
    }
    return nibbles;
}

}  // namespace nullm::inline NULLM_ABI::scalar
