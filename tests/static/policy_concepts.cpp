// The concepts of generate/, linear/, attention/ and model/: what models them, what does not, and the smallest models.
#include <nullm/nullm.hpp>

#include <support/plain_linear.hpp>
#include <support/table_model.hpp>

using namespace nullm;

// Policies.
static_assert(Policy<dense> && Policy<quiet> && Policy<seed_literal>);
static_assert(!Policy<int>);

struct with_other_linear : quiet {
    using linear = native_linear<i16>;
};
struct with_own_parts : quiet {
    using drive = magnitude_drive;
    using neuron = lif<reset::subtract, timing::delayed>;
};
struct without_sampler : quiet {
    using sampler = void;
};
struct with_wrong_gate : quiet {
    using gate = int;  // named, so it is meant; the parts do not save it
};
static_assert(Policy<with_other_linear> && Policy<with_own_parts>);
static_assert(!Policy<without_sampler> && !Policy<with_wrong_gate>);
static_assert(std::same_as<gate_of<with_own_parts>, spike_gate<magnitude_drive, poisson_encoder,
                                                               lif<reset::subtract, timing::delayed>, fixed_threshold>>);
static_assert(std::same_as<gate_of<dense>, always_open>);
static_assert(std::same_as<model_of<dense>, model_of<quiet>>, "the presets share one loaded model");
static_assert(!std::same_as<model_of<with_other_linear>, model_of<quiet>>);

// Pairs: widths that a type fixes must agree; one that is open fits any.
struct encoder_of_256 : poisson_encoder {
    static constexpr std::size_t fixed_width = 256;
};
struct neuron_of_256 : quiet_neuron {
    static constexpr std::size_t fixed_width = 256;
};
struct neuron_of_320 : quiet_neuron {
    static constexpr std::size_t fixed_width = 320;
};
struct drive_of_256 : importance_drive {
    using importance_drive::importance_drive;
    static constexpr std::size_t fixed_width = 256;
};
struct matched : quiet {
    using drive = drive_of_256;
    using encoder = encoder_of_256;
    using neuron = neuron_of_256;
};
struct mismatched : matched {
    using neuron = neuron_of_320;
};
struct around_an_open_encoder : mismatched {
    using encoder = poisson_encoder;
};
static_assert(width_of<importance_drive> == any_width && width_of<drive_of_256> == 256);
static_assert(FeedsEncoder<importance_drive, encoder_of_256> && FeedsEncoder<drive_of_256, poisson_encoder>);
static_assert(FeedsNeuron<encoder_of_256, neuron_of_256> && !FeedsNeuron<encoder_of_256, neuron_of_320>);
static_assert(DrivesNeurons<drive_of_256, neuron_of_256> && !DrivesNeurons<drive_of_256, neuron_of_320>);
static_assert(!FeedsEncoder<int, poisson_encoder> && !FeedsNeuron<poisson_encoder, int>);
static_assert(GatePartsFit<quiet> && GatePartsFit<matched> && !GatePartsFit<mismatched>);
static_assert(Policy<matched> && !Policy<mismatched> && !Policy<around_an_open_encoder>);

// Drafters.
struct echo_drafter {
    struct state {};
    std::optional<draft> propose(state&, std::span<const token_id> sequence, std::size_t) const {
        return draft{.candidate = sequence.back(), .confidence = 0.1F};
    }
};
struct mutable_drafter {
    struct state {};
    std::optional<draft> propose(state&, std::span<const token_id>, std::size_t) { return {}; }  // not const
};
static_assert(Drafter<echo_drafter> && Drafter<ngram_drafter> && Drafter<no_drafter>);
static_assert(!Drafter<mutable_drafter> && !Drafter<int>);
static_assert(drafts<echo_drafter> && drafts<ngram_drafter> && !drafts<no_drafter>);

// Samplers.
struct first_sampler {
    token_id sample(std::span<const float>, const draw_key&) const { return 0; }
};
struct keyless_sampler {
    token_id sample(std::span<const float>) const { return 0; }
};
static_assert(Sampler<first_sampler> && Sampler<greedy> && Sampler<temperature_sampler>);
static_assert(!Sampler<keyless_sampler>);

// Linear layers.
struct linear_without_apply {
    struct input {
        void assign(matrix_view<const float>, thread_pool&) {}
    };
    std::size_t in() const { return 1; }
    std::size_t out() const { return 1; }
    static linear_without_apply from(std::span<const tensor_view>, thread_pool&) { return {}; }
};
static_assert(Linear<native_linear<f32>> && Linear<native_linear<i16>> && Linear<native_linear<i8>>);
static_assert(Linear<plain_linear>);
static_assert(!Linear<linear_without_apply> && !MultipliesRows<linear_without_apply> && HasLinearShape<linear_without_apply>);

// Attention.
static_assert(Attention<exact_attention<float>> && Attention<exact_attention<f16>> && Attention<exact_attention<bf16>>);
static_assert(!Attention<int> && !Attention<kv_cache<float>>);

// Models.
static_assert(Model<model_of<quiet>> && Model<llama<plain_linear, exact_attention<float>>>);
static_assert(Model<support::table_model>);
static_assert(!Model<checkpoint>);
