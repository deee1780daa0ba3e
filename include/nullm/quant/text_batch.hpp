#pragma once
// Many texts of one model that grow side by side, a token each a step.

#include <nullm/attention/exact_attention.hpp>
#include <nullm/attention/kv_cache.hpp>
#include <nullm/core/aligned.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/matrix_view.hpp>
#include <nullm/core/thread_pool.hpp>
#include <nullm/core/token.hpp>
#include <nullm/linear/concepts.hpp>
#include <nullm/linear/dequantize.hpp>
#include <nullm/model/checkpoint.hpp>
#include <nullm/model/llama_config.hpp>
#include <nullm/model/llama_weights.hpp>
#include <nullm/model/rms_norm.hpp>
#include <nullm/model/rope.hpp>
#include <nullm/model/swiglu.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// A llama's texts, independent of each other but of one length: a step reads every weight once for all of
/// them, where sessions of their own would read it once for each. The logits of a text are those a `llama`
/// with exact attention over an f16 cache gives for it alone, bit for bit.
template <Linear LinearType>
class text_batch {
 public:
    /// Empty texts with room for `context` tokens each. File and weights are referred to. Memory: the caches,
    /// 4 x layers x KV heads x head size bytes a token and text, and the logits.
    text_batch(const checkpoint& file, const llama_weights<LinearType>& weights, std::size_t texts,
               std::size_t context)
        : config_(file.config()),
          weights_(weights),
          rope_(config_.rope_size, static_cast<double>(config_.rope_base)),
          context_(context),
          x_(texts * config_.width),
          delta_(x_.size()),
          normed_(x_.size()),
          qkv_(texts * (query_width() + 2 * kv_width())),
          attended_(texts * query_width()),
          gate_up_(texts * 2 * config_.mlp_width),
          activated_(texts * config_.mlp_width),
          logits_(texts * config_.vocabulary),
          cosine_(rope_.size()),
          sine_(rope_.size()) {
        if (texts == 0 || context == 0 || context > config_.context) {
            throw error("text batch", "a text, and a context of 1 to " + std::to_string(config_.context),
                        std::to_string(texts) + " texts of " + std::to_string(context));
        }
        for (std::size_t t = 0; t < texts; ++t) texts_.push_back(std::make_unique<text>(config_, context));
    }

    std::size_t texts() const { return texts_.size(); }
    std::size_t length() const { return length_; }

    /// Appends tokens[t] to text t, for all texts, and returns the logits behind them, (texts, vocabulary),
    /// valid until the next step. Throws error if the tokens are not one a text and in the vocabulary, or the
    /// context is full.
    matrix_view<const float> step(std::span<const token_id> tokens, thread_pool& pool) {
        check(tokens);
        const auto x = rows(x_), delta = rows(delta_), normed = rows(normed_), qkv = rows(qkv_);
        const auto attended = rows(attended_), gate_up = rows(gate_up_), activated = rows(activated_);
        rope_.angles(length_, cosine_, sine_);
        pool.for_each(texts(), 1, [&](std::size_t t) {
            dequantize_row(weights_.embedding, static_cast<std::size_t>(tokens[t]), x.row(t));
            texts_[t]->cache.prepare(length_ + 1);
        });
        for (std::size_t l = 0; l < config_.layers; ++l) {
            const auto& w = weights_.layers[l];
            pool.for_each(texts(), 8, [&](std::size_t t) {
                rms_norm(x.row(t), w.attention_norm, config_.rms_epsilon, normed.row(t));
            });
            normed_input_.assign(normed, pool);
            w.qkv.apply(normed_input_, qkv, pool);
            pool.for_each(texts(), 1, [&](std::size_t t) { attend(l, t, qkv.row(t), attended); });
            attended_input_.assign(attended, pool);
            w.attention_output.apply(attended_input_, delta, pool);
            pool.for_each(texts(), 8, [&](std::size_t t) {
                add_residual(x.row(t), delta.row(t));
                rms_norm(x.row(t), w.mlp_norm, config_.rms_epsilon, normed.row(t));
            });
            normed_input_.assign(normed, pool);
            w.gate_up.apply(normed_input_, gate_up, pool);
            pool.for_each(texts(), 4, [&](std::size_t t) {
                const auto both = gate_up.row(t);
                swiglu(both.first(config_.mlp_width), both.last(config_.mlp_width), activated.row(t));
            });
            activated_input_.assign(activated, pool);
            w.down.apply(activated_input_, delta, pool);
            pool.for_each(texts(), 32, [&](std::size_t t) { add_residual(x.row(t), delta.row(t)); });
        }
        pool.for_each(texts(), 8, [&](std::size_t t) {
            rms_norm(x.row(t), weights_.final_norm, config_.rms_epsilon, normed.row(t));
            texts_[t]->cache.commit(length_ + 1);
        });
        normed_input_.assign(normed, pool);
        weights_.head.apply(normed_input_, rows(logits_), pool);
        ++length_;
        return {logits_.data(), texts(), config_.vocabulary};
    }

 private:
    using attention = exact_attention<f16>;

    // A row of attention is little work: texts are shared out, each on a thread of its own.
    struct text {
        text(const llama_config& c, std::size_t context)
            : cache({.layers = c.layers, .kv_heads = c.kv_heads, .head_size = c.head_size}, context),
              state(attention{}, {.heads = c.heads, .cache = cache.shape()}) {}

        kv_cache<f16> cache;
        attention::state state;
        thread_pool alone{1};
    };

    std::size_t query_width() const { return config_.heads * config_.head_size; }
    std::size_t kv_width() const { return config_.kv_heads * config_.head_size; }

    matrix_view<float> rows(aligned_vector<float>& values) const {
        return {values.data(), texts(), values.size() / texts()};
    }

    void attend(std::size_t layer, std::size_t t, std::span<float> qkv, matrix_view<float> attended) {
        text& one = *texts_[t];
        rope_.rotate(qkv.first(query_width() + kv_width()), config_.head_size, cosine_, sine_);
        one.cache.store(layer, length_, qkv.subspan(query_width(), kv_width()), qkv.last(kv_width()));
        attention_.attend(one.state, layer, {qkv.data(), 1, query_width()}, length_, one.cache,
                          attended.subrows(t, 1), one.alone);
    }

    void check(std::span<const token_id> tokens) const {
        if (tokens.size() != texts()) {
            throw error("text batch", "a token for each of " + std::to_string(texts()) + " texts",
                        std::to_string(tokens.size()));
        }
        if (length_ == context_) {
            throw error("text batch", "at most " + std::to_string(context_) + " tokens a text", "one more");
        }
        for (const token_id token : tokens) {
            if (token >= 0 && static_cast<std::size_t>(token) < config_.vocabulary) continue;
            throw error("text batch", "token ids below " + std::to_string(config_.vocabulary), std::to_string(token));
        }
    }

    llama_config config_;
    const llama_weights<LinearType>& weights_;
    rope rope_;
    attention attention_;
    std::size_t context_;
    std::size_t length_ = 0;
    std::vector<std::unique_ptr<text>> texts_;

    // A row a text.
    aligned_vector<float> x_;
    aligned_vector<float> delta_;
    aligned_vector<float> normed_;
    aligned_vector<float> qkv_;
    aligned_vector<float> attended_;
    aligned_vector<float> gate_up_;
    aligned_vector<float> activated_;
    aligned_vector<float> logits_;
    std::vector<float> cosine_;
    std::vector<float> sine_;
    typename LinearType::input normed_input_;
    typename LinearType::input attended_input_;
    typename LinearType::input activated_input_;
};

}  // namespace nullm::inline NULLM_ABI
