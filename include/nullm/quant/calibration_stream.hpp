#pragma once
// The residual stream of a calibration text on its way through a llama, one layer at a time.

#include <nullm/attention/exact_attention.hpp>
#include <nullm/attention/kv_cache.hpp>
#include <nullm/core/aligned.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/matrix_view.hpp>
#include <nullm/core/thread_pool.hpp>
#include <nullm/core/token.hpp>
#include <nullm/linear/dense_linear.hpp>
#include <nullm/linear/dequantize.hpp>
#include <nullm/model/checkpoint.hpp>
#include <nullm/model/rms_norm.hpp>
#include <nullm/model/rope.hpp>
#include <nullm/model/swiglu.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// Windows of equal length, each a text of its own from position 0, in float arithmetic. The caller takes a
/// layer's steps in order - attend, close_attention, activate, close_mlp - each with weights it has, and may
/// read what the next matrices will multiply in between. Memory: 4 (2 width + query width + mlp width) bytes
/// a token.
class calibration_stream {
 public:
    using linear = dense_linear<float>;

    /// `window` tokens each; what is left over is not used. Throws error for no whole window, or one longer
    /// than the model's context.
    calibration_stream(const checkpoint& file, std::span<const token_id> text, std::size_t window, thread_pool& pool)
        : config_(file.config()),
          window_(window),
          windows_(window == 0 ? 0 : text.size() / window),
          rope_(config_.rope_size, static_cast<double>(config_.rope_base)),
          cache_({.layers = 1, .kv_heads = config_.kv_heads, .head_size = config_.head_size}, window),
          attention_state_(attention_, {.heads = config_.heads, .cache = cache_.shape()}) {
        if (windows_ == 0 || window > config_.context) {
            throw error("calibration text",
                        "at least one window of " + std::to_string(window) + " tokens, within the model's context",
                        std::to_string(text.size()) + " tokens");
        }
        const std::size_t tokens = windows_ * window_;
        const auto embedding = file.tensor("token_embd.weight", config_.vocabulary, config_.width);
        x_.resize(tokens * config_.width);
        normed_.resize(window_ * config_.width);
        delta_.resize(window_ * config_.width);
        attended_.resize(tokens * query_width());
        activated_.resize(tokens * config_.mlp_width);
        pool.for_each(tokens, 64, [&](std::size_t t) {
            dequantize_row(embedding, static_cast<std::size_t>(text[t]), matrix(x_, config_.width, 0, tokens).row(t));
        });
        cosine_.resize(window_ * rope_.size());
        sine_.resize(window_ * rope_.size());
        for (std::size_t p = 0; p < window_; ++p) {
            rope_.angles(p, std::span(cosine_).subspan(p * rope_.size(), rope_.size()),
                         std::span(sine_).subspan(p * rope_.size(), rope_.size()));
        }
    }

    std::size_t windows() const { return windows_; }
    std::size_t window() const { return window_; }

    /// The rows of window w behind a norm; valid until the next call.
    matrix_view<const float> normed(std::size_t w, std::span<const float> norm, thread_pool& pool) {
        const auto x = matrix(x_, config_.width, w, window_);
        const auto out = matrix(normed_, config_.width, 0, window_);
        pool.for_each(window_, 16, [&](std::size_t r) { rms_norm(x.row(r), norm, config_.rms_epsilon, out.row(r)); });
        return out;
    }
    /// What the heads of window w gave; set by attend().
    matrix_view<const float> attended(std::size_t w) const { return matrix(attended_, query_width(), w, window_); }
    /// silu(gate) * up of window w; set by activate().
    matrix_view<const float> activated(std::size_t w) const {
        return matrix(activated_, config_.mlp_width, w, window_);
    }

    /// The residual stream of window w, as far as it has been closed.
    matrix_view<const float> residual(std::size_t w) const { return matrix(x_, config_.width, w, window_); }

    void attend(std::span<const float> norm, const linear& qkv, thread_pool& pool) {
        const std::size_t q_width = query_width();
        const std::size_t kv_width = config_.kv_heads * config_.head_size;
        wide_.resize(window_ * qkv.out());
        const auto all = matrix(wide_, qkv.out(), 0, window_);
        for (std::size_t w = 0; w < windows_; ++w) {
            input_.assign(normed(w, norm, pool), pool);
            qkv.apply(input_, all, pool);
            cache_.truncate(0);
            cache_.prepare(window_);
            pool.for_each(window_, 8, [&](std::size_t r) {
                const auto row = all.row(r);
                const auto cosine = std::span<const float>(cosine_).subspan(r * rope_.size(), rope_.size());
                const auto sine = std::span<const float>(sine_).subspan(r * rope_.size(), rope_.size());
                rope_.rotate(row.first(q_width + kv_width), config_.head_size, cosine, sine);
                cache_.store(0, r, row.subspan(q_width, kv_width), row.subspan(q_width + kv_width, kv_width));
            });
            attention_.attend(attention_state_, 0, {wide_.data(), window_, q_width, qkv.out()}, 0, cache_,
                              matrix(attended_, q_width, w, window_), pool);
            cache_.commit(window_);
        }
    }
    void close_attention(const linear& output, thread_pool& pool) {
        for (std::size_t w = 0; w < windows_; ++w) add(w, attended(w), output, pool);
    }
    void activate(std::span<const float> norm, const linear& gate_up, thread_pool& pool) {
        wide_.resize(window_ * gate_up.out());
        const auto both = matrix(wide_, gate_up.out(), 0, window_);
        for (std::size_t w = 0; w < windows_; ++w) {
            input_.assign(normed(w, norm, pool), pool);
            gate_up.apply(input_, both, pool);
            const auto out = matrix(activated_, config_.mlp_width, w, window_);
            pool.for_each(window_, 8, [&](std::size_t r) {
                swiglu(both.row(r).first(config_.mlp_width), both.row(r).last(config_.mlp_width), out.row(r));
            });
        }
    }
    void close_mlp(const linear& down, thread_pool& pool) {
        for (std::size_t w = 0; w < windows_; ++w) add(w, activated(w), down, pool);
    }

 private:
    std::size_t query_width() const { return config_.heads * config_.head_size; }

    static matrix_view<float> matrix(aligned_vector<float>& values, std::size_t cols, std::size_t w, std::size_t rows) {
        return {values.data() + w * rows * cols, rows, cols};
    }
    static matrix_view<const float> matrix(const aligned_vector<float>& values, std::size_t cols, std::size_t w,
                                           std::size_t rows) {
        return {values.data() + w * rows * cols, rows, cols};
    }

    void add(std::size_t w, matrix_view<const float> from, const linear& through, thread_pool& pool) {
        input_.assign(from, pool);
        const auto delta = matrix(delta_, config_.width, 0, window_);
        through.apply(input_, delta, pool);
        const auto x = matrix(x_, config_.width, w, window_);
        pool.for_each(window_, 32, [&](std::size_t r) { add_residual(x.row(r), delta.row(r)); });
    }

    llama_config config_;
    std::size_t window_;
    std::size_t windows_;
    rope rope_;
    kv_cache<float> cache_;  // of one layer and window
    exact_attention<float> attention_;
    exact_attention<float>::state attention_state_;
    linear::input input_;

    aligned_vector<float> x_;          // (tokens, width)
    aligned_vector<float> attended_;   // (tokens, query width)
    aligned_vector<float> activated_;  // (tokens, mlp width)
    aligned_vector<float> normed_;     // (window, width), as what follows
    aligned_vector<float> delta_;
    aligned_vector<float> wide_;
    std::vector<float> cosine_;
    std::vector<float> sine_;
};

}  // namespace nullm::inline NULLM_ABI
