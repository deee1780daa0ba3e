#pragma once
// A gate as the reference loop keeps it: all that it was told, folded anew whenever its state is asked for.

#include <nullm/generate/spans.hpp>
#include <nullm/spike/gate.hpp>

#include <cstdint>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// The specification of gate_log: the state is the fold of what the gate was told, in order.
template <Gate G>
struct gate_history {
    struct told {
        gate_input input;
        bool settles, fired, span = false;
    };
    G gate;
    std::vector<told> all = {};

    typename G::state state() const {
        auto folded = gate.initial();
        for (const told& t : all) {
            if (t.span) {
                fold_span(folded, t);
            } else if (t.settles) {
                gate.settle(folded, t.input.token, t.fired);
            } else {
                gate.step(folded, t.input);
            }
        }
        return folded;
    }

    gate_decision step(const gate_input& input) {
        auto before = state();
        all.push_back({input, false, false});
        return gate.step(before, input);
    }

    void settle(token_id token, std::int64_t position, bool fired) {
        all.push_back({{token, position}, true, fired});
    }

    gate_decision end_span(const gate_input& last) requires SpanGate<G> {
        auto before = state();
        all.push_back({last, false, false, true});
        return gate.end_span(before, last);
    }

    void settle_span(token_id last, std::int64_t position, bool kept) {
        all.push_back({{last, position}, true, kept, true});
    }

    /// As if no position from `settled` on had been settled, and none from `stepped` on stepped.
    void undo(std::int64_t settled, std::int64_t stepped) {
        std::erase_if(all,
                      [=](const told& t) { return t.input.position >= (t.settles ? settled : stepped); });
    }

 private:
    void fold_span(typename G::state& folded, const told& t) const {
        if constexpr (SpanGate<G>) {
            if (t.settles) {
                gate.settle_span(folded, t.input.token, t.fired);
            } else {
                gate.end_span(folded, t.input);
            }
        }
    }
};

}  // namespace nullm::inline NULLM_ABI
