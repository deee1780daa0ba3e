#pragma once
// The writer: the model continues its own text. Where the gate is silent a drafted token stands in,
// unverified; where it fires, all of them are verified in one batch.

#include <nullm/core/error.hpp>
#include <nullm/core/step.hpp>
#include <nullm/generate/concepts.hpp>
#include <nullm/generate/gate_log.hpp>
#include <nullm/generate/options.hpp>
#include <nullm/generate/statistics.hpp>
#include <nullm/model/concepts.hpp>
#include <nullm/spike/gate.hpp>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// Writes a text. Each next() yields either a token, with the candidates it settles before it, or a NULL. The
/// text is that of the dense model (always_open, no_drafter) with the same sampler and seed, whatever gate,
/// drafter and limits: a candidate stands only if it is the token the sampler picks at its position (the
/// rejection rule of Leviathan et al. 2023, arXiv:2211.17192, for a draft that is a point).
///
/// Without a drafter (drafts<D> is false) a NULL is a pause: no position, and the text only grows where the
/// gate fires. A gate that stays shut then never ends the text; max_silence does. If a model or sampler
/// throws out of next(), the writer is as before the call.
template <Model M, Gate G, Drafter D, Sampler S>
class basic_writer {
 public:
    /// `model` must outlive the writer; `state` is one of its states, whose cache is emptied and filled with
    /// the prompt but its last token. Throws nullm::error if the prompt is empty, longer than the context -
    /// 1, or has a token that is not of the vocabulary.
    basic_writer(const M& model, typename M::state state, G gate, D drafter, S sampler,
                 std::span<const token_id> prompt, writer_options options = {})
        : model_(&model),
          state_(std::move(state)),
          drafter_(std::move(drafter)),
          sampler_(std::move(sampler)),
          options_(std::move(options)),
          prompt_(prompt.size()),
          progress_{.log = gate_log<G>(std::move(gate), options_.seed)} {
        const std::size_t context = model_->context(state_);
        if (prompt.empty()) throw error("writer", "a prompt of one token or more", "none");
        if (prompt.size() >= context) {
            throw error("writer",
                        "a prompt of at most " + std::to_string(context == 0 ? 0 : context - 1) + " tokens",
                        std::to_string(prompt.size()));
        }
        for (const token_id token : prompt) check(token, "writer prompt");
        const std::size_t room = context - prompt.size();
        limit_ = std::min<std::size_t>(options_.max_tokens, room);
        limit_reason_ = room < options_.max_tokens ? wake_reason::context : wake_reason::end;

        progress_.tokens.reserve(prompt.size() + limit_ + 1);
        progress_.tokens.assign(prompt.begin(), prompt.end());
        progress_.settled = prompt.size();
        progress_.counts.prompt_tokens = prompt.size();
        for (std::size_t p = 0; p < prompt.size(); ++p) {
            if (drafts<D> || p + 1 < prompt.size()) progress_.log.step(prompt[p], position_of(p));
            progress_.log.settle(prompt[p], position_of(p), false);
        }
        progress_.log.forget(position_of(prompt.size()));
        model_->truncate(state_, 0);
        if (prompt.size() > 1) model_->forward(state_, prompt.first(prompt.size() - 1), 0);
    }

    /// The next step. Throws nullm::error if the text is finished.
    step next() { return advance(false); }

    /// The next step, at which the model runs whatever the gate says.
    step force() { return advance(true); }

    /// Whether a stop token was written, or max_tokens, or the context is full.
    bool finished() const { return progress_.stopped_by.has_value() || generated() >= limit_; }
    /// `context` if the context is full, `end` if the text ended otherwise, `none` while it goes on.
    wake_reason finish_reason() const {
        if (progress_.stopped_by) return wake_reason::end;
        return finished() ? limit_reason_ : wake_reason::none;
    }
    /// The stop token that ended the text, if one did.
    std::optional<token_id> stopped_by() const { return progress_.stopped_by; }

    /// The text so far: every token is settled, the stop token left out. Valid until the next step.
    std::span<const token_id> text() const { return all().subspan(prompt_, generated()); }
    std::span<const token_id> prompt() const { return all().first(prompt_); }
    /// Candidates yielded as NULL and not yet verified; they follow text().
    std::span<const token_id> provisional() const { return all().subspan(progress_.settled); }

    /// Drops what is provisional and the last n tokens of the text; it goes on as the dense text does from
    /// there. Throws nullm::error if n is more than the text has.
    void rewind(std::size_t n) {
        if (n > generated()) {
            throw error("writer::rewind", "at most " + std::to_string(generated()) + " tokens",
                        std::to_string(n));
        }
        progress_.settled -= n;
        progress_.tokens.resize(progress_.settled);
        progress_.was_null.resize(generated());
        progress_.stopped_by.reset();
        progress_.pauses = 0;
        progress_.resolved.clear();
        progress_.counts.positions = generated();
        progress_.counts.nulls = static_cast<std::uint64_t>(
            std::count(progress_.was_null.begin(), progress_.was_null.end(), true));
        progress_.counts.emitted = progress_.counts.positions - progress_.counts.nulls;
        if (model_->length(state_) >= progress_.settled) model_->truncate(state_, progress_.settled - 1);
        const std::int64_t end = position_of(progress_.settled);
        progress_.log.rewind(end, drafts<D> ? end : end - 1);
    }

    /// Asks a running next() or force() to stop, from any thread; it then throws nullm::cancelled.
    /// Only with a model whose state can be asked.
    void request_cancel() requires requires(typename M::state& state) { state.request_cancel(); }
    { state_.request_cancel(); }

    class saved;
    /// A copy of all that a writer is apart from its options and prompt length; restore() makes the writer it
    /// came from that one again.
    saved snapshot() const { return saved(model_->save(state_), progress_); }
    void restore(const saved& from) {
        progress copy = from.progress_;
        model_->restore(state_, from.cache_);
        progress_ = std::move(copy);
    }

    std::size_t cached() const { return model_->length(state_); }
    const statistics& stats() const { return progress_.counts; }
    const typename G::state& gate_state() const { return progress_.log.state(); }
    const typename M::state& model_state() const { return state_; }
    const writer_options& options() const { return options_; }

 private:
    struct progress {
        gate_log<G> log;
        std::vector<token_id> tokens = {};  // prompt, text, provisional
        std::size_t settled = 0;            // prompt and text; the last of them is not in the cache
        std::vector<bool> was_null = {};    // for each token of the text: first yielded as NULL
        std::vector<typename gate_log<G>::now_type> before =
            {};                    // the gate's `now` before provisional position i
        std::uint32_t pauses = 0;  // since the text last grew
        std::optional<token_id> stopped_by = {};
        std::vector<resolved_token> resolved = {};
        statistics counts = {};
    };

    static std::int64_t position_of(std::size_t index) { return static_cast<std::int64_t>(index); }
    std::span<const token_id> all() const { return progress_.tokens; }
    std::size_t generated() const { return progress_.settled - prompt_; }
    std::size_t waiting() const { return progress_.tokens.size() - progress_.settled; }
    bool stops(token_id token) const {
        return std::find(options_.stop_tokens.begin(), options_.stop_tokens.end(), token) !=
               options_.stop_tokens.end();
    }
    void check(token_id token, const char* where) const {
        if (token >= 0 && static_cast<std::size_t>(token) < model_->vocabulary()) return;
        throw error(where, "a token id below " + std::to_string(model_->vocabulary()), std::to_string(token));
    }

    void check(const draft& candidate) const {
        check(candidate.candidate, "writer's drafter");
        if (candidate.confidence >= 0.0F && candidate.confidence <= 1.0F) return;
        throw error("writer's drafter", "a confidence in [0, 1]", std::to_string(candidate.confidence));
    }

    step advance(bool forced) {
        if (finished()) throw error("writer::next", "a text that goes on", "a finished one");
        std::optional<draft> candidate;
        wake_reason reason = wake_reason::none;
        if constexpr (drafts<D>) {
            if (generated() + waiting() + 1 == limit_) {
                reason = limit_reason_;  // one more candidate would leave no room for the model's own token
            } else if (candidate = drafter_.propose(drafter_state_, all(), progress_.settled); !candidate) {
                reason = wake_reason::no_candidate;
            } else if (stops(candidate->candidate)) {
                candidate.reset();
                reason = wake_reason::end;
            } else {
                check(*candidate);
            }
        }
        if (reason != wake_reason::none) return fire({}, reason, {});

        keep_now();
        const std::int64_t position = position_of(progress_.tokens.size());
        const gate_decision decision =
            candidate ? progress_.log.step(candidate->candidate, position, candidate->confidence)
                      : progress_.log.step(progress_.tokens.back(), position - 1, 1.0F, progress_.pauses);
        reason = reason_to_fire(decision, position, forced, candidate.has_value());
        if (reason == wake_reason::none) return stay_silent(candidate, decision);
        try {
            return fire(candidate, reason, decision);
        } catch (...) {
            progress_.log.take_back(1, progress_.before[waiting()]);
            throw;
        }
    }

    void keep_now() {
        const auto& now = progress_.log.state().now;
        if (waiting() < progress_.before.size()) {
            progress_.before[waiting()] = now;
        } else {
            progress_.before.push_back(now);
        }
    }

    wake_reason reason_to_fire(const gate_decision& decision, std::int64_t position, bool forced,
                               bool drafted) const {
        const std::size_t silence = drafted ? waiting() : progress_.pauses;  // NULLs in a row
        if (forced) return wake_reason::forced;
        if (decision.fire) return wake_reason::rate;
        if (explores(options_.explore, options_.seed, position, progress_.pauses))
            return wake_reason::explore;
        if (options_.max_silence != 0 && silence >= options_.max_silence) return wake_reason::max_silence;
        if (drafted && waiting() >= options_.max_pending) return wake_reason::max_pending;
        return wake_reason::none;
    }

    step stay_silent(const std::optional<draft>& candidate, const gate_decision& decision) {
        const std::int64_t position = position_of(progress_.tokens.size());
        if (candidate) {
            progress_.tokens.push_back(candidate->candidate);
        } else {
            ++progress_.pauses;
            ++progress_.counts.pauses;
        }
        progress_.resolved.clear();
        return {.position = position,
                .token = {},
                .rate = decision.rate,
                .theta = decision.theta,
                .reason = wake_reason::none,
                .settled = {},
                .pending = static_cast<std::uint32_t>(waiting()),
                .withdrawn = 0};
    }

    struct verdict {
        std::size_t accepted;
        token_id own;
    };

    /// Runs the last settled token and all candidates; the longest prefix of them that the sampler picks too,
    /// and the token it picks next. On an exception cache and tokens are as before.
    verdict verify(const std::optional<draft>& candidate) {
        const std::size_t settled = progress_.settled;
        if (candidate) progress_.tokens.push_back(candidate->candidate);
        try {
            const std::span<const token_id> batch = all().subspan(settled - 1);
            const matrix_view<const float> logits = model_->forward(state_, batch, batch.size());
            verdict result{};
            for (;; ++result.accepted) {
                const std::size_t at = settled + result.accepted;
                result.own = sampler_.sample(
                    logits.row(result.accepted),
                    {.seed = options_.seed, .stream = draw_stream::sampler, .position = position_of(at)});
                if (at == progress_.tokens.size() || result.own != progress_.tokens[at]) break;
            }
            if (result.accepted + 1 < batch.size()) model_->truncate(state_, settled + result.accepted);
            ++progress_.counts.passes;
            progress_.counts.rows += batch.size();
            return result;
        } catch (...) {
            model_->truncate(state_, settled - 1);
            if (candidate) progress_.tokens.pop_back();
            throw;
        }
    }

    step fire(const std::optional<draft>& candidate, wake_reason reason, const gate_decision& decision) {
        const std::size_t nulls = waiting();
        const auto [accepted, own] = verify(candidate);
        const std::size_t drafted = waiting();  // the NULLs, and the candidate this step is about
        const std::size_t first = progress_.settled;

        if (accepted < drafted) progress_.log.take_back(drafted - accepted, progress_.before[accepted]);
        progress_.resolved.clear();
        for (std::size_t i = 0; i < accepted; ++i) {
            const token_id token = progress_.tokens[first + i];
            progress_.log.settle(token, position_of(first + i), i == nulls);
            progress_.resolved.push_back({position_of(first + i), token});
            progress_.was_null.push_back(i < nulls);
        }
        progress_.settled += accepted;
        progress_.tokens.resize(progress_.settled);
        const std::int64_t position = position_of(progress_.settled);
        if (stops(own)) {
            progress_.stopped_by = own;
        } else {
            progress_.tokens.push_back(own);
            progress_.was_null.push_back(false);
            if (drafts<D>) progress_.log.step(own, position);
            progress_.log.settle(own, position, true);
            ++progress_.settled;
        }
        progress_.log.keep_copy(position_of(progress_.settled));
        progress_.pauses = 0;
        const std::size_t stood = std::min(accepted, nulls);
        statistics& counts = progress_.counts;
        counts.positions = generated();
        counts.nulls += stood;
        counts.emitted = counts.positions - counts.nulls;
        counts.withdrawn += nulls - stood;
        ++counts.fires[static_cast<std::size_t>(reason)];
        return {.position = position,
                .token = own,
                .rate = decision.rate,
                .theta = decision.theta,
                .reason = reason,
                .settled = progress_.resolved,
                .pending = 0,
                .withdrawn = static_cast<std::uint32_t>(nulls - stood)};
    }

    const M* model_;
    typename M::state state_;
    D drafter_;
    typename D::state drafter_state_ = {};
    S sampler_;
    writer_options options_;
    std::size_t prompt_;
    std::size_t limit_ = 0;
    wake_reason limit_reason_ = wake_reason::end;
    progress progress_;
};

template <Model M, Gate G, Drafter D, Sampler S>
class basic_writer<M, G, D, S>::saved {
    friend class basic_writer;
    saved(typename M::snapshot cache, progress rest) : cache_(std::move(cache)), progress_(std::move(rest)) {}
    typename M::snapshot cache_;
    progress progress_;
};

}  // namespace nullm::inline NULLM_ABI
