#pragma once
// The writer's gate: fires where one more draft would cost more than it may bring.

#include <nullm/spike/drives/draft_drive.hpp>
#include <nullm/spike/lif.hpp>
#include <nullm/spike/poisson_encoder.hpp>
#include <nullm/spike/spike_gate.hpp>
#include <nullm/spike/thresholds.hpp>

#include <cstddef>
#include <utility>

namespace nullm::inline NULLM_ABI {

/// Neurons that pass their input on: no charge is kept, and half a spike's current is enough. Their rate is
/// the drive's intensity, sampled.
struct relay_neuron : lif<reset::zero, timing::delayed> {
    static relay_neuron build(std::size_t) { return {{.beta = 0.0F, .threshold = 0.5F}}; }
};

using draft_gate = spike_gate<draft_drive, poisson_encoder, relay_neuron, fixed_threshold>;

/// theta: the rate at which it fires, in [0, 1]. At 1/2 cost and worth of one more draft balance; above, the
/// gate drafts on. Throws nullm::error as draft_drive does, and for a theta outside [0, 1].
inline draft_gate make_draft_gate(draft_drive_params params = {}, float theta = 0.5F) {
    draft_drive drive(std::move(params));
    auto neuron = relay_neuron::build(drive.width());
    return {std::move(drive), poisson_encoder{}, std::move(neuron), fixed_threshold(theta)};
}

}  // namespace nullm::inline NULLM_ABI
