// Elementary functions over 16 lanes; included once per instruction set (foreach_isa.hpp). Only explicit fma and
// rounded products, so every instruction set gives the same bits.

namespace nullm::inline NULLM_ABI::NULLM_ISA {

/// e^x for -87.3 <= x <= 88 within 1 ulp; 0 below; e^88 above (so 1 / (1 + e^x) stays finite). NaN is not handled.
/// x = n ln 2 + r with |r| <= ln 2 / 2 (ln 2 split in two, Cody and Waite 1980), then the Taylor sum to r^7.
[[gnu::always_inline]] inline f32x16 exp(f32x16 x) {
    const f32x16 lowest = splat(-87.3F);
    const mask16 alive = greater(x, lowest);
    x = min(max(x, lowest), splat(88.0F));
    const i32x16 n = round_to_int(mul(x, splat(1.44269504F)));
    const f32x16 nf = to_float(n);
    f32x16 r = fma(nf, splat(-0.693359375F), x);
    r = fma(nf, splat(2.12194440e-4F), r);
    f32x16 p = splat(1.0F / 5040.0F);
    p = fma(p, r, splat(1.0F / 720.0F));
    p = fma(p, r, splat(1.0F / 120.0F));
    p = fma(p, r, splat(1.0F / 24.0F));
    p = fma(p, r, splat(1.0F / 6.0F));
    p = fma(p, r, splat(0.5F));
    p = fma(p, r, splat(1.0F));
    p = fma(p, r, splat(1.0F));
    const f32x16 power = bits_to_float(shift_left<23>(add(n, splat(std::int32_t{127}))));
    return select_or_zero(alive, mul(p, power));
}

}  // namespace nullm::inline NULLM_ABI::NULLM_ISA
