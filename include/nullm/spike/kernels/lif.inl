// One step of LIF neurons over 16 lanes; included once per instruction set (foreach_isa.hpp). The order of
// operations is that of lif.hpp; products by 0 and 1 are really taken, since 0 * inf and the sign of zero are
// part of the rule. What a block calls is inlined by force: lanes passed through memory cost more than the
// step.

namespace nullm::inline NULLM_ABI::NULLM_ISA {

template <bool partial>
[[gnu::always_inline]] inline f32x16 lif_load(const float* p, std::size_t count) {
    if constexpr (partial) {
        return load_partial(p, count);
    } else {
        return load(p);
    }
}

template <bool partial>
[[gnu::always_inline]] inline void lif_store(float* p, f32x16 a, std::size_t count) {
    if constexpr (partial) {
        store_partial(p, a, count);
    } else {
        store(p, a);
    }
}

template <bool partial>
[[gnu::always_inline]] inline f32x16 lif_threshold(const lif_call& call, std::size_t i, std::size_t count) {
    return call.threshold_per_neuron ? lif_load<partial>(call.threshold + i, count) : splat(*call.threshold);
}

/// Lanes below count. Lanes from it on hold zeros, which may lie above a negative threshold.
template <bool partial>
[[gnu::always_inline]] inline mask16 lif_valid(mask16 m, std::size_t count) {
    return partial ? static_cast<mask16>(m & ((1U << count) - 1U)) : m;
}

struct lif_membrane {
    f32x16 m;
    f32x16 flag;  // r: 1 where the membrane before the step was above threshold, else 0
};

/// The step up to the spike test.
template <reset Reset, bool partial>
[[gnu::always_inline]] inline lif_membrane lif_charge(const lif_call& call, f32x16 threshold, std::size_t i,
                                                      std::size_t count) {
    const f32x16 one = splat(1.0F);
    f32x16 beta = call.beta_per_neuron ? lif_load<partial>(call.beta + i, count) : splat(*call.beta);
    beta = min(max(beta, zeros()), one);
    f32x16 m = lif_load<partial>(call.membrane + i, count);
    const f32x16 flag = select_or_zero(greater(m, threshold), one);
    if constexpr (Reset == reset::zero) m = mul(sub(one, flag), m);
    m = add(mul(beta, m), lif_load<partial>(call.input + i, count));
    if constexpr (Reset == reset::subtract) m = sub(m, mul(flag, threshold));
    return {m, flag};
}

/// The reset that `immediate` applies behind the spike test.
template <reset Reset>
[[gnu::always_inline]] inline f32x16 lif_discharge(f32x16 m, f32x16 spikes, f32x16 flag, f32x16 threshold,
                                                   float graded) {
    const f32x16 d = sub(div(spikes, splat(graded)), flag);
    if constexpr (Reset == reset::subtract) return sub(m, mul(d, threshold));
    if constexpr (Reset == reset::zero) return sub(m, mul(d, m));
    return m;
}

template <reset Reset, timing Timing, bool partial>
[[gnu::always_inline]] inline void lif_block(const lif_call& call, std::size_t i, std::size_t count) {
    const f32x16 threshold = lif_threshold<partial>(call, i, count);
    auto [m, flag] = lif_charge<Reset, partial>(call, threshold, i, count);
    const mask16 fired = greater(m, threshold);
    const f32x16 spikes = select_or_zero(fired, splat(call.spike_value));
    if constexpr (Timing == timing::immediate)
        m = lif_discharge<Reset>(m, spikes, flag, threshold, call.graded);
    lif_store<partial>(call.membrane + i, m, count);
    if (call.words != nullptr) {
        call.words[i / 64] |= std::uint64_t{lif_valid<partial>(fired, count)} << (i % 64);
    } else {
        lif_store<partial>(call.spikes + i, spikes, count);
    }
}

template <reset Reset, timing Timing>
void lif_step(const lif_call& call) {
    std::size_t i = 0;
    for (; i + 16 <= call.n; i += 16) lif_block<Reset, Timing, false>(call, i, 16);
    if (i < call.n) lif_block<Reset, Timing, true>(call, i, call.n - i);
}

/// First pass with inhibition: membranes up to the spike test, and the flags r as bits.
template <reset Reset, bool partial>
[[gnu::always_inline]] inline void lif_integrate_block(const lif_call& call, std::size_t i,
                                                       std::size_t count) {
    const f32x16 threshold = lif_threshold<partial>(call, i, count);
    const auto [m, flag] = lif_charge<Reset, partial>(call, threshold, i, count);
    lif_store<partial>(call.membrane + i, m, count);
    const mask16 flags = lif_valid<partial>(greater(flag, zeros()), count);
    call.words[i / 64] |= std::uint64_t{flags} << (i % 64);
}

template <reset Reset>
void lif_integrate(const lif_call& call) {
    std::size_t i = 0;
    for (; i + 16 <= call.n; i += 16) lif_integrate_block<Reset, false>(call, i, 16);
    if (i < call.n) lif_integrate_block<Reset, true>(call, i, call.n - i);
}

/// Second pass: `winner` alone spikes (none if it is n), and the flags in words become spikes.
template <reset Reset, timing Timing, bool partial>
[[gnu::always_inline]] inline void lif_finish_block(const lif_call& call, std::size_t winner, std::size_t i,
                                                    std::size_t count) {
    std::uint64_t& word = call.words[i / 64];
    const f32x16 one = splat(1.0F);
    const f32x16 flag = select_or_zero(static_cast<mask16>(word >> (i % 64)), one);
    const auto fired = static_cast<mask16>(winner >= i && winner < i + count ? 1U << (winner - i) : 0U);
    const f32x16 m =
        lif_discharge<Reset>(lif_load<partial>(call.membrane + i, count), select_or_zero(fired, one), flag,
                             lif_threshold<partial>(call, i, count), call.graded);
    lif_store<partial>(call.membrane + i, m, count);
    word = (word & ~(std::uint64_t{0xFFFF} << (i % 64))) | (std::uint64_t{fired} << (i % 64));
}

template <reset Reset, timing Timing>
void lif_finish(const lif_call& call, std::size_t winner) {
    if constexpr (Timing == timing::immediate) {
        std::size_t i = 0;
        for (; i + 16 <= call.n; i += 16) lif_finish_block<Reset, Timing, false>(call, winner, i, 16);
        if (i < call.n) lif_finish_block<Reset, Timing, true>(call, winner, i, call.n - i);
    }
}

}  // namespace nullm::inline NULLM_ABI::NULLM_ISA
