// The concept Model and its parts: what models it, what does not, and the smallest type that does; and what
// may be put into a spiking_lm. Compiled, never run.
#include <nullm/attention/exact_attention.hpp>
#include <nullm/linear/native_linear.hpp>
#include <nullm/model/concepts.hpp>
#include <nullm/model/llama.hpp>
#include <nullm/model/spiking_lm.hpp>
#include <nullm/spike/direct_encoder.hpp>
#include <nullm/spike/gates.hpp>
#include <nullm/spike/lif.hpp>
#include <nullm/spike/loihi_lif.hpp>
#include <nullm/spike/poisson_encoder.hpp>
#include <nullm/spike/torch_compat_encoder.hpp>

#include <support/plain_linear.hpp>

#include <utility>
#include <vector>

namespace model_concepts {

using namespace nullm;

// Models shipped.
template <class E, class N, class L>
using spiking = spiking_lm<E, N, L>;
using leaky = lif<reset::zero, timing::immediate>;
static_assert(Model<llama<native_linear<i16>, exact_attention<f16>>>);
static_assert(Model<spiking<poisson_encoder, leaky, native_linear<f32>>>);
static_assert(Model<spiking<torch_compat_encoder, loihi_lif, native_linear<i8>>>);
static_assert(Model<spiking<direct_encoder, lif<reset::subtract, timing::delayed>, plain_linear>>);

// One role is not another.
static_assert(!Model<int> && !Model<poisson_encoder> && !Model<leaky> && !Model<always_open>);
static_assert(!Model<native_linear<f32>> && !Model<exact_attention<f16>>);
static_assert(!Gate<spiking<poisson_encoder, leaky, native_linear<f32>>>);
static_assert(Neuron<loihi_lif> && !Encoder<loihi_lif> && !Gate<loihi_lif>);

// The neurons of a spiking_lm make a gate, whatever its threshold.
using net = spiking<poisson_encoder, leaky, native_linear<f32>>;
static_assert(Gate<decltype(std::declval<const net&>().gate(fixed_threshold(0.3F)))>);
static_assert(Gate<decltype(std::declval<const net&>().gate(target_rate_threshold()))>);
static_assert(Gate<net::layer>);

// Archetype: the least that fits. None of its types has more than the concept asks for.
struct archetype {
    class state {
     public:
        state(const state&) = delete;
    };
    struct snapshot {
        explicit snapshot(int) {}
    };
    struct rows {
        operator matrix_view<const float>() const { return {}; }
    };
    struct size {
        operator std::size_t() const { return 0; }
    };
    archetype(const archetype&) = delete;
    rows forward(state&, std::span<const token_id>, std::size_t) const;
    size length(const state&) const;
    void truncate(state&, std::size_t) const;
    size vocabulary() const;
    size context(const state&) const;
    snapshot save(const state&) const;
    void restore(state&, const snapshot&) const;
};
static_assert(Model<archetype>);

// Each part refuses what lacks its member, and only that part does.
struct base {
    struct state {};
    using snapshot = std::vector<token_id>;
    matrix_view<const float> forward(state&, std::span<const token_id>, std::size_t) const { return {}; }
    std::size_t length(const state&) const { return 0; }
    void truncate(state&, std::size_t) const {}
    std::size_t vocabulary() const { return 0; }
    std::size_t context(const state&) const { return 0; }
    snapshot save(const state&) const { return {}; }
    void restore(state&, const snapshot&) const {}
};
static_assert(Model<base>);

template <class M>
inline constexpr int parts_met =
    int{RunsForward<M>} + int{TruncatesCache<M>} + int{HasModelShape<M>} + int{SnapshotsCache<M>};
static_assert(parts_met<base> == 4);

struct returns_one_row : base {
    std::vector<float> forward(state&, std::span<const token_id>, std::size_t) const { return {}; }
};
static_assert(!RunsForward<returns_one_row> && parts_met<returns_one_row> == 3 && !Model<returns_one_row>);

struct runs_by_mutation : base {
    matrix_view<const float> forward(state&, std::span<const token_id>, std::size_t) { return {}; }
};
static_assert(!RunsForward<runs_by_mutation> && parts_met<runs_by_mutation> == 3);

struct wants_ownership : base {
    matrix_view<const float> forward(state&, std::vector<token_id>, std::size_t) const { return {}; }
};
static_assert(!RunsForward<wants_ownership> && parts_met<wants_ownership> == 3);

struct hides_its_length : base {
    void length(const state&) const {}
};
static_assert(!TruncatesCache<hides_its_length> && parts_met<hides_its_length> == 3);

struct returns_from_truncate : base {
    bool truncate(state&, std::size_t) const { return true; }  // a caller would have to look
};
static_assert(!TruncatesCache<returns_from_truncate> && parts_met<returns_from_truncate> == 3);

struct needs_state_for_vocabulary : base {
    std::size_t vocabulary(const state&) const { return 0; }
};
static_assert(!HasModelShape<needs_state_for_vocabulary> && parts_met<needs_state_for_vocabulary> == 3);

struct one_context_for_all : base {
    std::size_t context() const { return 0; }
};
static_assert(!HasModelShape<one_context_for_all> && parts_met<one_context_for_all> == 3);

struct saves_once : base {
    struct snapshot {
        snapshot(snapshot&&) = default;
    };
    snapshot save(const state&) const;
    void restore(state&, const snapshot&) const {}
};
static_assert(!SnapshotsCache<saves_once> && parts_met<saves_once> == 3);

struct saves_by_changing : base {
    snapshot save(state&) const { return {}; }
};
static_assert(!SnapshotsCache<saves_by_changing> && parts_met<saves_by_changing> == 3);

struct without_state {
    using snapshot = int;
};
static_assert(parts_met<without_state> == 0);

// What a spiking_lm is made of.
template <class E, class N, class L>
concept MakesSpikingLm = requires {
    typename spiking_lm<E, N, L>;
};
static_assert(MakesSpikingLm<poisson_encoder, loihi_lif, plain_linear>);
static_assert(!MakesSpikingLm<loihi_lif, loihi_lif, plain_linear>);
static_assert(!MakesSpikingLm<poisson_encoder, poisson_encoder, plain_linear>);
static_assert(!MakesSpikingLm<poisson_encoder, loihi_lif, exact_attention<f16>>);
static_assert(!MakesSpikingLm<poisson_encoder, loihi_lif, int>);

}  // namespace model_concepts
