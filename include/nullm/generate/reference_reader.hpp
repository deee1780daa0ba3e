#pragma once
// The reader as an executable specification, with nothing saved for later: at every answer the model is
// recomputed from an empty cache, and the gate from the beginning of its history.

#include <nullm/core/step.hpp>
#include <nullm/generate/concepts.hpp>
#include <nullm/generate/gate_history.hpp>
#include <nullm/generate/options.hpp>
#include <nullm/model/concepts.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// Why a gate's word, exploration or a long silence run the model; `none` where nothing does.
wake_reason reason_to_run(const auto& o, bool fire, std::int64_t position, std::size_t silence,
                          std::uint32_t repeat = 0) {
    if (fire) return wake_reason::rate;
    if (explores(o.explore, o.seed, position, repeat)) return wake_reason::explore;
    return o.max_silence && silence >= o.max_silence ? wake_reason::max_silence : wake_reason::none;
}

template <Model M, Gate G, Sampler S>
struct reference_reader {
    const M& model;
    typename M::state& cache;
    S sampler;
    reader_options options;
    gate_history<G> gate;
    std::vector<token_id> window = {};  // since the last restart
    std::int64_t position = 0;          // tokens pushed
    std::uint32_t pending = 0, silence = 0;

    step push(token_id token) {
        if (window.size() == model.context(cache)) {  // go on from the last half
            window.erase(window.begin(), window.end() - window.size() / 2);
            pending = std::uint32_t(window.size());
        }
        const auto said = gate.step({token, position, 1.0F, 0, options.seed});
        auto why = reason_to_run(options, said.fire, position, silence);
        window.push_back(token), ++pending;
        gate.settle(token, position++, why != wake_reason::none);
        if (why != wake_reason::none) return answer(said, why);
        ++silence;
        if (pending >= options.max_pending)
            why = wake_reason::max_pending, pending = 0;  // cached, not answered
        return {position - 1, {}, said.rate, said.theta, why, {}, pending};
    }
    step answer(gate_decision said, wake_reason why) {  // force() too
        pending = silence = 0;
        model.truncate(cache, 0);
        const auto logits = model.forward(cache, window, 1).row(0);
        const auto token = sampler.sample(logits, {options.seed, draw_stream::sampler, position});
        return {position - 1, token, said.rate, said.theta, why, {}};
    }
};

}  // namespace nullm::inline NULLM_ABI
