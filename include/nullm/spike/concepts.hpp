#pragma once
// The four parts a spike gate is made of: Drive -> Encoder -> Neuron, and the Threshold their rate is held
// against.

#include <nullm/core/random.hpp>
#include <nullm/core/token.hpp>
#include <nullm/spike/gate.hpp>
#include <nullm/spike/spike_bits.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

namespace nullm::inline NULLM_ABI {

/// State of a part that has none.
struct stateless {
    friend bool operator==(const stateless&, const stateless&) = default;
};

/// A value that is copied aside, taken back and compared. Two compare equal iff every later step would agree.
template <class T>
concept State = std::copyable<T> && std::equality_comparable<T>;

/// Drives a fixed number of neurons, at least one.
template <class D>
concept HasWidth = requires(const D& drive) {
    { drive.width() } -> std::convertible_to<std::size_t>;
};

/// Keeps apart what a step changes (`trace`, restored when a position is taken back) and what settled text
/// teaches
/// (`memory`). A drive without one of them names it `stateless`.
template <class D>
concept HasDriveState = State<typename D::trace> && State<typename D::memory> && requires(const D& drive) {
    { drive.initial_trace() } -> std::same_as<typename D::trace>;
    { drive.initial_memory() } -> std::same_as<typename D::memory>;
};

/// intensities() turns one position into width() values in [0, 1], a function of (trace, memory, input)
/// alone. It may change the trace. 0 and 1 are verdicts, never and always, that a mixture lets stand
/// (graded.hpp). Throws nullm::error for a token outside its vocabulary.
template <class D>
concept GivesIntensities = requires(const D& drive, typename D::trace& trace,
                                    const typename D::memory& memory, const gate_input& input,
                                    std::span<float> out) {
    { drive.intensities(trace, memory, input, out) } -> std::same_as<void>;
};

/// settle() takes a token that is certain, in order of position, once.
template <class D>
concept SettlesDrive = requires(const D& drive, typename D::memory& memory, token_id token) {
    { drive.settle(memory, token) } -> std::same_as<void>;
};

/// What excites the neurons at a position: how much the token there matters, or how unsure its drafter is.
/// Cheap: it may look at the token and at text seen before, never at the model's layers. Models:
/// quiet_drive, importance_drive, surprise_drive, mixed_drive, magnitude_drive.
template <class D>
concept Drive = std::copyable<D> && HasWidth<D> && HasDriveState<D> && GivesIntensities<D> && SettlesDrive<D>;

/// A drive that excites all its neurons alike: intensity() returns what intensities() writes to each.
/// Mixtures of such drives cost one number in place of a line. Models: importance_drive, surprise_drive,
/// mixtures of them.
template <class D>
concept UniformDrive = Drive<D> && requires(const D& drive, typename D::trace& trace,
                                            const typename D::memory& memory, const gate_input& input) {
    { drive.intensity(trace, memory, input) } -> std::same_as<float>;
};

/// Turns intensities in [0, 1] into the spikes of one encoder step; `out` takes their width. A function of
/// (intensities, key, step) alone, so the same bits come out on any thread, in any order, after any rewind. A
/// higher intensity never spikes less under the same key: 0 never spikes, 1 always does. Models:
/// poisson_encoder, torch_compat_encoder, direct_encoder.
template <class E>
concept Encoder = std::copyable<E> && requires(const E& encoder, std::span<const float> intensities,
                                               const draw_key& key, std::uint32_t step, spike_bits& out) {
    { encoder.encode(intensities, key, step, out) } -> std::same_as<void>;
};

/// Has a state made for a layer of n neurons at rest.
template <class N>
concept HasNeuronState = State<typename N::state> && std::constructible_from<typename N::state, std::size_t>;

/// step() advances the layer by one time step: input currents in, spikes out. A function of (state, input)
/// alone. Throws nullm::error, and changes nothing, if the widths differ.
template <class N>
concept StepsNeurons = requires(const N& neuron, typename N::state& state, std::span<const float> input,
                                spike_bits& out) {
    { neuron.step(state, input, out) } -> std::same_as<void>;
};

/// A layer of spiking neurons: an immutable rule over a state the caller owns.
/// Models: lif.
template <class N>
concept Neuron = std::copyable<N> && HasNeuronState<N> && StepsNeurons<N>;

/// Has a state that settled text alone changes; `initial()` gives the one a run starts from.
template <class T>
concept HasThresholdState = State<typename T::state> && requires(const T& threshold) {
    { threshold.initial() } -> std::same_as<typename T::state>;
};

/// theta() is the rate in [0, 1] at which the gate fires on this token. It reads the state and changes
/// nothing.
template <class T>
concept GivesTheta = requires(const T& threshold, const typename T::state& state, token_id token) {
    { threshold.theta(state, token) } -> std::convertible_to<float>;
};

/// settle() takes a token that is certain, in order of position, once, and whether the model was run on it.
template <class T>
concept SettlesThreshold = requires(const T& threshold, typename T::state& state, token_id token,
                                    bool fired) {
    { threshold.settle(state, token, fired) } -> std::same_as<void>;
};

/// The rate that wakes the model.
/// Models: fixed_threshold, target_rate_threshold.
template <class T>
concept Threshold = std::copyable<T> && HasThresholdState<T> && GivesTheta<T> && SettlesThreshold<T>;

}  // namespace nullm::inline NULLM_ABI
