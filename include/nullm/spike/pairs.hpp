#pragma once
// Which parts of a gate fit together.

#include <nullm/spike/concepts.hpp>

#include <concepts>
#include <cstddef>
#include <limits>

namespace nullm::inline NULLM_ABI {

/// Width of a part that takes any.
inline constexpr std::size_t any_width = std::numeric_limits<std::size_t>::max();

/// Number of lines a drive, encoder or neuron is built for, if its type fixes it in a static constexpr member
/// `fixed_width`; any_width if the width is known at run time only (then the gate checks it as it runs).
template <class T>
inline constexpr std::size_t width_of = any_width;
template <class T>
requires requires {
    { T::fixed_width } -> std::convertible_to<std::size_t>;
}
inline constexpr std::size_t width_of<T> = T::fixed_width;

/// Two widths that may meet.
template <std::size_t from, std::size_t to>
concept SameWidth = from == any_width || to == any_width || from == to;

/// The drive's intensities fit the encoder.
template <class D, class E>
concept FeedsEncoder = Drive<D> && Encoder<E> && SameWidth<width_of<D>, width_of<E>>;

/// The encoder's spikes fit the neurons.
template <class E, class N>
concept FeedsNeuron = Encoder<E> && Neuron<N> && SameWidth<width_of<E>, width_of<N>>;

/// The drive's width is the neurons': each intensity has a neuron, whatever the encoder between them fixes.
template <class D, class N>
concept DrivesNeurons = Drive<D> && Neuron<N> && SameWidth<width_of<D>, width_of<N>>;

namespace detail {

// The compiler names the two widths as the arguments of these.
template <std::size_t drive, std::size_t encoder>
struct drive_meets_encoder {
    static_assert(SameWidth<drive, encoder>,
                  "nullm policy: `drive` makes another number of intensities than `encoder` takes");
};
template <std::size_t encoder, std::size_t neuron>
struct encoder_meets_neuron {
    static_assert(SameWidth<encoder, neuron>,
                  "nullm policy: `encoder` makes another number of spikes than `neuron` takes");
};
template <std::size_t drive, std::size_t neuron>
struct drive_meets_neuron {
    static_assert(SameWidth<drive, neuron>,
                  "nullm policy: `drive` makes another number of intensities than there are neurons");
};

template <class D, class E, class N>
struct gate_parts_fit : drive_meets_encoder<width_of<D>, width_of<E>>,
                        encoder_meets_neuron<width_of<E>, width_of<N>>,
                        drive_meets_neuron<width_of<D>, width_of<N>> {};

}  // namespace detail

}  // namespace nullm::inline NULLM_ABI
