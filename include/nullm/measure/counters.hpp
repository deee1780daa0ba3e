#pragma once
// Counters, as parts that stand around other parts. Who does not count names the parts themselves, and there
// is nothing left to pay for.

#include <nullm/core/matrix_view.hpp>
#include <nullm/core/random.hpp>
#include <nullm/core/token.hpp>
#include <nullm/model/concepts.hpp>
#include <nullm/spike/concepts.hpp>
#include <nullm/spike/pairs.hpp>
#include <nullm/spike/spike_bits.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// What passed a layer of encoder lines or of neurons, summed over its time steps.
struct spike_counts {
    std::uint64_t steps = 0;
    std::uint64_t lines = 0;  // neurons x steps
    std::uint64_t spikes = 0;
    std::uint64_t updates = 0;  // membranes that a step changed (NeuroBench's MembraneUpdates); neurons only

    /// ActivationSparsity, in [0, 1]; NaN of no step.
    double sparsity() const { return static_cast<double>(lines - spikes) / static_cast<double>(lines); }
    friend bool operator==(const spike_counts&, const spike_counts&) = default;
};

/// An Encoder that counts its spikes. In a spike_gate each spike reaches one neuron, so `spikes` are the
/// effective accumulations of the gate's synapses and `lines` the dense ones. Counts work that was done: a
/// step taken back and replayed counts twice. `counts` must outlive it and its copies, which share it; not
/// for several threads at once.
template <Encoder E>
class counted_encoder {
 public:
    counted_encoder(E encoder, spike_counts& counts) : encoder_(std::move(encoder)), counts_(&counts) {}

    void encode(std::span<const float> intensities, const draw_key& key, std::uint32_t step,
                spike_bits& out) const {
        encoder_.encode(intensities, key, step, out);
        ++counts_->steps;
        counts_->lines += out.size();
        counts_->spikes += out.count();
    }

 private:
    E encoder_;
    spike_counts* counts_;
};
template <Encoder E>
inline constexpr std::size_t width_of<counted_encoder<E>> = width_of<E>;

/// A Neuron that counts its spikes, and where its state shows a membrane, how many of them a step changed. As
/// counted_encoder otherwise.
template <Neuron N>
class counted_neuron {
 public:
    using state = typename N::state;

    counted_neuron(N neuron, spike_counts& counts) : neuron_(std::move(neuron)), counts_(&counts) {}

    void step(state& layer, std::span<const float> input, spike_bits& out) const {
        if constexpr (requires { layer.membrane[0] != layer.membrane[0]; }) {
            const auto before = layer.membrane;
            neuron_.step(layer, input, out);
            for (std::size_t i = 0; i < before.size(); ++i) {
                counts_->updates += layer.membrane[i] != before[i] ? 1 : 0;
            }
        } else {
            neuron_.step(layer, input, out);
        }
        ++counts_->steps;
        counts_->lines += out.size();
        counts_->spikes += out.count();
    }

 private:
    N neuron_;
    spike_counts* counts_;
};
template <Neuron N>
inline constexpr std::size_t width_of<counted_neuron<N>> = width_of<N>;

/// What forward passes did.
struct pass_counts {
    std::uint64_t passes = 0;
    std::uint64_t rows = 0;         // positions run
    std::uint64_t predictions = 0;  // of these, with logits
    std::uint64_t keys = 0;         // positions attended to, summed over rows: p + 1 at position p
    std::uint64_t cached = 0;       // positions in the cache at a pass's end, summed over passes

    friend bool operator==(const pass_counts&, const pass_counts&) = default;
};

/// A Model that counts its passes. Its states and snapshots are the model's own. `model` and `counts` must
/// outlive it and its copies; not for several threads at once.
template <Model M>
class counted_model {
 public:
    using state = typename M::state;
    using snapshot = typename M::snapshot;

    counted_model(const M& model, pass_counts& counts) : model_(&model), counts_(&counts) {}

    matrix_view<const float> forward(state& session, std::span<const token_id> tokens,
                                     std::size_t wanted) const {
        const std::uint64_t start = model_->length(session);
        const matrix_view<const float> logits = model_->forward(session, tokens, wanted);
        const std::uint64_t m = tokens.size();
        ++counts_->passes;
        counts_->rows += m;
        counts_->predictions += wanted;
        counts_->keys += m * start + m * (m + 1) / 2;
        counts_->cached += start + m;
        return logits;
    }
    std::size_t length(const state& session) const { return model_->length(session); }
    void truncate(state& session, std::size_t n) const { model_->truncate(session, n); }
    std::size_t vocabulary() const { return model_->vocabulary(); }
    std::size_t context(const state& session) const { return model_->context(session); }
    snapshot save(const state& session) const { return model_->save(session); }
    void restore(state& session, const snapshot& saved) const { model_->restore(session, saved); }

 private:
    const M* model_;
    pass_counts* counts_;
};

}  // namespace nullm::inline NULLM_ABI
