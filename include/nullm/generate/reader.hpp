#pragma once
// The reader: tokens come from outside, and the model answers only where the gate fires.

#include <nullm/core/error.hpp>
#include <nullm/core/step.hpp>
#include <nullm/generate/concepts.hpp>
#include <nullm/generate/gate_log.hpp>
#include <nullm/generate/options.hpp>
#include <nullm/generate/spans.hpp>
#include <nullm/generate/statistics.hpp>
#include <nullm/model/concepts.hpp>
#include <nullm/spike/gate.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// Reads a token stream. Where the gate is silent a pushed token only waits; where it fires, all that wait
/// run as one causal batch and the model's prediction of the next token is the answer: the same bits as if
/// the model had run at every position. Lossy only through discard_pending() and the option `discard`.
///
/// With a SpanGate no push answers by itself: whoever knows the text (span_splitter) says where a line or
/// sentence ends, and end_span() decides on all of it.
///
/// When the context is full the reader goes on from the last half of it, at pushes that depend on counts
/// alone. Always: cached() + pending() = tokens pushed - discarded - left behind by restarts. If the model or
/// the sampler throws, the token stays pushed and waits (force() answers it later).
template <Model M, Gate G, Sampler S>
class basic_reader {
 public:
    /// `model` must outlive the reader; `state` is one of its states, whose cache is emptied.
    basic_reader(const M& model, typename M::state state, G gate, S sampler, reader_options options = {})
        : model_(&model),
          state_(std::move(state)),
          sampler_(std::move(sampler)),
          options_(options),
          stream_{.log = gate_log<G>(std::move(gate), options.seed)} {
        if (model_->context(state_) == 0) throw error("reader", "a context of one token or more", "0");
        if (options_.discard && !SpanGate<G>)
            throw error("reader discard", "a gate of spans", "one of tokens");
        std::sort(options_.never_drop.begin(), options_.never_drop.end());
        model_->truncate(state_, 0);
    }

    /// Takes the next token of the stream. The step's position is this token's (0, 1, ... over restarts too),
    /// its token the model's prediction of the one that follows. Throws nullm::error if it is no token of the
    /// vocabulary.
    step push(token_id token) {
        if (token < 0 || static_cast<std::size_t>(token) >= model_->vocabulary()) {
            throw error("reader::push", "a token id below " + std::to_string(model_->vocabulary()),
                        std::to_string(token));
        }
        if (stream_.window.size() == model_->context(state_)) restart();
        const std::int64_t position = stream_.position;
        const gate_decision decision = stream_.log.step(token, position);
        const wake_reason fired =
            SpanGate<G> ? wake_reason::none : reason_to_fire(decision, position, stream_.silence);
        stream_.window.push_back(token);
        stream_.outcomes.push_back(
            {outcome::unanswered, span_end::none, stream_.silence, stream_.open, decision});
        if constexpr (SpanGate<G>) {
            ++stream_.open.length;
            stream_.open.kept |=
                std::binary_search(options_.never_drop.begin(), options_.never_drop.end(), token);
        }
        stream_.log.settle(token, position, fired != wake_reason::none);
        ++stream_.position;
        ++stream_.counts.positions;
        stream_.log.keep_copy(stream_.position);
        if (fired != wake_reason::none) return answer(fired);
        wake_reason reason = wake_reason::none;
        if (const std::size_t waiting = certain(); waiting > 0 && waiting >= options_.max_pending) {
            run(waiting, 0);
            reason = wake_reason::max_pending;
        }
        return conclude(outcome::silent, reason, {});
    }

    /// The span of all tokens since the last one's end is over: an answer at its last position if its gate
    /// fires, exploration picks that position, or max_silence positions were silent before it. Otherwise it
    /// waits; with the option `discard` it is dropped instead, as if the model's stream had never had it,
    /// unless
    ///   - `keep` is set, it holds a token of never_drop, or an answer was forced within it,
    ///   - it reaches into the first four positions of the window, or began behind it.
    /// Its fate never depends on what happens to be cached. rewind() cannot go behind a dropped span; an end
    /// is forgotten with the token before it. Throws nullm::error if nothing was pushed since the last end.
    /// (A template, as clang++ 14 puts constrained functions that are none into an explicit instantiation.)
    template <SpanGate Spans = G>
    span_step end_span(bool keep = false) {
        const open_span span = stream_.open;
        if (span.length == 0) throw error("reader::end_span", "a token pushed since the last end", "none");
        const std::int64_t last = stream_.position - 1;
        const token_id token = stream_.window.back();
        const gate_decision decision = stream_.log.end_span(token, last);
        // The last position is one of the silent ones, unless its answer was forced.
        const wake_reason reason = reason_to_fire(decision, last, std::max(stream_.silence, 1U) - 1);
        const bool spare = keep || span.kept || stream_.window.size() < span.length + never_dropped;
        const span_fate fate = reason != wake_reason::none ? span_fate::answered
                               : !options_.discard         ? span_fate::waits
                               : spare                     ? span_fate::spared
                                                           : span_fate::dropped;
        stream_.log.settle_span(token, last,
                                options_.discard ? fate != span_fate::dropped : fate == span_fate::answered);
        stream_.open = {};
        pushed& end = stream_.outcomes.back();
        end.decision = decision;
        end.ended = fate == span_fate::spared ? span_end::spared : span_end::plain;
        ++stream_.counts.spans;
        stream_.counts.spared += fate == span_fate::spared ? 1 : 0;
        stream_.counts.dropped += fate == span_fate::dropped ? 1 : 0;
        if (fate == span_fate::answered) {
            return {.at_end = answer(reason), .length = span.length, .fate = fate};
        }
        if (fate == span_fate::dropped) take_out(span.length);
        return {.at_end = step_of(decision, wake_reason::none, {}), .length = span.length, .fate = fate};
    }

    /// Tokens of the span that has not ended.
    std::size_t open_span_length() const requires SpanGate<G> { return stream_.open.length; }

    /// Answers at the last pushed position, whatever its gate said. Throws nullm::error if nothing was
    /// pushed.
    step force() {
        if (stream_.window.empty()) throw error("reader::force", "a pushed token", "none");
        stream_.open.kept = stream_.open.length > 0;  // what an answer rests on is not taken back
        return answer(wake_reason::forced);
    }

    /// Caches all that waits, without an answer.
    void commit() {
        if (pending() > 0) run(pending(), 0);
    }

    /// As if the last n tokens had never been pushed: gate, silence, answers to come, and the statistics that
    /// describe the stream. Throws nullm::error if n > rewindable().
    /// Costs up to 256 gate steps when n is small, one gate step per position kept when it is large.
    void rewind(std::size_t n) {
        if (n > rewindable()) {
            throw error("reader::rewind", "at most " + std::to_string(rewindable()) + " tokens",
                        std::to_string(n));
        }
        if (n == 0) return;
        const std::int64_t position = stream_.position - static_cast<std::int64_t>(n);
        while (!stream_.restarts.empty() && position <= stream_.restarts.back().position) undo_restart();
        stream_.window.resize(stream_.window.size() - n);
        if (cached() > stream_.window.size()) model_->truncate(state_, stream_.window.size());
        stream_.log.rewind(position, position);
        for (; n > 0; --n) {
            const pushed& undone = stream_.outcomes.back();
            stream_.silence = undone.silence_before;
            stream_.open = undone.open_before;
            count(undone.what, -1);
            --stream_.counts.positions;
            stream_.counts.spans -= undone.ended != span_end::none ? 1 : 0;
            stream_.counts.spared -= undone.ended == span_end::spared ? 1 : 0;
            stream_.outcomes.pop_back();
        }
        stream_.position = position;
        stream_.logits.clear();
    }

    /// How far rewind() can go: to the last discard, or to the oldest token kept at the last restart.
    std::size_t rewindable() const {
        return std::min(stream_.window.size(),
                        static_cast<std::size_t>(stream_.position - stream_.log.oldest()));
    }

    /// Drops all that waits, the first four positions of the window excepted, as if the model's stream had
    /// never had it. Lossy: later answers are those of the shorter text. The gate has seen it, and rewind()
    /// cannot go behind it. Returns how many tokens were dropped.
    std::size_t discard_pending() {
        const std::size_t kept = std::max(cached(), std::min(never_dropped, stream_.window.size()));
        const std::size_t dropped = stream_.window.size() - kept;
        if (dropped == 0) return 0;
        stream_.open = {};
        take_out(dropped);
        return dropped;
    }

    /// Asks a running push(), force() or commit() to stop, from any thread; it then throws nullm::cancelled.
    /// Only with a model whose state can be asked.
    void request_cancel() requires requires(typename M::state& state) { state.request_cancel(); }
    { state_.request_cancel(); }

    class saved;
    /// A copy of all that a reader is apart from its options; restore() makes any reader over the same model
    /// and options that one again.
    saved snapshot() const { return saved(model_->save(state_), stream_); }
    void restore(const saved& from) {
        stream copy = from.stream_;
        model_->restore(state_, from.cache_);
        stream_ = std::move(copy);
    }

    /// Tokens pushed; the position of the next one.
    std::int64_t position() const { return stream_.position; }
    /// Tokens since the last restart that were not discarded: what the model's next answer rests on.
    std::span<const token_id> window() const { return stream_.window; }
    std::size_t cached() const { return model_->length(state_); }
    std::size_t pending() const { return stream_.window.size() - cached(); }
    /// Logits of the last answer, empty if there was none since the start or the last rewind. Valid until the
    /// next answer.
    std::span<const float> logits() const { return stream_.logits; }
    const statistics& stats() const { return stream_.counts; }
    const typename G::state& gate_state() const { return stream_.log.state(); }
    const typename M::state& model_state() const { return state_; }
    const reader_options& options() const { return options_; }

 private:
    // Attention sinks: a model without its first tokens degenerates.
    static constexpr std::size_t never_dropped = 4;

    enum class outcome : std::uint8_t { unanswered, silent, answered };
    enum class span_end : std::uint8_t { none, plain, spared };
    struct open_span {
        std::uint32_t length = 0;
        bool kept = false;  // whatever its gate says
    };
    struct pushed {
        outcome what;
        span_end ended;  // a span, with this token
        std::uint32_t silence_before;
        open_span open_before;
        gate_decision decision;
    };
    struct restarted {
        std::int64_t position;              // of the push that found the context full
        std::vector<token_id> left_behind;  // the older half
    };
    struct stream {
        gate_log<G> log;
        std::vector<token_id> window = {};
        std::vector<pushed> outcomes = {};  // one a position, the last one's at the back
        std::int64_t position = 0;
        std::uint32_t silence = 0;  // NULLs in a row so far
        open_span open = {};
        std::vector<float> logits = {};
        statistics counts = {};
        std::vector<restarted> restarts = {};  // the last two: a rewind to the oldest token kept undoes both
    };

    /// `silence`: NULLs in a row before this position.
    wake_reason reason_to_fire(const gate_decision& decision, std::int64_t position,
                               std::uint32_t silence) const {
        if (decision.fire) return wake_reason::rate;
        if (explores(options_.explore, options_.seed, position)) return wake_reason::explore;
        if (options_.max_silence != 0 && silence >= options_.max_silence) return wake_reason::max_silence;
        return wake_reason::none;
    }

    /// Of the tokens that wait, how many will not be dropped: all, or those before a span that still may be.
    std::size_t certain() const {
        const std::size_t open = options_.discard ? stream_.open.length : 0;
        return pending() - std::min(pending(), open);
    }

    /// Runs the first n of those that wait; rows of logits for the last `wanted` of them.
    matrix_view<const float> run(std::size_t n, std::size_t wanted) {
        const std::span<const token_id> batch = std::span(std::as_const(stream_.window)).subspan(cached(), n);
        const matrix_view<const float> logits = model_->forward(state_, batch, wanted);
        ++stream_.counts.passes;
        stream_.counts.rows += batch.size();
        return logits;
    }

    step answer(wake_reason reason) {
        // With nothing waiting the last token runs again, which gives the same bits as running it then.
        if (pending() == 0) model_->truncate(state_, stream_.window.size() - 1);
        const std::span<const float> row = run(pending(), 1).row(0);
        const token_id token = sampler_.sample(
            row, {.seed = options_.seed, .stream = draw_stream::sampler, .position = stream_.position});
        stream_.logits.assign(row.begin(), row.end());
        return conclude(outcome::answered, reason, token);
    }

    step conclude(outcome what, wake_reason reason, std::optional<token_id> token) {
        pushed& last = stream_.outcomes.back();
        count(std::exchange(last.what, what), -1);
        count(what, +1);
        stream_.silence = token ? 0 : stream_.silence + 1;
        if (reason != wake_reason::none) ++stream_.counts.fires[static_cast<std::size_t>(reason)];
        return step_of(last.decision, reason, token);
    }

    step step_of(const gate_decision& decision, wake_reason reason, std::optional<token_id> token) const {
        return {.position = stream_.position - 1,
                .token = token,
                .rate = decision.rate,
                .theta = decision.theta,
                .reason = reason,
                .settled = {},
                .pending = static_cast<std::uint32_t>(pending()),
                .withdrawn = 0};
    }

    void count(outcome what, int change) {
        if (what == outcome::silent) stream_.counts.nulls += static_cast<std::uint64_t>(change);
        if (what == outcome::answered) stream_.counts.emitted += static_cast<std::uint64_t>(change);
    }

    /// As if the model's stream had never had its last n tokens.
    void take_out(std::size_t n) {
        stream_.window.resize(stream_.window.size() - n);
        if (cached() > stream_.window.size()) model_->truncate(state_, stream_.window.size());
        stream_.restarts.clear();
        stream_.log.forget(stream_.position);
        forget_outcomes();
        stream_.counts.discarded += n;
    }

    void restart() {
        const std::size_t kept = stream_.window.size() / 2;
        const auto first_kept = stream_.window.end() - static_cast<std::ptrdiff_t>(kept);
        if (stream_.restarts.size() == 2) stream_.restarts.erase(stream_.restarts.begin());
        stream_.restarts.push_back({stream_.position, {stream_.window.begin(), first_kept}});
        stream_.window.erase(stream_.window.begin(), first_kept);
        model_->truncate(state_, 0);
        stream_.log.mark(stream_.position);
        forget_outcomes();
        ++stream_.counts.restarts;
    }

    /// Outcomes are needed as far back as rewind() can go, and of one position more: force() may answer at
    /// it.
    void forget_outcomes() {
        const auto needed = static_cast<std::size_t>(stream_.position - stream_.log.oldest()) + 1;
        auto& outcomes = stream_.outcomes;
        if (outcomes.size() <= needed) return;
        outcomes.erase(outcomes.begin(), outcomes.end() - static_cast<std::ptrdiff_t>(needed));
    }

    void undo_restart() {
        const std::vector<token_id>& older = stream_.restarts.back().left_behind;
        stream_.window.insert(stream_.window.begin(), older.begin(), older.end());
        stream_.restarts.pop_back();
        model_->truncate(state_, 0);
        --stream_.counts.restarts;
    }

    const M* model_;
    typename M::state state_;
    S sampler_;
    reader_options options_;
    stream stream_;
};

template <Model M, Gate G, Sampler S>
class basic_reader<M, G, S>::saved {
    friend class basic_reader;
    saved(typename M::snapshot cache, stream rest) : cache_(std::move(cache)), stream_(std::move(rest)) {}
    typename M::snapshot cache_;
    stream stream_;
};

}  // namespace nullm::inline NULLM_ABI
