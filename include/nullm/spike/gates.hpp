#pragma once
// Gates without neurons: the bounds and baselines a spike gate is compared with, and one for tests.

#include <nullm/core/error.hpp>
#include <nullm/core/random.hpp>
#include <nullm/spike/concepts.hpp>
#include <nullm/spike/fold_hash.hpp>
#include <nullm/spike/gate.hpp>
#include <nullm/spike/in_range.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// Fires at every position: the dense model.
struct always_open {
    struct state {
        stateless now;
        friend bool operator==(const state&, const state&) = default;
    };
    state initial() const { return {}; }
    gate_decision step(state&, const gate_input&) const {
        return {.rate = 1.0F, .theta = 0.0F, .fire = true};
    }
    void settle(state&, token_id, bool) const {}
};
static_assert(Gate<always_open>);

/// Fires with the given probability, whatever the token: the baseline at equal coverage. The rate it reports
/// is its draw, uniform in [0, 1), and theta is 1 - probability.
class random_gate {
 public:
    using state = always_open::state;

    /// probability in [0, 1], else nullm::error.
    explicit random_gate(float probability)
        : theta_(1.0F - in_range("random_gate probability", probability)) {}

    state initial() const { return {}; }
    gate_decision step(state&, const gate_input& input) const {
        const float rate = draw_uniform({.seed = input.seed,
                                         .stream = draw_stream::gate,
                                         .position = input.position,
                                         .repeat = input.repeat});
        return {.rate = rate, .theta = theta_, .fire = rate >= theta_};
    }
    void settle(state&, token_id, bool) const {}

 private:
    float theta_;
};
static_assert(Gate<random_gate>);

/// For tests: fires where its pattern says. Entry position + repeat decides (so a pause moves on through the
/// pattern), and `beyond` decides behind its end. `now` folds a hash of every step, `learned` one of every
/// settled token, so that a step too many, too few or out of order shows as an unequal state.
class scripted_gate {
 public:
    struct state {
        std::uint64_t now = 0;
        std::uint64_t learned = 0;
        friend bool operator==(const state&, const state&) = default;
    };

    explicit scripted_gate(std::vector<bool> pattern, bool beyond = false)
        : pattern_(std::move(pattern)), beyond_(beyond) {}
    scripted_gate(std::initializer_list<bool> pattern) : pattern_(pattern) {}

    state initial() const { return {}; }
    gate_decision step(state& passed, const gate_input& input) const {
        if (input.position < 0) {
            throw error("scripted_gate", "a position of 0 or more", std::to_string(input.position));
        }
        passed.now = fold_hash(passed.now, static_cast<std::uint64_t>(input.position));
        passed.now = fold_hash(passed.now, static_cast<std::uint64_t>(input.token));
        passed.now = fold_hash(passed.now, std::bit_cast<std::uint32_t>(input.confidence));
        passed.now = fold_hash(passed.now, input.repeat);
        passed.now = fold_hash(passed.now, input.seed);
        const auto entry = static_cast<std::uint64_t>(input.position) + input.repeat;
        const bool fire = entry < pattern_.size() ? pattern_[static_cast<std::size_t>(entry)] : beyond_;
        return {.rate = fire ? 1.0F : 0.0F, .theta = 0.5F, .fire = fire};
    }
    void settle(state& passed, token_id token, bool fired) const {
        passed.learned = fold_hash(passed.learned, static_cast<std::uint64_t>(token));
        passed.learned = fold_hash(passed.learned, fired ? 1 : 0);
    }

 private:
    std::vector<bool> pattern_;
    bool beyond_ = false;
};
static_assert(Gate<scripted_gate>);

}  // namespace nullm::inline NULLM_ABI
