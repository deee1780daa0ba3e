#pragma once
// Policy: one type that names every decision, and what is made of it.

#include <nullm/attention/exact_attention.hpp>
#include <nullm/core/half.hpp>
#include <nullm/generate/concepts.hpp>
#include <nullm/generate/drafter.hpp>
#include <nullm/generate/sampler.hpp>
#include <nullm/linear/native_linear.hpp>
#include <nullm/model/llama.hpp>
#include <nullm/spike/concepts.hpp>
#include <nullm/spike/draft_gate.hpp>
#include <nullm/spike/drives/magnitude_drive.hpp>
#include <nullm/spike/gates.hpp>
#include <nullm/spike/pairs.hpp>
#include <nullm/spike/quiet_gate.hpp>
#include <nullm/spike/spike_gate.hpp>

#include <concepts>
#include <type_traits>

namespace nullm::inline NULLM_ABI {

template <class P>
concept NamesLinear = Linear<typename P::linear>;
template <class P>
concept NamesAttention = Attention<typename P::attention>;
template <class P>
concept NamesDrafter = Drafter<typename P::drafter>;
template <class P>
concept NamesSampler = Sampler<typename P::sampler>;
template <class P>
concept NamesDrive = Drive<typename P::drive>;
template <class P>
concept NamesEncoder = Encoder<typename P::encoder>;
template <class P>
concept NamesNeuron = Neuron<typename P::neuron>;
template <class P>
concept NamesThreshold = Threshold<typename P::threshold>;

/// Names a whole gate, or else the four parts of a spike gate. A policy that names both means its gate.
template <class P>
concept NamesWholeGate = Gate<typename P::gate>;
template <class P>
concept NamesGateParts = NamesDrive<P> && NamesEncoder<P> && NamesNeuron<P> && NamesThreshold<P>;

/// The four parts fit each other: drive into encoder, encoder into neuron, drive over neuron.
template <class P>
concept GatePartsFit = FeedsEncoder<typename P::drive, typename P::encoder> &&
    FeedsNeuron<typename P::encoder, typename P::neuron> &&
    DrivesNeurons<typename P::drive, typename P::neuron>;
template <class P>
concept NamesGate = NamesWholeGate<P> ||(!requires { typename P::gate; } && NamesGateParts<P>);
template <class P>
concept GateFits = NamesWholeGate<P> || GatePartsFit<P>;

/// A struct of type aliases, one a decision: linear, attention, drafter, sampler, and gate or {drive,
/// encoder, neuron, threshold}. Derive from a preset and replace any line:
///     struct mine : nullm::quiet { using linear = nullm::native_linear<nullm::i16>; };
template <class P>
concept Policy =
    NamesLinear<P> && NamesAttention<P> && NamesDrafter<P> && NamesSampler<P> && NamesGate<P> && GateFits<P>;

/// Says in a sentence which line of a policy is wrong; the concept in the condition names the missing member.
template <class P>
struct checked_policy {
    static_assert(NamesLinear<P>, "nullm policy: `linear` must name a type that models Linear");
    static_assert(NamesAttention<P>, "nullm policy: `attention` must name a type that models Attention");
    static_assert(NamesDrafter<P>, "nullm policy: `drafter` must name a type that models Drafter");
    static_assert(NamesSampler<P>, "nullm policy: `sampler` must name a type that models Sampler");
    static_assert(
        NamesGate<P>,
        "nullm policy: `gate` must name a type that models Gate, or `drive`, `encoder`, `neuron` and "
        "`threshold` the four parts of one");
    using type = P;
};

namespace detail {

template <class P>
struct gate_type {
    using type =
        spike_gate<typename P::drive, typename P::encoder, typename P::neuron, typename P::threshold>;
};
template <NamesWholeGate P>
struct gate_type<P> {
    using type = typename P::gate;
};

}  // namespace detail

/// The model a policy runs: depends on its linear and attention alone, so that policies which differ in gate,
/// drafter or sampler share one loaded model.
template <class P>
using model_of = llama<typename checked_policy<P>::type::linear, typename P::attention>;

template <class P>
using gate_of = typename detail::gate_type<typename checked_policy<P>::type>::type;

/// The model runs at every position: what every other policy's text is compared with.
struct dense {
    using linear = native_linear<i8>;
    using attention = exact_attention<f16>;
    using gate = always_open;
    using drafter = no_drafter;
    using sampler = greedy;
};

/// Spiking gate, prompt-lookup drafts: the same text as dense, with NULLs in it. For a reader; a writer does better
/// with drafting.
struct quiet {
    using linear = native_linear<i8>;
    using attention = exact_attention<f16>;
    using drive = quiet_drive;
    using encoder = poisson_encoder;
    using neuron = quiet_neuron;
    using threshold = fixed_threshold;
    using drafter = ngram_drafter;
    using sampler = greedy;
};

/// For a writer: as quiet, with a gate that weighs each draft against the pass that has to verify it.
struct drafting : quiet {
    using drive = draft_drive;
    using neuron = relay_neuron;
    static constexpr float theta = 0.5F;
};

/// The original idea's gate, for comparison; see seed_literal.hpp for its loop.
struct seed_literal {
    using linear = native_linear<i8>;
    using attention = exact_attention<f16>;
    using drive = magnitude_drive;
    using encoder = poisson_encoder;
    using neuron = lif<reset::zero, timing::immediate>;
    using threshold = fixed_threshold;
    using drafter = no_drafter;
    using sampler = greedy;
};

}  // namespace nullm::inline NULLM_ABI
