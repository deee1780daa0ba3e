// One pass over a row of logits, sixteen at a time; included once per instruction set (foreach_isa.hpp). The sums
// are of doubles, lane by lane, so every instruction set gives the same bits.

namespace nullm::inline NULLM_ABI::NULLM_ISA {

/// The largest logit, and whether any is NaN (the largest is then of no use). A row may hold -inf.
inline row_peak peak(std::span<const float> logits) {
    const f32x16 bottom = splat(-std::numeric_limits<float>::infinity());
    f32x16 largest = bottom;
    unsigned doubtful = 0;  // NaN or -inf
    std::size_t i = 0;
    for (; i + 16 <= logits.size(); i += 16) {
        const f32x16 x = load(logits.data() + i);
        doubtful |= greater(x, bottom) ^ 0xFFFFU;
        largest = max(x, largest);
    }
    row_peak result{reduce_max(largest), false};
    if (doubtful != 0) {
        for (std::size_t j = 0; j < i; ++j) result.has_nan |= std::isnan(logits[j]);
    }
    for (const float x : logits.subspan(i)) {
        result.has_nan |= std::isnan(x);
        result.largest = x > result.largest ? x : result.largest;
    }
    return result;
}

/// Calls found(i) for every i, in order, with logits[i] > threshold.
template <class F>
void for_each_above(std::span<const float> logits, float threshold, F found) {
    const f32x16 bound = splat(threshold);
    std::size_t i = 0;
    for (; i + 16 <= logits.size(); i += 16) {
        unsigned mask = greater(load(logits.data() + i), bound);
        for (; mask != 0; mask &= mask - 1) found(i + static_cast<std::size_t>(std::countr_zero(mask)));
    }
    for (; i < logits.size(); ++i) {
        if (logits[i] > threshold) found(i);
    }
}

/// e^((logit - largest) / temperature) of up to 16 logits, zero in the lanes behind them.
inline void weights_of(const float* logits, std::size_t n, float largest, float temperature, float* weights) {
    const f32x16 x = div(sub(load_partial(logits, n), splat(largest)), splat(temperature));
    store(weights, exp(x));
    for (std::size_t l = n; l < 16; ++l) weights[l] = 0.0F;
}

/// Sum of those weights over the row: sixteen sums, of every sixteenth weight, then in order of the lanes.
inline double sum_of_weights(std::span<const float> logits, float largest, float temperature) {
    std::array<double, 16> sums{};
    for (std::size_t i = 0; i < logits.size(); i += 16) {
        std::array<float, 16> weights;
        weights_of(logits.data() + i, std::min<std::size_t>(16, logits.size() - i), largest, temperature,
                   weights.data());
        for (std::size_t l = 0; l < 16; ++l) sums[l] += weights[l];
    }
    double total = 0;
    for (const double sum : sums) total += sum;
    return total;
}

}  // namespace nullm::inline NULLM_ABI::NULLM_ISA
