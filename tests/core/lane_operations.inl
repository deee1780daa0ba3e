// Every lane operation once, on the same inputs: what the instruction sets must agree on. See simd.cpp.

namespace nullm::inline NULLM_ABI::NULLM_ISA {

/// Appends the results of all operations on a[0..16), b[0..16), c[0..16) to out.
inline void all_float_operations(const float* a, const float* b, const float* c, std::vector<float>& out) {
    const auto put = [&out](f32x16 x) {
        float lanes[16];
        store(lanes, x);
        out.insert(out.end(), lanes, lanes + 16);
    };
    const f32x16 x = load(a);
    const f32x16 y = load(b);
    const f32x16 z = load(c);
    put(add(x, y));
    put(sub(x, y));
    put(mul(x, y));
    put(add(mul(x, y), z));  // two roundings: a contracted build would show here
    put(fma(x, y, z));
    put(div(x, y));
    put(max(x, y));
    put(min(x, y));
    put(abs(x));
    put(select(greater(x, y), z, y));
    put(select_or_zero(greater(x, y), z));
    put(exp(x));
    put(swap_lanes<1>(x));
    put(swap_lanes<2>(x));
    put(swap_lanes<4>(x));
    put(swap_lanes<8>(x));
    put(splat(reduce_add(x)));
    put(splat(reduce_max(x)));
    f32x16 many[16];
    for (int i = 0; i < 16; ++i) many[i] = fma(x, splat(static_cast<float>(i) - 7.5F), i % 3 == 0 ? y : z);
    put(reduce_add_each(many));
    for (int i = 0; i < 16; ++i) put(splat(reduce_add(many[i])));
    put(to_float(round_to_int(mul(x, splat(8.0F)))));
    for (std::size_t n = 0; n <= 16; ++n) {
        put(load_partial(a, n));
        float lanes[16] = {};
        store_partial(lanes, y, n);
        put(load(lanes));
    }
    f16 half[16];
    store(half, x);
    put(load(half));
    bf16 brain[16];
    store(brain, x);
    put(load(brain));
}

inline void all_integer_operations(const std::int32_t* a, const std::int32_t* b, std::vector<std::int32_t>& out) {
    const auto put = [&out](i32x16 x) {
        std::int32_t lanes[16];
        store(lanes, x);
        out.insert(out.end(), lanes, lanes + 16);
    };
    const i32x16 x = load(a);
    const i32x16 y = load(b);
    put(add(x, y));
    put(max(x, y));
    i32x16 many[16];
    for (int i = 0; i < 16; ++i) many[i] = mul_low(add(x, splat(i)), bit_xor(y, splat(std::int32_t{i * i * 7919})));
    put(reduce_max_each(many));
    put(reduce_add_each(many));
    put(bit_xor(x, y));
    put(bit_and(x, y));
    put(shift_left<5>(x));
    put(shift_right_logical<9>(x));
    put(mul_low(x, y));
    put(mul_high(x, y));
    put(iota());
    put(bits_to_int(bits_to_float(x)));
}

/// All 2^16 patterns of both 16-bit formats, widened; then narrowed back.
inline void widen(const f16* from, float* to) { store(to, load(from)); }
inline void widen(const bf16* from, float* to) { store(to, load(from)); }
inline void narrow(const float* from, f16* to) { store(to, load(from)); }
inline void narrow(const float* from, bf16* to) { store(to, load(from)); }

}  // namespace nullm::inline NULLM_ABI::NULLM_ISA
