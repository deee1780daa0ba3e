#pragma once
// Spans: a reader that decides on whole lines, sentences or records instead of single tokens.

#include <nullm/core/step.hpp>
#include <nullm/spike/gate.hpp>

#include <cstdint>
#include <string_view>

namespace nullm::inline NULLM_ABI {

/// A gate that decides where a span ends. step() takes in a token and never fires; end_span() decides on all
/// tokens since the last end, `last` being the last of them, and changes `state.now` alone; settle_span()
/// tells whether the span was kept (answered, or spared from a discard), and never changes `state.now`.
/// Models: span_gate, random_span_gate.
template <class G>
concept SpanGate = Gate<G> &&
    requires(const G& gate, typename G::state& state, const gate_input& last, bool kept) {
    { gate.end_span(state, last) } -> std::same_as<gate_decision>;
    { gate.settle_span(state, last.token, kept) } -> std::same_as<void>;
};

/// What became of a span at its end.
enum class span_fate : std::uint8_t {
    answered,  // the model was run on it
    waits,     // silent: it joins the next pass
    spared,    // silent, would have been dropped, but it is protected: it joins the next pass
    dropped,   // silent and discarded: the model never sees it
};

/// The fate's name as the command lines print it.
constexpr std::string_view name_of(span_fate fate) {
    constexpr std::string_view names[] = {"answered", "waits", "spared", "dropped"};
    return names[static_cast<std::size_t>(fate)];
}

/// What the end of a span yields. `at_end` speaks of its last position: the model's prediction of what comes
/// after the span, if it was answered, and the span's rate and theta.
struct span_step {
    step at_end;
    std::uint32_t length = 0;  // tokens of the span
    span_fate fate = span_fate::waits;
};

}  // namespace nullm::inline NULLM_ABI
