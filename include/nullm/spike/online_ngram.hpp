#pragma once
// How probable a token is after the ones before it, to someone who knows only the tokenizer and the text so
// far.

#include <nullm/core/error.hpp>
#include <nullm/core/token.hpp>
#include <nullm/spike/count_table.hpp>
#include <nullm/spike/fold_hash.hpp>
#include <nullm/spike/in_range.hpp>
#include <nullm/spike/natural_log.hpp>
#include <nullm/spike/token_window.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>

namespace nullm::inline NULLM_ABI {

struct ngram_params {
    std::uint32_t order = 2;          // tokens of context at most, 0 to 8
    std::uint32_t lines = 2048;       // of the count table, 64 bytes each: what is remembered, and copied
    std::uint32_t half_life = 16384;  // settled tokens after which all counts are halved, 1 to 2^15
    float prior_weight = 1000.0F;     // tokens of text that weigh as much as the prior, > 0
    float backoff_weight = 8.0F;      // occurrences of a context that weigh as much as the shorter one, > 0
    float prior_shift = 300.0F;       // s of the prior 1 / (id + s), > 0
};

/// An n-gram model without training text. Bottom: BPE learns frequent pieces first, so a token's id is its
/// rank, and Zipf's law as Mandelbrot corrected it gives p(id) ~ 1 / (id + prior_shift). Above it each
/// context of k = 0 ... order tokens is mixed with the next shorter one by a Dirichlet prior (MacKay and Peto
/// 1995):
///     p_k(t) = (count(context_k, t) + w_k p_(k-1)(t)) / (count(context_k) + w_k)
/// A settled token is counted after the contexts that had not yet seen it follow, from the longest down to
/// the first that had (update exclusion, as in PPM): shorter contexts count in how many longer ones a token
/// occurs, as Kneser and Ney's do. Counts live in one count_table and are halved every half_life tokens, so a
/// stream may be endless; a token seen once long ago then weighs a little more than it should.
///
/// Seen over 40,000 tokens of articles, 60,000 of source code and 60,000 of a package manager's log: mean
/// surprise 5.7, 3.8 and 1.0 nats; of order 1 5.6, 4.1 and 1.8, of order 3 5.9, 4.1 and 0.8. (SmolLM2-135M
/// has 3.0 on the articles.)
///
/// Cost: 2 order + 2 look-ups of a cache line a token and as many again to learn it.
class online_ngram {
 public:
    /// What settled text taught, about 64 lines bytes. Changed by settle() alone.
    struct memory {
        count_table counts;
        token_window context;
        std::uint32_t total = 0;  // tokens counted after the empty context
        std::uint32_t age = 0;    // tokens settled since the counts were halved
        friend bool operator==(const memory&, const memory&) = default;
    };

    /// For token ids below `vocabulary`. Throws nullm::error if that is 0 or a parameter is outside its
    /// range.
    explicit online_ngram(std::size_t vocabulary, const ngram_params& params = {})
        : vocabulary_(vocabulary), params_(params) {
        constexpr float huge = std::numeric_limits<float>::max();
        constexpr float tiny = std::numeric_limits<float>::min();
        if (vocabulary == 0) throw error("online_ngram", "a vocabulary", "none");
        if (params.order > token_window::length) {
            throw error("online_ngram order", "at most " + std::to_string(token_window::length),
                        std::to_string(params.order));
        }
        if (params.half_life == 0 || params.half_life > 1U << 15) {  // counts stay below 2^16
            throw error("online_ngram half_life", "1 to 32768", std::to_string(params.half_life));
        }
        in_range("online_ngram prior_weight", params.prior_weight, tiny, huge);
        in_range("online_ngram backoff_weight", params.backoff_weight, tiny, huge);
        in_range("online_ngram prior_shift", params.prior_shift, tiny, huge);
        count_table checked(params.lines);
        double sum = 0;
        for (std::size_t id = 0; id < vocabulary; ++id) {
            sum += 1.0 / (static_cast<double>(id) + static_cast<double>(params.prior_shift));
        }
        prior_scale_ = static_cast<float>(1.0 / sum);
    }

    const ngram_params& params() const { return params_; }
    memory initial() const {
        return {.counts = count_table(params_.lines), .context = {}, .total = 0, .age = 0};
    }

    /// In (0, 1], of `token` after `context`. Throws nullm::error for a token outside the vocabulary.
    float probability(const memory& learned, const token_window& context, token_id token) const {
        check(token);
        float p = prior_scale_ / (static_cast<float>(token) + params_.prior_shift);
        std::uint64_t hash = 0;
        p = mixed(learned.counts.count(follower(hash, token)), learned.total, params_.prior_weight, p);
        for (std::size_t k = 0; k < params_.order && context[k] >= 0; ++k) {
            hash = longer(hash, context[k]);
            const std::uint32_t seen = learned.counts.count(hash);
            if (seen == 0) break;
            p = mixed(learned.counts.count(follower(hash, token)), seen, params_.backoff_weight, p);
        }
        return std::max(p, std::numeric_limits<float>::min());
    }

    /// -ln of that: 0 for a certain token; a rare one in a strange place has 15 and more.
    float surprise(const memory& learned, const token_window& context, token_id token) const {
        return 0.0F - natural_log(probability(learned, context, token));
    }

    /// Learns the next token of the text. Throws nullm::error for a token outside the vocabulary.
    void settle(memory& learned, token_id token) const {
        check(token);
        std::array<std::uint64_t, token_window::length + 1> contexts{};
        std::size_t k = 0;
        while (k < params_.order && learned.context[k] >= 0) {
            contexts[k + 1] = longer(contexts[k], learned.context[k]);
            ++k;
        }
        for (bool known = false; !known; --k) {
            const std::uint64_t key = follower(contexts[k], token);
            known = learned.counts.count(key) > 0;
            learned.counts.add(key);
            if (k == 0) {
                ++learned.total;
                break;
            }
            learned.counts.add(contexts[k]);
        }
        learned.context.push(token);
        if (++learned.age == params_.half_life) {
            learned.counts.halve();
            learned.total = (learned.total + 1) / 2;
            learned.age = 0;
        }
    }

 private:
    // A context's own key, and that of a token behind it: two kinds, told apart by the lowest bit of what is
    // folded.
    static std::uint64_t longer(std::uint64_t context, token_id token) {
        return fold_hash(context, static_cast<std::uint64_t>(token) * 2 + 1);
    }
    static std::uint64_t follower(std::uint64_t context, token_id token) {
        return fold_hash(context, static_cast<std::uint64_t>(token) * 2);
    }
    /// Never above 1, though a context may have been forgotten before what followed it.
    static float mixed(std::uint32_t count, std::uint32_t total, float weight, float shorter) {
        const auto c = static_cast<float>(count);
        return std::fmaf(weight, shorter, c) / (static_cast<float>(std::max(count, total)) + weight);
    }
    void check(token_id token) const {
        if (token >= 0 && static_cast<std::size_t>(token) < vocabulary_) return;
        throw error("online_ngram token", "0 to " + std::to_string(vocabulary_ - 1), std::to_string(token));
    }

    std::size_t vocabulary_;
    ngram_params params_;
    float prior_scale_ = 0;
};

}  // namespace nullm::inline NULLM_ABI
