#pragma once
// Text for calibration out of the model's own mouth.

#include <nullm/core/random.hpp>
#include <nullm/core/token.hpp>
#include <nullm/generate/sampler.hpp>
#include <nullm/model/concepts.hpp>
#include <nullm/text/tokenizer.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// `windows` texts of `window` tokens each, one after the other, sampled at temperature 1: each begins with
/// the token that begins or ends texts, if the vocabulary has one, and a word drawn from all (compare LLM-QAT,
/// Liu et al. 2023). A function of model and seed. `progress(done)` is called after every text.
template <Model M>
std::vector<token_id> sample_text(const M& model, const tokenizer& tokens, std::size_t windows, std::size_t window,
                                  std::uint64_t seed, unsigned threads,
                                  const std::function<void(std::size_t)>& progress = {}) {
    const temperature_sampler sampler;
    std::optional<token_id> opening = tokens.find("<|endoftext|>");
    if (!opening) opening = tokens.bos();
    std::vector<token_id> all;
    all.reserve(windows * window);
    typename M::state session(model, {.threads = threads, .context = window});
    for (std::size_t w = 0; w < windows; ++w) {
        std::vector<token_id> text;
        if (opening) text.push_back(*opening);
        for (std::uint32_t draw = 0;; ++draw) {
            const draw_key key{.seed = seed, .stream = draw_stream::test, .position = static_cast<std::int64_t>(w)};
            const auto id = static_cast<token_id>((std::uint64_t{draw_u32(key, draw)} * tokens.size()) >> 32);
            if (tokens.is_control(id) || tokens.piece(id).empty()) continue;
            text.push_back(id);
            break;
        }
        model.truncate(session, 0);
        auto logits = model.forward(session, text, 1);
        while (text.size() < window) {
            const draw_key key{.seed = seed,
                               .stream = draw_stream::sampler,
                               .position = static_cast<std::int64_t>(w * window + text.size())};
            text.push_back(sampler.sample(logits.row(0), key));
            if (text.size() < window) logits = model.forward(session, {&text.back(), 1}, 1);
        }
        all.insert(all.end(), text.begin(), text.begin() + static_cast<std::ptrdiff_t>(window));
        if (progress) progress(w + 1);
    }
    return all;
}

}  // namespace nullm::inline NULLM_ABI
