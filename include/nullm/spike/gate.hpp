#pragma once
// Gate: watches every position of a token stream and says whether the model is worth running there.

#include <nullm/core/token.hpp>

#include <concepts>
#include <cstdint>

namespace nullm::inline NULLM_ABI {

/// What a gate is shown of one position.
struct gate_input {
    token_id token = 0;           // reader: the pushed token; writer: the drafter's candidate
    std::int64_t position = 0;    // the token's own position in the stream; keys every draw
    float confidence = 1.0F;      // the drafter's, in [0, 1]; 1 for a token that is certain
    std::uint32_t repeat = 0;     // how often this position was stepped before (a writer that pauses)
    std::uint64_t seed = 0;       // of the run
};

/// What a gate says of it: fire iff rate >= theta.
struct gate_decision {
    float rate = 0;   // spikes / (neurons x encoder steps), in [0, 1]
    float theta = 0;
    bool fire = false;
};

/// Has a state in two parts: `now` (membranes, traces: small, copied for every provisional position and restored
/// at a mismatch) and whatever else it learns from settled text.
template <class G>
concept HasGateState = std::copyable<typename G::state> && requires(const G& gate, typename G::state& state) {
    { gate.initial() } -> std::same_as<typename G::state>;
    requires std::copyable<decltype(state.now)>;
    requires std::equality_comparable<decltype(state.now)>;
};

/// step() decides on one position. It reads all of the state but changes `state.now` alone.
template <class G>
concept StepsGate = requires(const G& gate, typename G::state& state, const gate_input& input) {
    { gate.step(state, input) } -> std::same_as<gate_decision>;
};

/// settle() tells the gate that a token is certain, in order of position, and whether the model was run on it. It
/// changes what is learned and never `state.now`; replaying it from initial() gives the same state.
template <class G>
concept SettlesGate = requires(const G& gate, typename G::state& state, token_id token, bool fired) {
    { gate.settle(state, token, fired) } -> std::same_as<void>;
};

/// A spike gate, or what stands in for one. Immutable; every draw is keyed by (seed, position, repeat).
/// Models: spike_gate, always_open, random_gate, scripted_gate.
template <class G>
concept Gate = std::copyable<G> && HasGateState<G> && StepsGate<G> && SettlesGate<G>;

}  // namespace nullm::inline NULLM_ABI
