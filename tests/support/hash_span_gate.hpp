#pragma once
// A SpanGate whose decisions come from a bit pattern and whose state betrays any call that is missing, too
// many or out of order.

#include <nullm/generate/spans.hpp>
#include <support/hash_gate.hpp>

#include <cstdint>

namespace support {

/// Spans fire where the bit of their last position is set.
struct hash_span_gate {
    hash_gate tokens;

    using state = hash_gate::state;
    state initial() const { return tokens.initial(); }
    nullm::gate_decision step(state& s, const nullm::gate_input& in) const {
        nullm::gate_decision said = tokens.step(s, in);
        said.fire = false;
        return said;
    }
    void settle(state& s, nullm::token_id token, bool fired) const { tokens.settle(s, token, fired); }
    nullm::gate_decision end_span(state& s, const nullm::gate_input& last) const {
        nullm::gate_decision said = tokens.step(s, last);
        s.now ^= 0x5350414E;
        return said;
    }
    void settle_span(state& s, nullm::token_id last, bool kept) const {
        tokens.settle(s, last, kept);
        s.learned ^= 0x5350414E;
    }
};
static_assert(nullm::SpanGate<hash_span_gate>);

}  // namespace support
