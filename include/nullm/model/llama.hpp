#pragma once
// The llama transformer: embedding, n x (attention, MLP), head.

#include <nullm/attention/concepts.hpp>
#include <nullm/attention/kv_cache.hpp>
#include <nullm/core/aligned.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/matrix_view.hpp>
#include <nullm/core/thread_pool.hpp>
#include <nullm/core/token.hpp>
#include <nullm/linear/concepts.hpp>
#include <nullm/linear/dequantize.hpp>
#include <nullm/model/checkpoint.hpp>
#include <nullm/model/concepts.hpp>
#include <nullm/model/llama_config.hpp>
#include <nullm/model/llama_weights.hpp>
#include <nullm/model/resources.hpp>
#include <nullm/model/rms_norm.hpp>
#include <nullm/model/rope.hpp>
#include <nullm/model/swiglu.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// A llama-architecture model (Touvron et al. 2023; grouped queries, rotary positions, SwiGLU): SmolLM2,
/// Llama, TinyLlama, Mistral shapes. Weights are immutable; each session runs on a `state` of its own, any
/// number of them over one model on any threads. Satisfies Model.
template <class LinearType, class AttentionType>
requires Linear<LinearType> && Attention<AttentionType>
class llama {
 public:
    using linear = LinearType;
    using attention = AttentionType;
    using cache_type = typename AttentionType::cache_type;
    // An index that is almost one would be left behind without a word.
    static_assert(
        KeepsIndex<AttentionType> || !requires { typename AttentionType::snapshot; },
        "nullm llama: the attention names a snapshot, but does not model KeepsIndex");

    class state;

    /// A cache set aside: pointers to chunks shared with the state it came from. Costs no copy until one of
    /// the two is written, and then at most one chunk of 256 positions.
    struct snapshot {
        kv_cache<cache_type> cache;
        index_snapshot<AttentionType> index;
    };

    /// Loads the weights. The file stays mapped: embedding rows are read from it on demand.
    /// Throws error if a tensor is missing or misshapen.
    explicit llama(const checkpoint& file, load_options options = {}, AttentionType how = {})
        : config_(file.config()),
          attention_(how),
          rope_(config_.rope_size, static_cast<double>(config_.rope_base)),
          weights_(file, options.threads) {}

    const llama_config& config() const { return config_; }
    std::size_t vocabulary() const { return config_.vocabulary; }
    /// Bytes of matrices that one pass reads, all layers and the head: as its linear layers say, else as the
    /// file stores them.
    std::size_t weight_bytes() const { return weights_.bytes(); }

    std::size_t context(const state& session) const { return session.cache_.capacity(); }
    std::size_t length(const state& session) const { return session.cache_.length(); }
    /// Bytes of keys and values the state refers to, including chunks shared with others.
    std::size_t cache_bytes(const state& session) const { return session.cache_.allocated_bytes(); }

    /// What the session's attention has counted.
    auto counts(const state& session) const requires CountsKeys<AttentionType> {
        return attention_.counts(session.attention_);
    }

    /// Forgets the positions from n on.
    void truncate(state& session, std::size_t n) const {
        session.cache_.truncate(n);
        forget_index(session, n);
    }

    snapshot save(const state& session) const {
        if constexpr (KeepsIndex<AttentionType>) {
            return {session.cache_, attention_.save(session.attention_)};
        } else {
            return {session.cache_, {}};
        }
    }

    /// Throws error if the snapshot is of another model's shape or longer than the state's context.
    void restore(state& session, const snapshot& saved) const {
        auto index = saved.index;  // what may throw comes first
        session.cache_.adopt(saved.cache);
        if constexpr (KeepsIndex<AttentionType>) attention_.restore(session.attention_, std::move(index));
    }

    /// Appends the tokens at the next positions and returns logits of the last `wanted` of them, wanted x
    /// vocabulary, valid until the next call on this state. Any number of tokens; they pass the layers 128 at
    /// a time. Throws error if a token is not in the vocabulary, the context would be exceeded or wanted >
    /// tokens.size(), and cancelled if asked to stop; the cache then holds what it held before.
    matrix_view<const float> forward(state& session, std::span<const token_id> tokens,
                                     std::size_t wanted) const {
        check(session, tokens, wanted);
        const std::size_t start = session.cache_.length();
        session.cache_.prepare(start + tokens.size());
        forget_index(session, start);  // what a pass that was cancelled left there
        session.reserve(*this, std::min(tokens.size(), pass_rows), wanted);
        const matrix_view<float> logits(session.logits_.data(), wanted, config_.vocabulary);
        const std::size_t silent = tokens.size() - wanted;  // rows whose logits nobody asked for

        for (std::size_t begin = 0; begin < tokens.size(); begin += pass_rows) {
            const auto part = tokens.subspan(begin, std::min(pass_rows, tokens.size() - begin));
            run_layers(session, part, start + begin);
            const std::size_t end = begin + part.size();
            if (end <= silent) continue;
            const std::size_t first = std::max(silent, begin);
            run_head(session, first - begin, logits.subrows(first - silent, end - first));
        }
        session.cache_.commit(start + tokens.size());
        return logits;
    }

 private:
    // So many rows keep the matrices busy with arithmetic, and what they leave between the matrices still
    // fits the second-level cache: a prompt of 512 is read 5 to 10 per cent faster than in one go.
    static constexpr std::size_t pass_rows = 128;
    // Work on single rows is cheap: a few of them are not worth waking threads for.
    static constexpr std::size_t row_grain = 8;
    // An MLP's rows are wide: they are shared out in pieces of columns, so that two rows are already enough.
    static constexpr std::size_t mlp_piece = 512;
    static constexpr std::size_t mlp_grain = 4;  // pieces

    void forget_index(state& session, std::size_t n) const {
        if constexpr (KeepsIndex<AttentionType>) attention_.truncate(session.attention_, n);
    }

    void check(const state& session, std::span<const token_id> tokens, std::size_t wanted) const {
        if (wanted > tokens.size()) {
            throw error("llama forward", "logits of at most " + std::to_string(tokens.size()) + " positions",
                        std::to_string(wanted));
        }
        for (const token_id token : tokens) {
            if (token < 0 || static_cast<std::size_t>(token) >= config_.vocabulary) {
                throw error("llama forward", "token ids below " + std::to_string(config_.vocabulary),
                            std::to_string(token));
            }
        }
        const std::size_t room = session.cache_.capacity() - session.cache_.length();
        if (tokens.size() > room) {
            throw error("llama forward", "at most " + std::to_string(room) + " more positions in the context",
                        std::to_string(tokens.size()));
        }
    }

    // All layers over at most pass_rows tokens at positions `start` on; leaves the last hidden states in x_.
    void run_layers(state& s, std::span<const token_id> tokens, std::size_t start) const {
        const auto& c = config_;
        const std::size_t m = tokens.size();
        const std::size_t q_width = c.heads * c.head_size;
        const std::size_t kv_width = c.kv_heads * c.head_size;
        const matrix_view<float> x(s.x_.data(), m, c.width);
        const matrix_view<float> delta(s.delta_.data(), m, c.width);
        const matrix_view<float> normed(s.normed_.data(), m, c.width);
        const matrix_view<float> qkv(s.qkv_.data(), m, q_width + 2 * kv_width);
        const matrix_view<float> q(s.qkv_.data(), m, q_width, qkv.stride);
        const matrix_view<float> attended(s.attended_.data(), m, q_width);
        const matrix_view<float> gate_up(s.gate_up_.data(), m, 2 * c.mlp_width);
        const matrix_view<float> activated(s.activated_.data(), m, c.mlp_width);
        const matrix_view<float> cosine(s.cosine_.data(), m, rope_.size());
        const matrix_view<float> sine(s.sine_.data(), m, rope_.size());

        const std::size_t pieces = (c.mlp_width + mlp_piece - 1) / mlp_piece;

        // The tokens' embeddings, and their positions as angles, the same in every layer.
        s.pool_->for_each(m, row_grain, [&](std::size_t r) {
            dequantize_row(weights_.embedding, static_cast<std::size_t>(tokens[r]), x.row(r));
            rope_.angles(start + r, cosine.row(r), sine.row(r));
        });

        for (std::size_t l = 0; l < c.layers; ++l) {
            const auto& w = weights_.layers[l];
            s.stop_if_cancelled();

            // Normalise; queries, keys and values in one product.
            s.pool_->for_each(m, row_grain, [&](std::size_t r) {
                rms_norm(x.row(r), w.attention_norm, c.rms_epsilon, normed.row(r));
            });
            s.normed_input_.assign(normed, *s.pool_);
            w.qkv.apply(s.normed_input_, qkv, *s.pool_);

            // Rotate queries and keys to their positions; keys and values join the cache.
            s.pool_->for_each(m, row_grain, [&](std::size_t r) {
                const auto key = qkv.row(r).subspan(q_width, kv_width);
                const auto value = qkv.row(r).subspan(q_width + kv_width, kv_width);
                rope_.rotate(q.row(r), c.head_size, cosine.row(r), sine.row(r));
                rope_.rotate(key, c.head_size, cosine.row(r), sine.row(r));
                s.cache_.store(l, start + r, key, value);
            });

            // Attend to every position up to one's own, and mix the heads.
            attention_.attend(s.attention_, l, q, start, s.cache_, attended, *s.pool_);
            s.attended_input_.assign(attended, *s.pool_);
            w.attention_output.apply(s.attended_input_, delta, *s.pool_);

            // The residual sum, and the MLP's own norm.
            s.pool_->for_each(m, row_grain, [&](std::size_t r) {
                add_residual(x.row(r), delta.row(r));
                rms_norm(x.row(r), w.mlp_norm, c.rms_epsilon, normed.row(r));
            });
            s.normed_input_.assign(normed, *s.pool_);
            w.gate_up.apply(s.normed_input_, gate_up, *s.pool_);

            // silu(gate) * up, back down to the width, and the second residual sum.
            s.pool_->for_each(m * pieces, mlp_grain, [&](std::size_t i) {
                const std::size_t first = i % pieces * mlp_piece;
                const std::size_t count = std::min(mlp_piece, c.mlp_width - first);
                const auto of = [&](std::size_t at) {
                    return gate_up.row(i / pieces).subspan(at + first, count);
                };
                swiglu(of(0), of(c.mlp_width), activated.row(i / pieces).subspan(first, count));
            });
            s.activated_input_.assign(activated, *s.pool_);
            w.down.apply(s.activated_input_, delta, *s.pool_);
            s.pool_->for_each(m, row_grain, [&](std::size_t r) { add_residual(x.row(r), delta.row(r)); });
        }
    }

    // Logits of the rows of x_ from first_row on.
    void run_head(state& s, std::size_t first_row, matrix_view<float> logits) const {
        const matrix_view<float> normed(s.normed_.data(), logits.rows, config_.width);
        s.pool_->for_each(logits.rows, row_grain, [&](std::size_t r) {
            const std::span<const float> x(s.x_.data() + (first_row + r) * config_.width, config_.width);
            rms_norm(x, weights_.final_norm, config_.rms_epsilon, normed.row(r));
        });
        s.normed_input_.assign(normed, *s.pool_);
        weights_.head.apply(s.normed_input_, logits, *s.pool_);
    }

    llama_config config_;
    AttentionType attention_;
    rope rope_;
    llama_weights<LinearType> weights_;
};

/// What one session owns: threads, cache, activations. Belongs to the model it was made for. Moved,
/// not copied; save() and restore() carry the cache over. Activations grow to the largest batch seen and
/// stay.
template <class LinearType, class AttentionType>
requires Linear<LinearType> && Attention<AttentionType>
class llama<LinearType, AttentionType>::state {
 public:
    /// Throws error if the context asked for is longer than the model's.
    explicit state(const llama& model, state_options options = {})
        : pool_(std::make_unique<thread_pool>(options.threads)),
          cache_(make_cache(model.attention_, shape_of(model, 0).cache, context_of(model, options))),
          attention_(model.attention_, shape_of(model, options.sample_from.value_or(0))) {
        if constexpr (chooses_floats) {
            const auto reads = [&](auto linear) {
                return std::any_of(model.weights_.layers.begin(), model.weights_.layers.end(),
                                   [&](const layer& w) { return (w.*linear).reads_floats(); });
            };
            normed_input_.keep_floats =
                model.weights_.head.reads_floats() || reads(&layer::qkv) || reads(&layer::gate_up);
            attended_input_.keep_floats = reads(&layer::attention_output);
            activated_input_.keep_floats = reads(&layer::down);
        }
    }

    /// Makes the forward pass that is running, or else the next one, throw cancelled. May be called from any
    /// thread.
    void request_cancel() { cancel_->store(true, std::memory_order_relaxed); }

    unsigned threads() const { return pool_->size(); }

 private:
    friend class llama;
    using layer = typename llama_weights<LinearType>::layer;

    // Optional in a Linear: an input that need not keep floats beside its codes where no matrix reads them.
    static constexpr bool chooses_floats =
        requires(const LinearType linear, typename LinearType::input input) {
        input.keep_floats = linear.reads_floats();
    };

    static attention_shape shape_of(const llama& model, std::size_t sample_from) {
        const auto& c = model.config_;
        return {.heads = c.heads,
                .cache = {.layers = c.layers, .kv_heads = c.kv_heads, .head_size = c.head_size},
                .sample_from = sample_from};
    }

    static std::size_t context_of(const llama& model, const state_options& options) {
        if (options.context > model.config_.context) {
            throw error("llama state", "a context of at most " + std::to_string(model.config_.context),
                        std::to_string(options.context));
        }
        return options.context == 0 ? model.config_.context : options.context;
    }

    void stop_if_cancelled() {
        if (cancel_->exchange(false, std::memory_order_relaxed)) throw cancelled();
    }

    void reserve(const llama& model, std::size_t rows, std::size_t wanted) {
        const auto& c = model.config_;
        const auto grow = [](aligned_vector<float>& buffer, std::size_t size) {
            if (buffer.size() < size) buffer.resize(size);
        };
        grow(x_, rows * c.width);
        grow(delta_, rows * c.width);
        grow(normed_, rows * c.width);
        grow(qkv_, rows * (c.heads + 2 * c.kv_heads) * c.head_size);
        grow(attended_, rows * c.heads * c.head_size);
        grow(gate_up_, rows * 2 * c.mlp_width);
        grow(activated_, rows * c.mlp_width);
        grow(cosine_, rows * model.rope_.size());
        grow(sine_, rows * model.rope_.size());
        grow(logits_, wanted * c.vocabulary);
    }

    std::unique_ptr<thread_pool> pool_;  // held by pointer, as the flag is, so that a state can be moved
    kv_cache<cache_type> cache_;
    typename AttentionType::state attention_;
    std::unique_ptr<std::atomic<bool>> cancel_ = std::make_unique<std::atomic<bool>>(false);

    aligned_vector<float> x_;          // (rows, width) the residual stream
    aligned_vector<float> delta_;      // (rows, width) what a block adds to it
    aligned_vector<float> normed_;     // (rows, width)
    aligned_vector<float> qkv_;        // (rows, (heads + 2 kv_heads) x head_size)
    aligned_vector<float> attended_;   // (rows, heads x head_size)
    aligned_vector<float> gate_up_;    // (rows, 2 x mlp_width)
    aligned_vector<float> activated_;  // (rows, mlp_width)
    aligned_vector<float> cosine_;     // (rows, rope size)
    aligned_vector<float> sine_;       // (rows, rope size)
    aligned_vector<float> logits_;     // (wanted, vocabulary)
    typename LinearType::input normed_input_;
    typename LinearType::input attended_input_;
    typename LinearType::input activated_input_;
};

}  // namespace nullm::inline NULLM_ABI
