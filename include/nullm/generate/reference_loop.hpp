#pragma once
// The loop as an executable specification: what a writer does (and, in reference_reader.hpp, a reader), with
// nothing saved for later. The model is recomputed from an empty cache at every answer, the gate from its
// beginning.

#include <nullm/generate/reference_reader.hpp>

#include <algorithm>
#include <optional>
#include <span>

namespace nullm::inline NULLM_ABI {

template <Model M, Gate G, Drafter D, Sampler S>
struct reference_writer {
    const M& model;
    typename M::state& cache;
    D drafter;
    S sampler;
    writer_options options;
    gate_history<G> gate;
    std::vector<token_id> tokens;  // prompt, text, and what is provisional
    std::size_t prompt = tokens.size(), settled = prompt, cached = prompt - 1;
    std::size_t limit = std::min<std::size_t>(options.max_tokens, model.context(cache) - prompt);
    std::uint32_t pauses = 0;
    bool stopped = false;
    std::vector<resolved_token> accepted = {};

    void start() {
        for (std::int64_t p = 0; p < std::int64_t(prompt); ++p) {
            if (drafts<D> || p + 1 < std::int64_t(prompt)) gate.step({tokens[p], p, 1.0F, 0, options.seed});
            gate.settle(tokens[p], p, false);
        }
    }
    bool finished() const { return stopped || settled - prompt >= limit; }
    bool stops(token_id t) const { return std::ranges::count(options.stop_tokens, t) > 0; }

    step next(bool forced = false) {
        const std::int64_t p = tokens.size();  // position of the candidate
        const std::size_t nulls = tokens.size() - settled, room = prompt + limit - tokens.size();
        typename D::state nothing{};
        auto c = room > 1 ? drafter.propose(nothing, tokens, settled) : std::nullopt;
        gate_decision said;
        auto why = wake_reason::none;
        if (drafts<D> && room == 1) {
            why = limit == options.max_tokens ? wake_reason::end : wake_reason::context;
        } else if (drafts<D> && !c) {
            why = wake_reason::no_candidate;
        } else if (c && stops(c->candidate)) {
            why = wake_reason::end, c.reset();
        } else {
            const auto t = c.value_or(draft{tokens.back()});
            said = gate.step({t.candidate, c ? p : p - 1, t.confidence, pauses, options.seed});
            why = forced ? wake_reason::forced
                         : reason_to_run(options, said.fire, p, c ? nulls : pauses, pauses);
            if (why == wake_reason::none && c && nulls >= options.max_pending) why = wake_reason::max_pending;
        }
        accepted.clear();
        if (c) tokens.push_back(c->candidate);
        if (why == wake_reason::none) {
            pauses += c ? 0 : 1;
            return {p, {}, said.rate, said.theta, why, {}, std::uint32_t(tokens.size() - settled)};
        }
        // The candidates that are what the model writes itself, up to the first that is not; then its own
        // token.
        token_id own = written_at(settled);
        for (; settled < tokens.size() && own == tokens[settled]; own = written_at(settled)) {
            accepted.push_back({std::int64_t(settled++), own});
        }
        const std::int64_t at = settled;
        gate.undo(at, at);
        for (const auto& a : accepted) gate.settle(a.token, a.position, a.position == p);
        tokens.resize(cached = settled);
        pauses = 0;
        stopped = stops(own);
        if (!stopped) {
            if (drafts<D>) gate.step({own, at, 1.0F, 0, options.seed});
            gate.settle(own, at, true);
            tokens.push_back(own), ++settled;
        }
        return {at, own, said.rate, said.theta, why, accepted, 0, std::uint32_t(at < p ? p - at : 0)};
    }
    token_id written_at(std::size_t p) {
        model.truncate(cache, 0);
        const auto logits = model.forward(cache, std::span(tokens).first(p), 1).row(0);
        return sampler.sample(logits, {options.seed, draw_stream::sampler, std::int64_t(p)});
    }
    void rewind(std::size_t n) {
        tokens.resize(settled -= n);
        cached = settled - 1, pauses = 0, stopped = false;
        gate.undo(settled, drafts<D> ? settled : settled - 1);
    }
};

}  // namespace nullm::inline NULLM_ABI
