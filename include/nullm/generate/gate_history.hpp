#pragma once
// A gate as the reference loop keeps it: all that it was told, folded anew whenever its state is asked for.

#include <nullm/spike/gate.hpp>

#include <cstdint>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// The specification of gate_log: the state is the fold of what the gate was told, in order.
template <Gate G>
struct gate_history {
    struct told {
        gate_input input;
        bool settles, fired;
    };
    G gate;
    std::vector<told> all = {};

    typename G::state state() const {
        auto folded = gate.initial();
        for (const auto& [input, settles, fired] : all) {
            if (settles) {
                gate.settle(folded, input.token, fired);
            } else {
                gate.step(folded, input);
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

    /// As if no position from `settled` on had been settled, and none from `stepped` on stepped.
    void undo(std::int64_t settled, std::int64_t stepped) {
        std::erase_if(all,
                      [=](const told& t) { return t.input.position >= (t.settles ? settled : stepped); });
    }
};

}  // namespace nullm::inline NULLM_ABI
