// The concepts of spike/: what models them, what does not, and the smallest type that does. Compiled, never
// run.
#include <nullm/spike/concepts.hpp>
#include <nullm/spike/direct_encoder.hpp>
#include <nullm/spike/drives/importance_drive.hpp>
#include <nullm/spike/drives/magnitude_drive.hpp>
#include <nullm/spike/drives/mixed_drive.hpp>
#include <nullm/spike/drives/quiet_drive.hpp>
#include <nullm/spike/drives/surprise_drive.hpp>
#include <nullm/spike/gates.hpp>
#include <nullm/spike/lif.hpp>
#include <nullm/spike/poisson_encoder.hpp>
#include <nullm/spike/quiet_gate.hpp>
#include <nullm/spike/reprogrammed_threshold.hpp>
#include <nullm/spike/spike_gate.hpp>
#include <nullm/spike/thresholds.hpp>
#include <nullm/spike/torch_compat_encoder.hpp>

namespace spike_concepts {

using namespace nullm;

// Models shipped.
static_assert(Drive<magnitude_drive> && Drive<mixed_drive<quiet_drive, magnitude_drive>>);
static_assert(UniformDrive<importance_drive> && UniformDrive<surprise_drive> && UniformDrive<quiet_drive>);
static_assert(!UniformDrive<magnitude_drive> && !UniformDrive<mixed_drive<quiet_drive, magnitude_drive>>);
static_assert(Encoder<poisson_encoder> && Encoder<torch_compat_encoder> && Encoder<direct_encoder>);
static_assert(Neuron<lif<reset::subtract, timing::delayed>> &&
              Neuron<lif<reset::subtract, timing::immediate>>);
static_assert(Neuron<lif<reset::zero, timing::delayed>> && Neuron<lif<reset::none, timing::immediate>>);
static_assert(Threshold<fixed_threshold> && Threshold<target_rate_threshold>);
static_assert(Threshold<reprogrammed_threshold>);
static_assert(Gate<always_open> && Gate<random_gate> && Gate<scripted_gate> && Gate<quiet_gate>);

// One role is not another.
static_assert(!Drive<int> && !Encoder<int> && !Neuron<int> && !Threshold<int> && !Gate<int>);
static_assert(!Drive<poisson_encoder> && !Encoder<importance_drive> && !Neuron<poisson_encoder>);
static_assert(!Threshold<random_gate> && !Gate<fixed_threshold> && !Gate<importance_drive>);

// Archetypes: the least that fits.
struct constant_drive {
    using trace = stateless;
    using memory = stateless;
    std::size_t width() const { return 8; }
    trace initial_trace() const { return {}; }
    memory initial_memory() const { return {}; }
    void intensities(trace&, const memory&, const gate_input&, std::span<float> out) const {
        for (float& x : out) x = 0.5F;
    }
    void settle(memory&, token_id) const {}
};
static_assert(Drive<constant_drive>);

struct silent_encoder {
    void encode(std::span<const float> in, const draw_key&, std::uint32_t, spike_bits& out) const {
        out.reset(in.size());
    }
};
static_assert(Encoder<silent_encoder>);

struct relay_neuron {
    struct state {
        explicit state(std::size_t) {}
        friend bool operator==(const state&, const state&) = default;
    };
    void step(state&, std::span<const float> input, spike_bits& out) const {
        out.reset(input.size());
        for (std::size_t i = 0; i < input.size(); ++i) out.set(i, input[i] > 0);
    }
};
static_assert(Neuron<relay_neuron>);

struct lax_threshold {
    using state = stateless;
    state initial() const { return {}; }
    float theta(const state&, token_id) const { return 0.0F; }
    void settle(state&, token_id, bool) const {}
};
static_assert(Threshold<lax_threshold>);

struct shut_gate {
    struct state {
        stateless now;
    };
    state initial() const { return {}; }
    gate_decision step(state&, const gate_input&) const { return {}; }
    void settle(state&, token_id, bool) const {}
};
static_assert(Gate<shut_gate>);
static_assert(Gate<spike_gate<constant_drive, silent_encoder, relay_neuron, lax_threshold>>);

// Each atom refuses what lacks its member, and only that atom does.
struct drive_without_width : constant_drive {
    void width() const {}
};
static_assert(!HasWidth<drive_without_width> && GivesIntensities<drive_without_width>);
static_assert(!Drive<drive_without_width>);

struct drive_that_writes_memory : constant_drive {
    struct memory {
        friend bool operator==(const memory&, const memory&) = default;
    };
    void intensities(trace&, memory&, const gate_input&, std::span<float>) const {}
};
static_assert(!GivesIntensities<drive_that_writes_memory>);

struct drive_that_never_settles : constant_drive {
    void settle() const {}
};
static_assert(!SettlesDrive<drive_that_never_settles> && GivesIntensities<drive_that_never_settles>);

struct encoder_with_a_mood : silent_encoder {
    void encode(std::span<const float>, const draw_key&, std::uint32_t, spike_bits&) {
    }  // not const: draws would depend on calls
};
static_assert(!Encoder<encoder_with_a_mood>);

struct neuron_without_width : relay_neuron {
    struct state {
        friend bool operator==(const state&, const state&) = default;
    };
};
static_assert(!HasNeuronState<neuron_without_width>);

struct threshold_that_writes : lax_threshold {
    float theta(state&, token_id) const { return 0.0F; }
    float theta(const state&, token_id) const = delete;
};
static_assert(!GivesTheta<threshold_that_writes> && SettlesThreshold<threshold_that_writes>);

struct gate_without_now : shut_gate {
    struct state {};
};
static_assert(!HasGateState<gate_without_now> && !Gate<gate_without_now>);

}  // namespace spike_concepts
