#pragma once
// The gate of plain speculation: so many drafts, then a pass. What a gate that weighs each draft has to beat.

#include <nullm/spike/concepts.hpp>
#include <nullm/spike/gate.hpp>

#include <cstdint>

namespace decode {

struct fixed_drafts {
    std::uint32_t most = 1;  // drafts of a pass, at least 1

    struct state {
        std::uint32_t now = 0;  // drafts since the last token that is certain
        friend bool operator==(const state&, const state&) = default;
    };
    state initial() const { return {}; }
    nullm::gate_decision step(state& passed, const nullm::gate_input& input) const {
        passed.now = input.confidence == 1.0F ? 0 : passed.now + 1;
        const bool fire = passed.now == 0 || passed.now >= most;
        return {.rate = fire ? 1.0F : 0.0F, .theta = 0.5F, .fire = fire};
    }
    void settle(state&, nullm::token_id, bool) const {}
};
static_assert(nullm::Gate<fixed_drafts>);

}  // namespace decode
