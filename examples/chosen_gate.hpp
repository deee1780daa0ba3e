#pragma once
// A gate picked at run time: one type over several, so that the loop is compiled once for all of them. Also
// an example of a Gate from outside the library.

#include <nullm/spike/gates.hpp>
#include <nullm/spike/quiet_gate.hpp>
#include <nullm/spike/reprogrammed_threshold.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <type_traits>
#include <utility>
#include <variant>

namespace cli {

/// One of several gates of different types.
template <nullm::Gate... Gates>
class one_of_gates {
    template <class G>
    using now_of = std::remove_cvref_t<decltype(std::declval<typename G::state&>().now)>;

 public:
    /// What a step changes has to stand apart in `now`; it is lent to the inner state for the length of a
    /// step. Both hold the alternative of the gate's own number: two gates may have one type of state.
    struct state {
        std::variant<now_of<Gates>...> now;
        std::variant<typename Gates::state...> rest;
    };

    template <class G>
    requires(std::same_as<G, Gates> || ...) explicit one_of_gates(G gate) : gate_(std::move(gate)) {}

    state initial() const {
        return std::visit(
            [](const auto& gate) {
                constexpr std::size_t at = number_of<decltype(gate)>;
                auto inner = gate.initial();
                auto now = inner.now;
                return state{
                    .now = decltype(state::now)(std::in_place_index<at>, std::move(now)),
                    .rest = decltype(state::rest)(std::in_place_index<at>, std::move(inner)),
                };
            },
            gate_);
    }

    nullm::gate_decision step(state& passed, const nullm::gate_input& input) const {
        return std::visit(
            [&](const auto& gate) {
                auto& inner = std::get<number_of<decltype(gate)>>(passed.rest);
                auto& now = std::get<number_of<decltype(gate)>>(passed.now);
                const loan<std::remove_reference_t<decltype(now)>> lent(
                    inner.now, now);  // named: clang++ 14 does not deduce it
                return gate.step(inner, input);
            },
            gate_);
    }

    void settle(state& passed, nullm::token_id token, bool fired) const {
        std::visit(
            [&](const auto& gate) {
                gate.settle(std::get<number_of<decltype(gate)>>(passed.rest), token, fired);
            },
            gate_);
    }

 private:
    /// Two values in each other's place, and back again also if the step throws.
    template <class T>
    class loan {
     public:
        loan(T& a, T& b) : a_(a), b_(b) { std::swap(a_, b_); }
        loan(const loan&) = delete;
        loan& operator=(const loan&) = delete;
        ~loan() { std::swap(a_, b_); }

     private:
        T& a_;
        T& b_;
    };

    template <class G>
    static constexpr std::size_t number_of = [] {
        constexpr bool is[] = {std::same_as<std::remove_cvref_t<G>, Gates>...};
        return static_cast<std::size_t>(std::find(std::begin(is), std::end(is), true) - std::begin(is));
    }();

    std::variant<Gates...> gate_;
};

/// The quiet gate with another threshold than the fixed one.
template <nullm::Threshold T>
using quiet_gate_with = nullm::spike_gate<nullm::quiet_drive, nullm::poisson_encoder, nullm::quiet_neuron, T>;
using homeostatic_gate = quiet_gate_with<nullm::target_rate_threshold>;
using reprogrammed_gate = quiet_gate_with<nullm::reprogrammed_threshold>;

using chosen_gate = one_of_gates<nullm::quiet_gate, homeostatic_gate, reprogrammed_gate, nullm::always_open,
                                 nullm::random_gate>;
static_assert(nullm::Gate<chosen_gate>);

}  // namespace cli
