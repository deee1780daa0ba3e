#pragma once
// A gate with its state and with what it was told, so that a reader or writer can go back to an earlier
// position.

#include <nullm/generate/spans.hpp>
#include <nullm/spike/gate.hpp>

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// Runs a gate and keeps the order of its steps and settles. state() is always the fold of that order from
/// the gate's initial state; rewind() folds again, from the nearest of a few copies of the state kept on the
/// way. Memory: 24 bytes a call since the oldest point kept, and at most five copies of the state.
template <Gate G>
class gate_log {
 public:
    using state_type = typename G::state;
    using now_type = decltype(state_type::now);

    gate_log(G gate, std::uint64_t seed)
        : gate_(std::move(gate)), seed_(seed), state_(gate_.initial()), copies_{{0, 0, state_}} {}

    const G& gate() const { return gate_; }
    const state_type& state() const { return state_; }
    /// Positions before this one can no longer be gone back to.
    std::int64_t oldest() const { return copies_.front().position; }

    gate_decision step(token_id token, std::int64_t position, float confidence = 1.0F,
                       std::uint32_t repeat = 0) {
        const event told{position, token, confidence, repeat, call::step};
        const gate_decision decision = gate_.step(state_, input_of(told));
        events_.push_back(told);
        return decision;
    }

    void settle(token_id token, std::int64_t position, bool fired) {
        events_.push_back({position, token, 0.0F, 0, fired ? call::settle_fired : call::settle_silent});
        gate_.settle(state_, token, fired);
    }

    /// The span whose last token, at `position`, was settled just now is over.
    gate_decision end_span(token_id last, std::int64_t position) requires SpanGate<G> {
        const event told{position, last, 1.0F, 0, call::end_span};
        const gate_decision decision = gate_.end_span(state_, input_of(told));
        events_.push_back(told);
        return decision;
    }
    void settle_span(token_id last, std::int64_t position, bool kept) requires SpanGate<G> {
        events_.push_back({position, last, 0.0F, 0, kept ? call::settle_kept : call::settle_dropped});
        gate_.settle_span(state_, last, kept);
    }

    /// Forgets the last `steps` calls, all of them steps, given `now` as it was before the first of them.
    void take_back(std::size_t steps, const now_type& before) {
        events_.resize(events_.size() - steps);
        state_.now = before;
    }

    /// To be called where no step waits to be settled: keeps a copy of the state now and then, so that going
    /// back a little is cheap.
    void keep_copy(std::int64_t position) {
        constexpr std::size_t interval = 128;
        if (events_.size() - copies_.back().events < interval) return;
        if (copies_.size() == 3) drop(copies_, copies_.begin() + 1);  // the oldest stays, and the last two
        copies_.push_back(present(position));
    }

    /// Makes the present, before `position`, the oldest point that can be gone back to.
    void forget(std::int64_t position) {
        events_.clear();
        while (!marks_.empty()) drop(marks_, marks_.end() - 1);
        while (!copies_.empty()) drop(copies_, copies_.end() - 1);
        copies_.push_back(present(position));
    }

    /// Marks the present, and makes the mark before it (if there is one) the oldest point kept. A rewind to a
    /// mark or behind it takes the mark away.
    void mark(std::int64_t position) {
        if (!marks_.empty()) {
            copy oldest = std::move(marks_.front());
            const std::size_t gone = oldest.events;
            events_.erase(events_.begin(), events_.begin() + static_cast<std::ptrdiff_t>(gone));
            std::erase_if(copies_, [&](const copy& c) { return c.events <= gone; });
            oldest.events = 0;
            for (copy& c : copies_) c.events -= gone;
            copies_.insert(copies_.begin(), std::move(oldest));
            marks_.clear();
        }
        marks_.push_back(present(position));
    }

    /// As if no position from `settled` on had been settled, and none from `stepped` on stepped.
    /// Both >= oldest() (stepped: oldest() - 1 for a writer that pauses).
    void rewind(std::int64_t settled, std::int64_t stepped) {
        const auto undone = [&](const event& e) {
            return e.position >= (e.what == call::step ? stepped : settled);
        };
        std::size_t kept = 0;
        while (kept < events_.size() && !undone(events_[kept])) ++kept;
        std::erase_if(marks_, [&](const copy& c) { return c.events >= kept; });
        while (copies_.back().events > kept) drop(copies_, copies_.end() - 1);
        std::erase_if(events_, undone);
        state_ = copies_.back().state;
        for (std::size_t i = copies_.back().events; i < events_.size(); ++i) replay(events_[i]);
    }

 private:
    enum class call : std::uint8_t {
        step,
        settle_silent,
        settle_fired,
        end_span,
        settle_dropped,
        settle_kept
    };
    struct event {
        std::int64_t position = 0;
        token_id token = 0;
        float confidence = 0;
        std::uint32_t repeat = 0;
        call what = call::step;
    };
    struct copy {
        std::int64_t position;
        std::size_t events;  // calls that led to it, counted from the oldest point
        state_type state;
    };

    /// A copy of the present, in the memory of one that was dropped if there is any.
    copy present(std::int64_t position) {
        if (dropped_.empty()) return {position, events_.size(), state_};
        copy made = std::move(dropped_.back());
        dropped_.pop_back();
        made.position = position;
        made.events = events_.size();
        made.state = state_;
        return made;
    }
    void drop(std::vector<copy>& from, typename std::vector<copy>::iterator which) {
        dropped_.push_back(std::move(*which));
        from.erase(which);
    }

    gate_input input_of(const event& e) const {
        return {.token = e.token,
                .position = e.position,
                .confidence = e.confidence,
                .repeat = e.repeat,
                .seed = seed_};
    }
    void replay(const event& e) {
        if constexpr (SpanGate<G>) {
            if (e.what == call::end_span) {
                gate_.end_span(state_, input_of(e));
                return;
            }
            if (e.what == call::settle_dropped || e.what == call::settle_kept) {
                gate_.settle_span(state_, e.token, e.what == call::settle_kept);
                return;
            }
        }
        if (e.what == call::step) {
            gate_.step(state_, input_of(e));
        } else {
            gate_.settle(state_, e.token, e.what == call::settle_fired);
        }
    }

    G gate_;
    std::uint64_t seed_;
    state_type state_;
    std::vector<event> events_;
    std::vector<copy> copies_;   // ascending; the first is the oldest point
    std::vector<copy> marks_;    // at most one
    std::vector<copy> dropped_;  // of use for their memory alone: a loop that goes on allocates nothing
};

}  // namespace nullm::inline NULLM_ABI
