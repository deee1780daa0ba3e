#pragma once
// Text for calibration out of the model's own mouth.

#include <nullm/core/random.hpp>
#include <nullm/core/thread_pool.hpp>
#include <nullm/core/token.hpp>
#include <nullm/generate/sampler.hpp>
#include <nullm/linear/concepts.hpp>
#include <nullm/model/checkpoint.hpp>
#include <nullm/quant/text_batch.hpp>
#include <nullm/text/tokenizer.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// `windows` texts of `window` tokens each, one after the other, sampled at temperature 1: each begins with
/// the token that begins or ends texts, if the vocabulary has one, and a word drawn from all (compare LLM-QAT,
/// Liu et al. 2023). A function of weights and seed. Texts grow side by side, at most 48 at a time; their
/// caches are what it takes in memory (text_batch). `progress(done)` counts tokens.
template <Linear LinearType>
std::vector<token_id> sample_text(const checkpoint& file, const tokenizer& tokens, std::size_t windows,
                                  std::size_t window, std::uint64_t seed, thread_pool& pool,
                                  const std::function<void(std::size_t)>& progress = {}) {
    constexpr std::size_t at_once = 48;  // bounds their caches: of SmolLM2, 0.6 GB at 512 tokens
    const temperature_sampler sampler;
    std::optional<token_id> opening = tokens.find("<|endoftext|>");
    if (!opening) opening = tokens.bos();
    const auto any_word = [&](std::size_t w) {
        for (std::uint32_t draw = 0;; ++draw) {
            const draw_key key{.seed = seed, .stream = draw_stream::test, .position = static_cast<std::int64_t>(w)};
            const auto id = static_cast<token_id>((std::uint64_t{draw_u32(key, draw)} * tokens.size()) >> 32);
            if (!tokens.is_control(id) && !tokens.piece(id).empty()) return id;
        }
    };

    const llama_weights<LinearType> weights(file, pool.size());
    std::vector<token_id> all(windows * window);
    for (std::size_t first = 0; first < windows; first += at_once) {
        text_batch<LinearType> texts(file, weights, std::min(at_once, windows - first), window);
        std::vector<token_id> next(texts.texts());
        matrix_view<const float> logits;
        for (std::size_t p = 0; p < window; ++p) {
            pool.for_each(next.size(), 1, [&](std::size_t t) {
                const std::size_t w = first + t;
                const draw_key key{.seed = seed,
                                   .stream = draw_stream::sampler,
                                   .position = static_cast<std::int64_t>(w * window + p)};
                if (p == 0 && opening) {
                    next[t] = *opening;
                } else if (p == 0 || (p == 1 && opening)) {
                    next[t] = any_word(w);
                } else {
                    next[t] = sampler.sample(logits.row(t), key);
                }
                all[w * window + p] = next[t];
            });
            if (p + 1 < window) logits = texts.step(next, pool);
            if (progress) progress(first * window + (p + 1) * next.size());
        }
    }
    return all;
}

}  // namespace nullm::inline NULLM_ABI
