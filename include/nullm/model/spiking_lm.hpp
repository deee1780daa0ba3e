#pragma once
// The spiking language model: embedding -> encoder -> neurons -> linear -> logits. The original idea's
// network.

#include <nullm/core/aligned.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/matrix_view.hpp>
#include <nullm/core/tensor.hpp>
#include <nullm/core/thread_pool.hpp>
#include <nullm/core/token.hpp>
#include <nullm/linear/concepts.hpp>
#include <nullm/linear/dequantize.hpp>
#include <nullm/model/concepts.hpp>
#include <nullm/spike/concepts.hpp>
#include <nullm/spike/drives/magnitude_drive.hpp>
#include <nullm/spike/spike_gate.hpp>
#include <nullm/spike/thresholds.hpp>
#include <nullm/spike/vocabulary.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace nullm::inline NULLM_ABI {

struct spiking_lm_params {
    float scale = 1.0F;   // of the embedding's magnitude, before it is cut at 1; finite, not negative
    float weight = 1.0F;  // input current of one encoder spike
};

struct spiking_lm_state_options {
    std::uint64_t seed = 0;          // of the encoder's draws; a gate that is to agree has the same
    std::size_t context = 1U << 20;  // positions the state may hold
    unsigned threads = 1;            // of the head; 0: one per hardware thread
};

/// A language model of one layer of spiking neurons, one a dimension of the embedding. At position p
///     intensities = min(scale |embedding[token]|, 1)
///     spikes = neurons.step(weight * encoder(intensities, key(seed, encoder, p), step 0))
///     logits = head spikes + bias
/// The membranes carry over from position to position and are all the context there is. Satisfies Model: the
/// logits of a position are the same bits in any batch (the neurons run position by position, the head is a
/// Linear, and the bias is added last).
///
/// The spikes are computed by a spike_gate, and gate() hands out one of the same parts. So a gate run with
/// the seed of the state, position by position, computes the same spikes, and its rate is rate() of that
/// position; no more than a pass of neurons (a microsecond at width 576) is done twice. Positions part where
/// a reader restarts in a full context: the model counts from 0 again, the gate goes on.
///
/// Weights in a file: see load_spiking_lm (model/spiking_lm_file.hpp).
template <Encoder EncoderType, Neuron NeuronType, Linear LinearType>
class spiking_lm {
 public:
    using encoder = EncoderType;
    using neuron = NeuronType;
    using linear = LinearType;
    /// The layer of neurons, as a gate; its own threshold is not used.
    using layer = spike_gate<magnitude_drive, EncoderType, NeuronType, fixed_threshold>;
    /// The membranes between two positions.
    using present = typename layer::present;

    class state;

    /// What a state has read. Costs 8 bytes a position, and one set of membranes for every 64.
    struct past {
        std::uint64_t seed = 0;
        std::vector<token_id> tokens;
        std::vector<float> rates;
        std::vector<present> checkpoints;  // before position 64 i
        friend bool operator==(const past&, const past&) = default;
    };
    struct snapshot {
        past text;
        present now;  // behind its last position
        friend bool operator==(const snapshot&, const snapshot&) = default;
    };

    /// embedding and head: vocabulary x width; bias: vocabulary values, or none for zeros. All are copied, in
    /// the form they have. Throws nullm::error if their shapes disagree, and as the parts do.
    spiking_lm(const tensor_view& embedding, const tensor_view& head, std::span<const float> bias = {},
               EncoderType how = {}, NeuronType neurons = {}, const spiking_lm_params& params = {})
        : vocabulary_(embedding.rows),
          width_(embedding.cols),
          bias_(bias.begin(), bias.end()),
          layer_(magnitude_drive(look_up(embedding), params.scale), std::move(how), std::move(neurons),
                 fixed_threshold(0.0F), {.weight = params.weight, .steps = 1}),
          head_(load(head)) {
        if (head_.out() != vocabulary_ || head_.in() != width_) {
            throw error("spiking_lm head", std::to_string(vocabulary_) + " x " + std::to_string(width_),
                        std::to_string(head_.out()) + " x " + std::to_string(head_.in()));
        }
        if (!bias_.empty() && bias_.size() != vocabulary_) {
            throw error("spiking_lm bias", std::to_string(vocabulary_) + " values",
                        std::to_string(bias_.size()));
        }
    }

    std::size_t vocabulary() const { return vocabulary_; }
    /// Neurons, and columns of embedding and head.
    std::size_t width() const { return width_; }

    /// A gate whose neurons are the model's: same embedding, encoder, neurons and weight. It keeps what it
    /// needs of the model alive.
    template <Threshold T>
    auto gate(T threshold) const {
        return spike_gate<magnitude_drive, EncoderType, NeuronType, T>(
            layer_.drive(), layer_.encoder(), layer_.neuron(), std::move(threshold), layer_.params());
    }

    std::size_t context(const state& session) const { return session.context_; }
    std::size_t length(const state& session) const { return session.text_.tokens.size(); }
    /// Share of the neurons that spiked at a position. Throws nullm::error if it is not below length().
    float rate(const state& session, std::size_t position) const {
        if (position >= length(session)) {
            throw error("spiking_lm rate", "a position below " + std::to_string(length(session)),
                        std::to_string(position));
        }
        return session.text_.rates[position];
    }
    /// Neurons, as the last position left them.
    const typename NeuronType::state& neurons(const state& session) const {
        return session.layer_.now.neurons;
    }
    /// Spikes of the positions whose logits the last forward() gave: wanted x width, 1 or 0.
    matrix_view<const float> spikes(const state& session) const {
        return {session.spikes_.data(), session.wanted_, width_};
    }

    /// Forgets the positions from n on. Steps the neurons again from the last multiple of 64 at or below n.
    void truncate(state& session, std::size_t n) const {
        auto& text = session.text_;
        if (n >= text.tokens.size()) return;
        session.layer_.now = text.checkpoints[n / interval];
        for (std::size_t p = n / interval * interval; p < n; ++p) step(session, text.tokens[p], p);
        cut(text, n);
    }

    snapshot save(const state& session) const { return {session.text_, session.layer_.now}; }
    /// Throws nullm::error if the snapshot is of another seed or vocabulary, or longer than the state's
    /// context.
    void restore(state& session, const snapshot& saved) const {
        for (const token_id token : saved.text.tokens) {
            if (static_cast<std::size_t>(token) >= vocabulary_) {
                throw error("spiking_lm restore", "a snapshot of this model", "a token it does not have");
            }
        }
        if (saved.text.seed != session.text_.seed) {
            throw error("spiking_lm restore", "a snapshot of seed " + std::to_string(session.text_.seed),
                        std::to_string(saved.text.seed));
        }
        if (saved.text.tokens.size() > session.context_) {
            throw error("spiking_lm restore",
                        "a snapshot of at most " + std::to_string(session.context_) + " positions",
                        std::to_string(saved.text.tokens.size()));
        }
        snapshot copy = saved;
        session.text_ = std::move(copy.text);
        session.layer_.now = std::move(copy.now);
    }

    /// Appends the tokens and returns logits of the last `wanted` of them, wanted x vocabulary, valid until
    /// the next call on this state. Costs about 1.5 ns a neuron and token, and the head for the wanted
    /// ones. Throws
    /// nullm::error if a token is not in the vocabulary, the context would be exceeded or wanted >
    /// tokens.size(); the state then holds what it held before.
    matrix_view<const float> forward(state& session, std::span<const token_id> tokens,
                                     std::size_t wanted) const {
        check(session, tokens, wanted);
        auto& text = session.text_;
        const std::size_t before = text.tokens.size();
        const std::size_t kept_from = tokens.size() - wanted;
        session.wanted_ = 0;
        session.grow(wanted, width_, vocabulary_);
        present start = session.layer_.now;
        try {
            for (std::size_t i = 0; i < tokens.size(); ++i) {
                append(session, tokens[i]);
                if (i >= kept_from) keep_spikes(session, i - kept_from);
            }
            if (wanted > 0) run_head(session, wanted);
        } catch (...) {
            session.layer_.now = std::move(start);
            cut(text, before);
            throw;
        }
        session.wanted_ = wanted;
        return {session.logits_.data(), wanted, vocabulary_};
    }

 private:
    static constexpr std::size_t interval = 64;  // positions between checkpoints

    static LinearType load(const tensor_view& head) {
        thread_pool caller_alone(1);
        return LinearType::from(std::span(&head, 1), caller_alone);
    }

    /// A copy of the embedding that its look-up function keeps.
    static vocabulary_view look_up(const tensor_view& embedding) {
        struct copy {
            std::vector<std::byte> bytes;
            tensor_view view;
        };
        const auto held = std::make_shared<copy>();
        held->bytes.assign(embedding.bytes.begin(), embedding.bytes.end());
        held->view = {"embedding", embedding.type, embedding.rows, embedding.cols, held->bytes};
        return {.size = embedding.rows,
                .width = embedding.cols,
                .embedding =
                    [held](token_id token, std::span<float> out) {
                        dequantize_row(held->view, static_cast<std::size_t>(token), out);
                    },
                .piece = {},
                .special = {}};
    }

    void check(const state& session, std::span<const token_id> tokens, std::size_t wanted) const {
        if (wanted > tokens.size()) {
            throw error("spiking_lm forward",
                        "logits of at most " + std::to_string(tokens.size()) + " positions",
                        std::to_string(wanted));
        }
        for (const token_id token : tokens) {
            if (token < 0 || static_cast<std::size_t>(token) >= vocabulary_) {
                throw error("spiking_lm forward", "token ids below " + std::to_string(vocabulary_),
                            std::to_string(token));
            }
        }
        const std::size_t room = session.context_ - session.text_.tokens.size();
        if (tokens.size() > room) {
            throw error("spiking_lm forward",
                        "at most " + std::to_string(room) + " more positions in the context",
                        std::to_string(tokens.size()));
        }
    }

    /// One position of neurons; returns its rate and leaves the spikes in the layer's lines.
    float step(state& session, token_id token, std::size_t position) const {
        return layer_
            .step(session.layer_, {.token = token,
                                   .position = static_cast<std::int64_t>(position),
                                   .confidence = 1.0F,
                                   .repeat = 0,
                                   .seed = session.text_.seed})
            .rate;
    }

    void append(state& session, token_id token) const {
        auto& text = session.text_;
        const std::size_t position = text.tokens.size();
        if (position % interval == 0 && text.checkpoints.size() == position / interval) {
            text.checkpoints.push_back(session.layer_.now);
        }
        text.rates.push_back(step(session, token, position));
        text.tokens.push_back(token);
    }

    void keep_spikes(state& session, std::size_t row) const {
        const spike_bits& spiked = session.layer_.lines.spiked;
        float* const out = session.spikes_.data() + row * width_;
        for (std::size_t i = 0; i < width_; ++i) out[i] = spiked[i] ? 1.0F : 0.0F;
    }

    void run_head(state& session, std::size_t wanted) const {
        session.input_.assign({session.spikes_.data(), wanted, width_}, *session.pool_);
        head_.apply(session.input_, {session.logits_.data(), wanted, vocabulary_}, *session.pool_);
        if (bias_.empty()) return;
        for (std::size_t r = 0; r < wanted; ++r) {
            float* const row = session.logits_.data() + r * vocabulary_;
            for (std::size_t v = 0; v < vocabulary_; ++v) row[v] += bias_[v];
        }
    }

    static void cut(past& text, std::size_t n) {
        text.tokens.resize(n);
        text.rates.resize(n);
        // The membranes before position n are a checkpoint of their own only once it is appended.
        const std::size_t checkpoints = (n + interval - 1) / interval;
        if (text.checkpoints.size() > checkpoints) {
            text.checkpoints.erase(text.checkpoints.begin() + static_cast<std::ptrdiff_t>(checkpoints),
                                   text.checkpoints.end());
        }
    }

    std::size_t vocabulary_;
    std::size_t width_;
    std::vector<float> bias_;
    layer layer_;
    LinearType head_;
};

/// The text of one session, with its membranes. Moved, not copied; save() and restore() carry it over.
template <Encoder EncoderType, Neuron NeuronType, Linear LinearType>
class spiking_lm<EncoderType, NeuronType, LinearType>::state {
 public:
    explicit state(const spiking_lm& model, spiking_lm_state_options options = {})
        : context_(options.context),
          pool_(std::make_unique<thread_pool>(options.threads)),
          layer_(model.layer_.initial()),
          text_{.seed = options.seed, .tokens = {}, .rates = {}, .checkpoints = {}} {}

    std::uint64_t seed() const { return text_.seed; }

 private:
    friend class spiking_lm;

    void grow(std::size_t wanted, std::size_t width, std::size_t vocabulary) {
        if (spikes_.size() < wanted * width) spikes_.resize(wanted * width);
        if (logits_.size() < wanted * vocabulary) logits_.resize(wanted * vocabulary);
    }

    std::size_t context_;
    std::unique_ptr<thread_pool> pool_;  // by pointer, so that a state can be moved
    typename layer::state layer_;        // the membranes behind the last position are its `now`
    past text_;
    std::size_t wanted_ = 0;
    typename LinearType::input input_;
    aligned_vector<float> spikes_;  // (wanted, width)
    aligned_vector<float> logits_;  // (wanted, vocabulary)
};

}  // namespace nullm::inline NULLM_ABI
