#pragma once
// The reader of spans as an executable specification, with nothing saved for later: at every answer the model
// is recomputed from an empty cache, and the gate from the beginning of its history.

#include <nullm/core/step.hpp>
#include <nullm/generate/concepts.hpp>
#include <nullm/generate/gate_history.hpp>
#include <nullm/generate/options.hpp>
#include <nullm/generate/reference_reader.hpp>
#include <nullm/generate/spans.hpp>
#include <nullm/model/concepts.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace nullm::inline NULLM_ABI {

template <Model M, SpanGate G, Sampler S>
struct reference_span_reader {
    const M& model;
    typename M::state& cache;
    S sampler;
    reader_options options;
    gate_history<G> gate;
    std::vector<token_id> window = {};  // since the last restart, without what was dropped
    std::int64_t position = 0;          // tokens pushed
    std::uint32_t pending = 0, silence = 0, open = 0;
    bool keep_open = false;  // the open span, whatever its gate says

    step push(token_id token) {                       // never answers
        if (window.size() == model.context(cache)) {  // go on from the last half
            window.erase(window.begin(), window.end() - window.size() / 2);
            pending = std::uint32_t(window.size());
        }
        const auto said = gate.step({token, position, 1.0F, 0, options.seed});
        gate.settle(token, position++, false);
        window.push_back(token), ++pending, ++open, ++silence;
        keep_open |= std::ranges::count(options.never_drop, token) > 0;
        // A span that may still be dropped is not cached.
        const std::uint32_t certain = options.discard ? pending - std::min(pending, open) : pending;
        const bool full = certain > 0 && certain >= options.max_pending;
        if (full) pending -= certain;  // cached, not answered
        const auto why = full ? wake_reason::max_pending : wake_reason::none;
        return {position - 1, {}, said.rate, said.theta, why, {}, pending};
    }

    span_step end_span(bool keep = false) {
        const token_id last = window.back();
        const auto said = gate.end_span({last, position - 1, 1.0F, 0, options.seed});
        const auto why = reason_to_run(options, said.fire, position - 1, std::max(silence, 1U) - 1);
        const bool silent = why == wake_reason::none;
        // The first four positions hold what attention sinks into.
        const bool spared = keep || keep_open || window.size() < open + 4U;
        const bool dropped = options.discard && silent && !spared;
        gate.settle_span(last, position - 1, options.discard ? !dropped : !silent);
        const std::uint32_t length = open;
        open = 0, keep_open = false;
        if (!silent) return {answer(said, why), length, span_fate::answered};
        if (dropped) window.resize(window.size() - length), pending -= std::min(pending, length);
        const auto fate = dropped           ? span_fate::dropped
                          : options.discard ? span_fate::spared
                                            : span_fate::waits;
        return {{position - 1, {}, said.rate, said.theta, why, {}, pending}, length, fate};
    }

    step force(gate_decision said) {  // at the last pushed position, of which the gate said this
        keep_open = open > 0;         // what an answer rests on is not taken back
        return answer(said, wake_reason::forced);
    }

    step answer(gate_decision said, wake_reason why) {
        pending = silence = 0;
        model.truncate(cache, 0);
        const auto logits = model.forward(cache, window, 1).row(0);
        const auto token = sampler.sample(logits, {options.seed, draw_stream::sampler, position});
        return {position - 1, token, said.rate, said.theta, why, {}};
    }
};

}  // namespace nullm::inline NULLM_ABI
