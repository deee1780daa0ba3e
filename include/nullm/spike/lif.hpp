#pragma once
// Leaky integrate-and-fire neurons: snnTorch 1.0.0's Leaky, bit for bit.

#include <nullm/core/aligned.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/simd.hpp>
#include <nullm/spike/concepts.hpp>
#include <nullm/spike/neuron_parameter.hpp>
#include <nullm/spike/spike_bits.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

namespace nullm::inline NULLM_ABI {

/// What a spike does to the membrane.
enum class reset : std::uint8_t {
    subtract,  // takes the threshold off it
    zero,      // sets it to zero; the input of the step is kept
    none,      // nothing
};

/// When it does so (snnTorch's reset_delay). Under `zero` both give the same spikes and differ in the
/// membrane shown.
enum class timing : std::uint8_t {
    delayed,    // at the next step: the state holds the membrane that spiked
    immediate,  // in the same step
};

/// One step of a layer, for the kernels. The pointers hold n floats (beta and threshold: n, or one if
/// shared); either of words and spikes is null.
struct lif_call {
    std::size_t n = 0;
    float* membrane = nullptr;
    const float* input = nullptr;
    const float* beta = nullptr;
    const float* threshold = nullptr;
    bool beta_per_neuron = false;
    bool threshold_per_neuron = false;
    float spike_value = 1;           // what a spike counts before it is divided by `graded`
    float graded = 1;                // snnTorch's graded_spikes_factor
    std::uint64_t* words = nullptr;  // spikes as bits
    float* spikes = nullptr;         // spikes as floats, 0 or spike_value
};

}  // namespace nullm::inline NULLM_ABI

#define NULLM_KERNELS <nullm/spike/kernels/lif.inl>
#include <nullm/core/simd/foreach_isa.hpp>

namespace nullm::inline NULLM_ABI {

/// A layer of LIF neurons. One step, for each neuron, in float and in this order (each product rounded, no
/// fma):
///     r = m > threshold                                  the flag of the previous step's membrane
///     zero: m = (1 - r) m
///     m = clamp(beta, 0, 1) m + input
///     subtract: m = m - r threshold
///     spike = m > threshold                              strict; of value `graded`
///     immediate: d = spike / graded - r; subtract: m = m - d threshold; zero: m = m - d m
/// Source: snntorch 1.0.0 `Leaky.forward` (the code; its docstring describes another zero reset). Two
/// readings that surprise: at most one threshold is taken off a step; and `subtract, immediate` adds it back
/// where a membrane still above it falls below. NaN input makes a neuron's membrane NaN; it never spikes
/// again. Cost: 12 bytes of traffic a neuron and step.
template <reset Reset = reset::zero, timing Timing = timing::delayed>
struct lif {
    neuron_parameter beta = 0.5F;  // share of the membrane kept a step; clamped to [0, 1] where it is used
    neuron_parameter threshold = 1.0F;  // spikes above it, not at it
    float graded = 1.0F;                // value of a spike in dense output; finite, not zero
    bool inhibition = false;  // only the layer's highest m - threshold may spike (the first, if several);
                              // its spike has value 1, as in snnTorch

    /// Membranes, at rest (zero) at the start. Equal iff the same bits.
    struct state {
        aligned_vector<float> membrane;  // (n)

        explicit state(std::size_t n) : membrane(n, 0.0F) {}
        friend bool operator==(const state& a, const state& b) {
            return a.membrane.size() == b.membrane.size() &&
                   (a.membrane.empty() || std::memcmp(a.membrane.data(), b.membrane.data(),
                                                      a.membrane.size() * sizeof(float)) == 0);
        }
    };

    /// One time step: n input currents in, n spikes out (`out` takes the width). Throws nullm::error, and
    /// changes nothing, where widths differ (snnTorch silently starts from rest) or `graded` is not finite or
    /// zero.
    void step(state& layer, std::span<const float> input, spike_bits& out, isa level = active_isa()) const {
        lif_call call = checked(layer, input);
        out.reset(call.n);
        call.words = out.words().data();
        if (inhibition) {
            step_inhibited(call, out, level);
        } else {
            NULLM_DISPATCH(level, lif_step<Reset, Timing>(call));
        }
    }

    /// The same with the spikes as floats, 0 or their value; `out` has n floats and is not `input`.
    void step(state& layer, std::span<const float> input, std::span<float> out,
              isa level = active_isa()) const {
        lif_call call = checked(layer, input);
        if (out.size() != call.n) {
            throw error("lif output", std::to_string(call.n) + " spikes", std::to_string(out.size()));
        }
        if (inhibition) {
            spike_bits bits(call.n);
            call.words = bits.words().data();
            step_inhibited(call, bits, level);
            for (std::size_t i = 0; i < call.n; ++i) out[i] = bits[i] ? 1.0F : 0.0F;
        } else {
            call.spikes = out.data();
            NULLM_DISPATCH(level, lif_step<Reset, Timing>(call));
        }
    }

 private:
    lif_call checked(state& layer, std::span<const float> input) const {
        const std::size_t n = layer.membrane.size();
        if (input.size() != n) {
            throw error("lif input", std::to_string(n) + " currents", std::to_string(input.size()));
        }
        beta.check_width(n);
        threshold.check_width(n);
        if (!std::isfinite(graded) || graded == 0.0F) {
            throw error("lif graded", "a finite number other than 0", std::to_string(graded));
        }
        return {.n = n,
                .membrane = layer.membrane.data(),
                .input = input.data(),
                .beta = beta.values().data(),
                .threshold = threshold.values().data(),
                .beta_per_neuron = beta.per_neuron(),
                .threshold_per_neuron = threshold.per_neuron(),
                .spike_value = inhibition ? 1.0F : graded,
                .graded = graded};
    }

    /// Two passes, since the winner is known only when every membrane is: `out` first holds the flags r.
    static void step_inhibited(const lif_call& call, spike_bits& out, isa level) {
        NULLM_DISPATCH(level, lif_integrate<Reset>(call));
        // torch.argmax: the first of the highest; a NaN is highest of all (and then nobody spikes).
        std::size_t winner = call.n;
        float highest = 0;
        for (std::size_t i = 0; i < call.n; ++i) {
            const float above = call.membrane[i] - call.threshold[call.threshold_per_neuron ? i : 0];
            if (i == 0 || above > highest || (std::isnan(above) && !std::isnan(highest))) {
                winner = i;
                highest = above;
            }
        }
        if (!(highest > 0)) winner = call.n;
        NULLM_DISPATCH(level, lif_finish<Reset, Timing>(call, winner));
        if constexpr (Timing == timing::delayed) {
            out.reset(call.n);
            if (winner < call.n) out.set(winner);
        }
    }
};

}  // namespace nullm::inline NULLM_ABI
