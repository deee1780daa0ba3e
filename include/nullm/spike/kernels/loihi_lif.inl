// One step of Loihi's integer neurons over 16 lanes; included once per instruction set (foreach_isa.hpp).
// Comparisons are made in float: whole numbers up to 2^24 are exact there, and rounding the larger ones keeps
// them on their side of the bounds, which are at most 2^23.

namespace nullm::inline NULLM_ABI::NULLM_ISA {

/// a where the mask is set, b elsewhere.
[[gnu::always_inline]] inline i32x16 loihi_select(mask16 m, i32x16 a, i32x16 b) {
    return bits_to_int(select(m, bits_to_float(a), bits_to_float(b)));
}

/// x * kept / 4096 toward zero, |x| <= 2^23, 0 <= kept <= 4096: on the magnitude, whose product has 35 bits.
[[gnu::always_inline]] inline i32x16 loihi_decay(i32x16 x, i32x16 kept) {
    const i32x16 minus_one = splat(-1);
    const i32x16 negative = shift_right_logical<31>(x);                // 0 or 1
    const i32x16 sign = bit_xor(add(negative, minus_one), minus_one);  // 0 or -1
    const i32x16 magnitude = add(bit_xor(x, sign), negative);
    const i32x16 quotient =
        bit_xor(shift_left<20>(mul_high(magnitude, kept)), shift_right_logical<12>(mul_low(magnitude, kept)));
    return add(bit_xor(quotient, sign), negative);
}

/// Sixteen neurons; their spikes.
[[gnu::always_inline]] inline mask16 loihi_block(const loihi_call& call, std::int32_t* current,
                                                 std::int32_t* membrane, i32x16 a) {
    constexpr std::int32_t top = 1 << 23;
    const f32x16 high = splat(static_cast<float>(top));
    const f32x16 low = splat(static_cast<float>(1 - top));
    i32x16 u = add(loihi_decay(load(current), splat(call.current_kept)), shift_left<6>(a));
    const f32x16 reached = to_float(u);
    const mask16 above = greater(reached, high);
    const mask16 below = greater(low, reached);
    u = loihi_select(above, add(u, splat(-2 * top)), loihi_select(below, add(u, splat(2 * top)), u));
    const i32x16 v = add(add(loihi_decay(load(membrane), splat(call.membrane_kept)), u), splat(call.bias));
    const f32x16 clamped = min(max(to_float(v), low), splat(static_cast<float>(top - 1)));
    const mask16 spiked = greater(clamped, splat(call.threshold));
    store(current, u);
    store(membrane, loihi_select(spiked, splat(0), round_to_int(clamped)));
    return spiked;
}

[[gnu::always_inline]] inline i32x16 loihi_input(const std::int32_t* a, float) {
    return load(a);
}
[[gnu::always_inline]] inline i32x16 loihi_input(const float* x, float unit) {
    return round_to_int(mul(load(x), splat(unit)));
}

/// Sets the bits of call.words, which are zero before.
template <class Input>
void loihi_step(const loihi_call& call, const Input* input) {
    std::size_t i = 0;
    for (; i + 16 <= call.n; i += 16) {
        const mask16 m =
            loihi_block(call, call.current + i, call.membrane + i, loihi_input(input + i, call.unit));
        call.words[i / 64] |= std::uint64_t{m} << (i % 64);
    }
    if (i == call.n) return;
    const std::size_t count = call.n - i;
    std::int32_t current[16] = {};
    std::int32_t membrane[16] = {};
    Input rest[16] = {};
    std::copy_n(call.current + i, count, current);
    std::copy_n(call.membrane + i, count, membrane);
    std::copy_n(input + i, count, rest);
    const mask16 m = loihi_block(call, current, membrane, loihi_input(rest, call.unit));
    call.words[i / 64] |= std::uint64_t{m & ((1U << count) - 1U)} << (i % 64);
    std::copy_n(current, count, call.current + i);
    std::copy_n(membrane, count, call.membrane + i);
}

}  // namespace nullm::inline NULLM_ABI::NULLM_ISA
