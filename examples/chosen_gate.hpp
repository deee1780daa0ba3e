#pragma once
// A gate picked at run time: one type over several, so that the loop is compiled once for all of them. Also
// an example of a Gate from outside the library.

#include <nullm/spike/gates.hpp>
#include <nullm/spike/quiet_gate.hpp>

#include <cstddef>
#include <type_traits>
#include <utility>
#include <variant>

namespace cli {

/// The quiet gate with a threshold that moves until a wanted share of positions fires.
using homeostatic_gate = nullm::spike_gate<nullm::importance_drive, nullm::poisson_encoder,
                                           nullm::quiet_neuron, nullm::target_rate_threshold>;

class chosen_gate {
    using any_gate =
        std::variant<nullm::quiet_gate, homeostatic_gate, nullm::always_open, nullm::random_gate>;

 public:
    /// What a step changes has to stand apart in `now`; it is lent to the inner state for the length of a
    /// step.
    struct state {
        using any_state = std::variant<nullm::quiet_gate::state, homeostatic_gate::state,
                                       nullm::always_open::state, nullm::random_gate::state>;
        using any_now = std::variant<nullm::quiet_gate::present, homeostatic_gate::present, nullm::stateless>;
        any_now now;
        any_state rest;
    };

    template <class G>
    explicit chosen_gate(G gate) : gate_(std::move(gate)) {}

    state initial() const {
        return std::visit(
            [](const auto& gate) {
                auto inner = gate.initial();
                return state{.now = inner.now, .rest = state_of(gate, std::move(inner))};
            },
            gate_);
    }

    nullm::gate_decision step(state& passed, const nullm::gate_input& input) const {
        return std::visit(
            [&](const auto& gate) {
                auto& inner = inner_of(gate, passed.rest);
                auto& now = std::get<std::remove_cvref_t<decltype(inner.now)>>(passed.now);
                struct lent {  // given back also if the step throws
                    decltype(inner.now)&at, &owner;
                    lent(decltype(inner.now)& a, decltype(inner.now)& b) : at(a), owner(b) {
                        std::swap(at, owner);
                    }
                    ~lent() { std::swap(at, owner); }
                } const loan(inner.now, now);
                return gate.step(inner, input);
            },
            gate_);
    }

    void settle(state& passed, nullm::token_id token, bool fired) const {
        std::visit([&](const auto& gate) { gate.settle(inner_of(gate, passed.rest), token, fired); }, gate_);
    }

 private:
    // always_open and random_gate share one state type, so alternatives are addressed by index.
    template <class G>
    static constexpr std::size_t index_of = std::is_same_v<G, nullm::quiet_gate>    ? 0
                                            : std::is_same_v<G, homeostatic_gate>   ? 1
                                            : std::is_same_v<G, nullm::always_open> ? 2
                                                                                    : 3;
    template <class G>
    static state::any_state state_of(const G&, typename G::state inner) {
        return state::any_state(std::in_place_index<index_of<G>>, std::move(inner));
    }
    template <class G>
    static typename G::state& inner_of(const G&, state::any_state& rest) {
        return std::get<index_of<G>>(rest);
    }

    any_gate gate_;
};
static_assert(nullm::Gate<chosen_gate>);

}  // namespace cli
