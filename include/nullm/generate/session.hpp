#pragma once
// From a policy to running objects: its gate with the parts built, its reader, its writer.

#include <nullm/generate/options.hpp>
#include <nullm/generate/policy.hpp>
#include <nullm/generate/reader.hpp>
#include <nullm/generate/writer.hpp>
#include <nullm/model/vocabulary.hpp>
#include <nullm/spike/vocabulary.hpp>

#include <concepts>
#include <optional>
#include <span>
#include <utility>

namespace nullm::inline NULLM_ABI {

template <Policy P>
using writer = basic_writer<model_of<P>, gate_of<P>, typename P::drafter, typename P::sampler>;
template <Policy P>
using reader = basic_reader<model_of<P>, gate_of<P>, typename P::sampler>;

/// The theta a policy means unless another is asked for: its own `theta`, else the quiet gate's.
template <class P>
inline constexpr float usual_theta = quiet_gate_params{}.theta;
template <class P>
requires requires { { P::theta } -> std::convertible_to<float>; }
inline constexpr float usual_theta<P> = P::theta;

struct gate_settings {
    std::optional<float> theta = {};  // rate at which the gate fires, in [0, 1]
};

namespace detail {

/// T::build(from) if T says how it is made from it, T(vocabulary) if a vocabulary makes one, else T by
/// default.
template <class T, class From>
T make_part(const From& from) {
    if constexpr (requires {
                      { T::build(from) } -> std::same_as<T>;
                  }) {
        return T::build(from);
    } else if constexpr (std::same_as<From, vocabulary_view> &&
                         std::constructible_from<T, const vocabulary_view&>) {
        return T(from);
    } else {
        static_assert(
            std::default_initializable<T>,
            "nullm: this part of the gate needs arguments; give it a static build(), or construct the gate "
            "yourself and pass it to the reader or writer");
        return T{};
    }
}

}  // namespace detail

/// The gate of a policy, its parts made for this vocabulary: a drive or whole gate by its build(vocabulary),
/// a neuron by its build(width), where they have one. Throws nullm::error as the parts do.
template <Policy P>
gate_of<P> make_gate(const vocabulary_view& vocabulary, const gate_settings& settings = {}) {
    if constexpr (NamesWholeGate<P>) {
        return detail::make_part<typename P::gate>(vocabulary);
    } else {
        auto drive = detail::make_part<typename P::drive>(vocabulary);
        auto neuron = detail::make_part<typename P::neuron>(static_cast<std::size_t>(drive.width()));
        const auto threshold = [&] {
            if constexpr (std::constructible_from<typename P::threshold, float>) {
                return typename P::threshold(settings.theta.value_or(usual_theta<P>));
            } else {
                return detail::make_part<typename P::threshold>(vocabulary);
            }
        }();
        return gate_of<P>(std::move(drive), typename P::encoder{}, std::move(neuron), threshold);
    }
}

template <Policy P>
gate_of<P> make_gate(const checkpoint& file, const tokenizer& tokens, const gate_settings& settings = {}) {
    return make_gate<P>(vocabulary_of(file, tokens), settings);
}

/// A writer that continues `prompt` on a state of its own. `model` must outlive it.
template <Policy P>
writer<P> write(const model_of<P>& model, gate_of<P> gate, std::span<const token_id> prompt,
                writer_options options = {}, state_options resources = {}, typename P::sampler sampler = {}) {
    if (!resources.sample_from) resources.sample_from = prompt.size();
    return writer<P>(model, typename model_of<P>::state(model, resources), std::move(gate),
                     typename P::drafter{}, std::move(sampler), prompt, std::move(options));
}

/// A reader on a state of its own. `model` must outlive it.
template <Policy P>
reader<P> read(const model_of<P>& model, gate_of<P> gate, reader_options options = {},
               state_options resources = {}, typename P::sampler sampler = {}) {
    return reader<P>(model, typename model_of<P>::state(model, resources), std::move(gate),
                     std::move(sampler), options);
}

}  // namespace nullm::inline NULLM_ABI
