#pragma once
// What the dense model says at every position of a text, computed once for all gates.

#include "../../examples/progress.hpp"
#include "articles.hpp"
#include "bench.hpp"

#include <nullm/core/thread_pool.hpp>
#include <nullm/measure/prediction.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace decode {

/// One a token of the articles, in order.
struct dense_results {
    std::vector<float>
        surprisal;  // of the token itself, given those before it, nats; 0 for an article's first
    std::vector<std::uint8_t> right;   // whether the most likely next token is the next token
    std::vector<float> confidence;     // the most likely next token's probability
    std::vector<std::uint8_t> scored;  // both are known: neither the first nor the last token of its article

    void resize(std::size_t n) {
        surprisal.resize(n);
        right.resize(n);
        confidence.resize(n);
        scored.resize(n);
    }
};

/// Windows of 1024 tokens that do not leave their article; each but the first scores its second half, so that
/// every prediction rests on 512 tokens or on the whole article so far.
inline dense_results run_dense(const chosen_model& model, unsigned threads,
                               std::span<const article> articles) {
    constexpr std::size_t window = 1024, stride = 512;
    constexpr std::size_t piece = 128;  // logits of a whole window would take 200 MB
    std::size_t all = 0, done = 0;
    for (const article& a : articles) all += a.tokens.size();
    dense_results results;
    results.resize(all);

    chosen_model::state session(model, {.threads = threads, .context = window});
    nullm::thread_pool pool(threads);
    const cli::progress shown("dense pass");
    std::size_t first = 0;  // of the article, in the results
    for (const article& a : articles) {
        const std::span<const token_id> text(a.tokens);
        for (std::size_t begin = 0, scored = 0; scored < text.size(); begin += stride) {
            const std::size_t end = std::min(begin + window, text.size());
            model.truncate(session, 0);
            for (std::size_t at = begin; at < end; at += piece) {
                const std::size_t stop = std::min(at + piece, end);
                const std::size_t from = std::clamp(scored, at, stop);
                const auto logits = model.forward(session, text.subspan(at, stop - at), stop - from);
                pool.for_each(stop - from, 1, [&](std::size_t r) {
                    const auto row = logits.row(r);
                    const nullm::prediction said(row);
                    const std::size_t p = from + r;
                    results.confidence[first + p] = static_cast<float>(said.confidence);
                    if (p + 1 == text.size()) return;
                    const double s = nullm::surprisal(row, said, text[p + 1]);
                    results.surprisal[first + p + 1] = static_cast<float>(s);
                    results.right[first + p] = said.most_likely == text[p + 1] ? 1 : 0;
                    results.scored[first + p] = p > 0 ? 1 : 0;
                });
            }
            done += end - scored;
            scored = end;
            shown.at(done, all);
        }
        first += text.size();
    }
    for (const float s : results.surprisal) {
        if (!std::isfinite(s)) throw std::runtime_error("the dense model's logits are not finite");
    }
    return results;
}

}  // namespace decode
