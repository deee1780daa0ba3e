#pragma once
// Sixteen lanes in plain C++: the twin that defines what the vector versions compute, bit for bit.

#include <nullm/core/half.hpp>
#include <nullm/core/simd/target.hpp>

#include <bit>
#include <cmath>
#include <cstdint>

namespace nullm::inline NULLM_ABI::scalar {

/// Keeps a product from being contracted with a following sum, whatever -ffp-contract says: the compiler has to
/// materialise the rounded value.
inline float rounded(float x) {
#if defined(__x86_64__)
    asm("" : "+x"(x));
#elif defined(__aarch64__)
    asm("" : "+w"(x));
#else
    asm("" : "+m"(x));
#endif
    return x;
}

/// Which of the 16 lanes are true, lane 0 in the lowest bit.
using mask16 = std::uint16_t;

struct f32x16 {
    float lane[16];
};
struct i32x16 {
    std::int32_t lane[16];
};

#define NULLM_LANES NULLM_ROLL for (int l = 0; l < 16; ++l)

inline f32x16 splat(float x) { f32x16 r; NULLM_LANES r.lane[l] = x; return r; }
inline f32x16 zeros() { return splat(0.0F); }
inline f32x16 load(const float* p) { f32x16 r; NULLM_LANES r.lane[l] = p[l]; return r; }
inline f32x16 load(const f16* p) { f32x16 r; NULLM_LANES r.lane[l] = to_float(p[l]); return r; }
inline f32x16 load(const bf16* p) { f32x16 r; NULLM_LANES r.lane[l] = to_float(p[l]); return r; }
inline void store(float* p, f32x16 a) { NULLM_LANES p[l] = a.lane[l]; }
inline void store(f16* p, f32x16 a) { NULLM_LANES p[l] = to_f16(a.lane[l]); }
inline void store(bf16* p, f32x16 a) { NULLM_LANES p[l] = to_bf16(a.lane[l]); }
/// The first n lanes from p, the others zero; n in [0, 16].
inline f32x16 load_partial(const float* p, std::size_t n) {
    f32x16 r;
    NULLM_ROLL for (std::size_t l = 0; l < 16; ++l) r.lane[l] = l < n ? p[l] : 0.0F;
    return r;
}
inline void store_partial(float* p, f32x16 a, std::size_t n) {
    for (std::size_t l = 0; l < n; ++l) p[l] = a.lane[l];
}

inline f32x16 add(f32x16 a, f32x16 b) { NULLM_LANES a.lane[l] = a.lane[l] + b.lane[l]; return a; }
inline f32x16 sub(f32x16 a, f32x16 b) { NULLM_LANES a.lane[l] = a.lane[l] - b.lane[l]; return a; }
/// A product that is rounded before anything else happens to it (never fused with a later sum).
inline f32x16 mul(f32x16 a, f32x16 b) { NULLM_LANES a.lane[l] = rounded(a.lane[l] * b.lane[l]); return a; }
inline f32x16 div(f32x16 a, f32x16 b) { NULLM_LANES a.lane[l] = a.lane[l] / b.lane[l]; return a; }
/// a * b + c with one rounding.
inline f32x16 fma(f32x16 a, f32x16 b, f32x16 c) {
    NULLM_LANES c.lane[l] = __builtin_fmaf(a.lane[l], b.lane[l], c.lane[l]);
    return c;
}
/// As vmaxps: b where either is NaN, or both are zero.
inline f32x16 max(f32x16 a, f32x16 b) { NULLM_LANES a.lane[l] = a.lane[l] > b.lane[l] ? a.lane[l] : b.lane[l]; return a; }
inline f32x16 min(f32x16 a, f32x16 b) { NULLM_LANES a.lane[l] = a.lane[l] < b.lane[l] ? a.lane[l] : b.lane[l]; return a; }
inline f32x16 abs(f32x16 a) { NULLM_LANES a.lane[l] = std::fabs(a.lane[l]); return a; }

/// a > b, false where either is NaN.
inline mask16 greater(f32x16 a, f32x16 b) {
    unsigned m = 0;
    NULLM_LANES m |= static_cast<unsigned>(a.lane[l] > b.lane[l]) << l;
    return static_cast<mask16>(m);
}
/// a where the mask is set, b elsewhere.
inline f32x16 select(mask16 m, f32x16 a, f32x16 b) { NULLM_LANES b.lane[l] = ((m >> l) & 1) != 0 ? a.lane[l] : b.lane[l]; return b; }
inline f32x16 select_or_zero(mask16 m, f32x16 a) { return select(m, a, zeros()); }
/// Lane l from lane l ^ distance, which is 1, 2, 4 or 8.
template <int distance>
inline f32x16 swap_lanes(f32x16 a) { f32x16 r; NULLM_LANES r.lane[l] = a.lane[l ^ distance]; return r; }

inline i32x16 splat(std::int32_t x) { i32x16 r; NULLM_LANES r.lane[l] = x; return r; }
inline i32x16 load(const std::int32_t* p) { i32x16 r; NULLM_LANES r.lane[l] = p[l]; return r; }
inline void store(std::int32_t* p, i32x16 a) { NULLM_LANES p[l] = a.lane[l]; }
/// Lane numbers 0..15.
inline i32x16 iota() { i32x16 r; NULLM_LANES r.lane[l] = l; return r; }
inline i32x16 add(i32x16 a, i32x16 b) {
    NULLM_LANES a.lane[l] = static_cast<std::int32_t>(static_cast<std::uint32_t>(a.lane[l]) + static_cast<std::uint32_t>(b.lane[l]));
    return a;
}
inline i32x16 max(i32x16 a, i32x16 b) { NULLM_LANES a.lane[l] = a.lane[l] > b.lane[l] ? a.lane[l] : b.lane[l]; return a; }
inline i32x16 bit_xor(i32x16 a, i32x16 b) { NULLM_LANES a.lane[l] ^= b.lane[l]; return a; }
inline i32x16 bit_and(i32x16 a, i32x16 b) { NULLM_LANES a.lane[l] &= b.lane[l]; return a; }
template <int n>
i32x16 shift_right_logical(i32x16 a) { NULLM_LANES a.lane[l] = static_cast<std::int32_t>(static_cast<std::uint32_t>(a.lane[l]) >> n); return a; }
template <int n>
i32x16 shift_left(i32x16 a) { NULLM_LANES a.lane[l] = static_cast<std::int32_t>(static_cast<std::uint32_t>(a.lane[l]) << n); return a; }
/// Lower and upper halves of the unsigned 32 x 32 bit products.
inline i32x16 mul_low(i32x16 a, i32x16 b) {
    NULLM_LANES a.lane[l] = static_cast<std::int32_t>(static_cast<std::uint32_t>(a.lane[l]) * static_cast<std::uint32_t>(b.lane[l]));
    return a;
}
inline i32x16 mul_high(i32x16 a, i32x16 b) {
    NULLM_LANES a.lane[l] = static_cast<std::int32_t>((std::uint64_t{static_cast<std::uint32_t>(a.lane[l])} * static_cast<std::uint32_t>(b.lane[l])) >> 32);
    return a;
}
/// Round to nearest, ties to even; |a| < 2^31.
inline i32x16 round_to_int(f32x16 a) { i32x16 r; NULLM_LANES r.lane[l] = static_cast<std::int32_t>(std::nearbyint(a.lane[l])); return r; }
inline f32x16 to_float(i32x16 a) { f32x16 r; NULLM_LANES r.lane[l] = static_cast<float>(a.lane[l]); return r; }
inline f32x16 bits_to_float(i32x16 a) { return std::bit_cast<f32x16>(a); }
inline i32x16 bits_to_int(f32x16 a) { return std::bit_cast<i32x16>(a); }

/// Sum of the lanes as the tree ((0+8)+(4+12)) ...: lanes i and i+8 first, then +4, +2, +1.
inline float reduce_add(f32x16 a) {
    for (int width = 8; width > 0; width /= 2) {
        for (int l = 0; l < width; ++l) a.lane[l] = a.lane[l] + a.lane[l + width];
    }
    return a.lane[0];
}
/// Largest lane, by the same tree of max(). No lane may be NaN.
inline float reduce_max(f32x16 a) {
    for (int width = 8; width > 0; width /= 2) {
        for (int l = 0; l < width; ++l) a.lane[l] = a.lane[l] > a.lane[l + width] ? a.lane[l] : a.lane[l + width];
    }
    return a.lane[0];
}
/// Lane i: reduce_add(a[i]).
inline f32x16 reduce_add_each(const f32x16 (&a)[16]) {
    f32x16 r;
    for (int i = 0; i < 16; ++i) r.lane[i] = reduce_add(a[i]);
    return r;
}
/// Lane i: the largest lane of a[i], or the sum of its lanes (modulo 2^32).
inline i32x16 reduce_max_each(const i32x16 (&a)[16]) {
    i32x16 r;
    for (int i = 0; i < 16; ++i) {
        r.lane[i] = a[i].lane[0];
        NULLM_LANES r.lane[i] = a[i].lane[l] > r.lane[i] ? a[i].lane[l] : r.lane[i];
    }
    return r;
}
inline i32x16 reduce_add_each(const i32x16 (&a)[16]) {
    i32x16 r;
    for (int i = 0; i < 16; ++i) {
        std::uint32_t sum = 0;
        NULLM_LANES sum += static_cast<std::uint32_t>(a[i].lane[l]);
        r.lane[i] = static_cast<std::int32_t>(sum);
    }
    return r;
}

#undef NULLM_LANES

}  // namespace nullm::inline NULLM_ABI::scalar
