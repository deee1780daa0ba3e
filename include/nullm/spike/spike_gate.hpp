#pragma once
// The gate of spiking neurons: drive -> encoder -> synapse -> neurons -> rate, held against theta.

#include <nullm/core/aligned.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/random.hpp>
#include <nullm/core/simd.hpp>
#include <nullm/spike/concepts.hpp>
#include <nullm/spike/gate.hpp>
#include <nullm/spike/in_range.hpp>
#include <nullm/spike/pairs.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#define NULLM_KERNELS <nullm/spike/kernels/synapse.inl>
#include <nullm/core/simd/foreach_isa.hpp>

namespace nullm::inline NULLM_ABI {

struct spike_gate_params {
    float weight = 1.0F;      // input current of one encoder spike
    std::uint32_t steps = 1;  // encoder steps a position, at least 1
};

/// One neuron for each of the drive's intensities, each reading its own encoder line. A position is
///     intensities = drive(token, confidence)
///     steps times: neurons.step(weight * encoder(intensities, key(seed, encoder, position, repeat), step))
///     rate = spikes / (neurons x steps);  fire iff rate >= theta(token)
/// Membranes carry charge from position to position, and are all that step() changes besides the drive's
/// trace. The parts are taken as made; what they learn changes in settle(). Cost: see
/// benchmarks/kernel/spike.cpp.
template <Drive D, Encoder E, Neuron N, Threshold T>
class spike_gate : detail::gate_parts_fit<D, E, N> {
 public:
    /// What step() changes: small, copied for every provisional position.
    struct present {
        typename N::state neurons;
        typename D::trace trace;
        friend bool operator==(const present&, const present&) = default;
    };
    struct state {
        present now;
        typename D::memory memory;
        typename T::state threshold;
        friend bool operator==(const state& a, const state& b) {
            return a.now == b.now && a.memory == b.memory && a.threshold == b.threshold;
        }

        struct scratch {  // lines of one step, kept so that only the first step allocates; no part of the
                          // value
            aligned_vector<float> intensities;
            aligned_vector<float> currents;
            spike_bits encoded;
            spike_bits spiked;
        } lines;
    };

    /// Throws nullm::error if the drive has no neurons, weight is not finite, or steps is 0.
    spike_gate(D drive, E encoder, N neuron, T threshold, const spike_gate_params& params = {})
        : drive_(std::move(drive)),
          encoder_(std::move(encoder)),
          neuron_(std::move(neuron)),
          threshold_(std::move(threshold)),
          params_(params) {
        if (drive_.width() == 0) throw error("spike_gate drive", "at least one neuron", "none");
        if (params.steps == 0) throw error("spike_gate steps", "at least 1", "0");
        if (!std::isfinite(params.weight)) {
            throw error("spike_gate weight", "a finite number", std::to_string(params.weight));
        }
    }

    const D& drive() const { return drive_; }
    const E& encoder() const { return encoder_; }
    const N& neuron() const { return neuron_; }
    const T& threshold() const { return threshold_; }
    const spike_gate_params& params() const { return params_; }

    state initial() const {
        return {.now = {typename N::state(drive_.width()), drive_.initial_trace()},
                .memory = drive_.initial_memory(),
                .threshold = threshold_.initial(),
                .lines = {}};
    }

    /// Throws nullm::error for a confidence or a theta outside [0, 1], and whatever the parts throw.
    gate_decision step(state& passed, const gate_input& input) const {
        in_range("spike_gate confidence", input.confidence);
        const float theta = in_range("spike_gate theta", threshold_.theta(passed.threshold, input.token));
        const std::size_t n = drive_.width();
        auto& lines = passed.lines;
        lines.intensities.resize(n);
        lines.currents.resize(n);
        drive_.intensities(passed.now.trace, passed.memory, input, lines.intensities);
        const draw_key key{.seed = input.seed,
                           .stream = draw_stream::encoder,
                           .position = input.position,
                           .repeat = input.repeat};
        std::size_t spikes = 0;
        for (std::uint32_t s = 0; s < params_.steps; ++s) {
            encoder_.encode(lines.intensities, key, s, lines.encoded);
            check_width("spike_gate encoder", lines.encoded, n);
            NULLM_DISPATCH(active_isa(), spread_spikes(lines.encoded.words().data(), params_.weight,
                                                       lines.currents.data(), n));
            neuron_.step(passed.now.neurons, lines.currents, lines.spiked);
            check_width("spike_gate neuron", lines.spiked, n);
            spikes += lines.spiked.count();
        }
        const double possible = static_cast<double>(n) * params_.steps;
        const auto rate = static_cast<float>(static_cast<double>(spikes) / possible);
        return {.rate = rate, .theta = theta, .fire = rate >= theta};
    }

    void settle(state& passed, token_id token, bool fired) const {
        drive_.settle(passed.memory, token);
        threshold_.settle(passed.threshold, token, fired);
    }

 private:
    static void check_width(std::string_view where, const spike_bits& spikes, std::size_t n) {
        if (spikes.size() != n)
            throw error(where, std::to_string(n) + " spikes", std::to_string(spikes.size()));
    }

    D drive_;
    E encoder_;
    N neuron_;
    T threshold_;
    spike_gate_params params_;
};

}  // namespace nullm::inline NULLM_ABI
