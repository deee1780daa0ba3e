#pragma once
// Integer neurons of Intel's Loihi: the bit-accurate LIF of Lava, and how floats meet it.

#include <nullm/core/error.hpp>
#include <nullm/core/simd.hpp>
#include <nullm/spike/concepts.hpp>
#include <nullm/spike/spike_bits.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// One step of a layer, for the kernels; inputs are within loihi_lif::largest_input.
struct loihi_call {
    std::size_t n = 0;
    std::int32_t* current = nullptr;
    std::int32_t* membrane = nullptr;
    std::int32_t current_kept = 0;   // of 4096
    std::int32_t membrane_kept = 0;  // of 4096
    std::int32_t bias = 0;
    float threshold = 0;  // 64 vth: a whole number below 2^23
    float unit = 1;
    std::uint64_t* words = nullptr;
};

}  // namespace nullm::inline NULLM_ABI

#define NULLM_KERNELS <nullm/spike/kernels/loihi_lif.inl>
#include <nullm/core/simd/foreach_isa.hpp>

namespace nullm::inline NULLM_ABI {

/// A layer of current-based LIF neurons in 24-bit integers. One step, for each neuron, T(x, k) being
/// x * k / 4096 rounded toward zero:
///     u = T(u, 4095 - du) + 64 a                  the synaptic current; a is the input
///     u > 2^23: u -= 2^24;  u <= -2^23: u += 2^24         (2^23 itself stays)
///     v = clamp(T(v, 4096 - dv) + u + bias, -(2^23 - 1), 2^23 - 1)
///     spike = v > 64 vth                          strict; a spike sets v to 0
///     bias = mantissa * 2^exponent, rounded down
/// Source: lava b6822fbc, PyLifModelBitAcc; no refractory delay. Note that du = 0 still leaks 1/4096.
///
/// Floats: a current x enters as a = round(unit * x), ties to even. With unit = vth (both 64 here) a current
/// of 1 is the threshold, as for lif<> at threshold 1; at du = 4095 (no memory of the current) and bias 0 the
/// neuron is then lif<reset::zero, timing::immediate> with beta = 1 - dv / 4096, up to the grid: of currents
/// 1 / unit, of the membrane 1 / (64 unit), and each decay rounds toward zero. So a weighted Poisson spike of
/// a spike_gate is exact wherever weight * unit is a whole number.
///
/// Cost: about 1 ns a neuron and step.
struct loihi_lif {
    std::int32_t du = 4095;          // current decay, 0 to 4095
    std::int32_t dv = 2048;          // membrane decay, 0 to 4095
    std::int32_t vth = 64;           // threshold mantissa, 0 to 131071
    std::int32_t bias_mantissa = 0;  // -4096 to 4095
    std::int32_t bias_exponent = 0;  // -7 to 7
    float unit = 64;                 // input a of a float current of 1; finite, above 0

    /// Largest |a|: the current then leaves its 24 bits at most once, which one wrap puts right. A synapse of
    /// Loihi's own 8-bit weights stays far below.
    static constexpr std::int32_t largest_input = 1 << 18;

    /// Currents and membranes, at rest at the start.
    struct state {
        std::vector<std::int32_t> u;  // (n)
        std::vector<std::int32_t> v;  // (n)

        explicit state(std::size_t n) : u(n, 0), v(n, 0) {}
        friend bool operator==(const state&, const state&) = default;
    };

    /// One time step with integer input, n values. Throws nullm::error, and changes nothing, if widths
    /// differ, |a| > largest_input, or a parameter is outside its range.
    void step(state& layer, std::span<const std::int32_t> a, spike_bits& out,
              isa level = active_isa()) const {
        check(layer, a.size());
        bool fits = true;
        for (const std::int32_t x : a) fits &= x >= -largest_input && x <= largest_input;
        if (!fits) refuse_input();
        run(layer, a.data(), out, level);
    }

    /// One time step with float currents. Throws as above, and for a current that is not finite.
    void step(state& layer, std::span<const float> currents, spike_bits& out,
              isa level = active_isa()) const {
        check(layer, currents.size());
        if (!(unit > 0) || !std::isfinite(unit)) {
            throw error("loihi_lif unit", "a finite number above 0", std::to_string(unit));
        }
        bool fits = true;
        for (const float x : currents) {
            const float a = x * unit;
            fits &= a >= -static_cast<float>(largest_input) && a <= static_cast<float>(largest_input);
        }
        if (!fits) refuse_input();
        run(layer, currents.data(), out, level);
    }

 private:
    template <class Input>
    void run(state& layer, const Input* input, spike_bits& out, isa level) const {
        out.reset(layer.u.size());
        const loihi_call call{
            .n = layer.u.size(),
            .current = layer.u.data(),
            .membrane = layer.v.data(),
            .current_kept = 4095 - du,
            .membrane_kept = 4096 - dv,
            // A shift of a negative number is arithmetic since C++20.
            .bias = bias_exponent >= 0 ? bias_mantissa << bias_exponent : bias_mantissa >> -bias_exponent,
            .threshold = static_cast<float>(64 * vth),
            .unit = unit,
            .words = out.words().data()};
        NULLM_DISPATCH(level, loihi_step(call, input));
    }

    void check(const state& layer, std::size_t n) const {
        if (layer.u.size() != n || layer.v.size() != n) {
            throw error("loihi_lif input", std::to_string(layer.u.size()) + " values", std::to_string(n));
        }
        in_bounds("du", du, 0, 4095);
        in_bounds("dv", dv, 0, 4095);
        in_bounds("vth", vth, 0, 131071);
        in_bounds("bias_mantissa", bias_mantissa, -4096, 4095);
        in_bounds("bias_exponent", bias_exponent, -7, 7);
    }
    static void in_bounds(std::string_view name, std::int32_t x, std::int32_t low, std::int32_t high) {
        if (x >= low && x <= high) return;
        throw error("loihi_lif " + std::string(name), std::to_string(low) + " to " + std::to_string(high),
                    std::to_string(x));
    }
    [[noreturn]] static void refuse_input() {
        throw error("loihi_lif input", "at most " + std::to_string(largest_input) + " either way",
                    "a larger one, or none that is finite");
    }
};
static_assert(Neuron<loihi_lif>);

}  // namespace nullm::inline NULLM_ABI
