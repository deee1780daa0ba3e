// What an Attention and a KeySampler are, and what one that lacks any one part is not. Compiled, never run.

#include <nullm/attention/exact_attention.hpp>
#include <nullm/attention/key_sampler.hpp>
#include <nullm/attention/lsh_attention.hpp>
#include <nullm/attention/sampled_attention.hpp>
#include <nullm/attention/sketch_attention.hpp>
#include <nullm/attention/table_sampler.hpp>

namespace {

// --- archetypes: what the concepts ask for, and nothing else ---

struct attention_archetype {
    using cache_type = nullm::bf16;
    struct state {
        state(const attention_archetype&, const nullm::attention_shape&) {}
        state(const state&) = delete;
    };
    void attend(state&, std::size_t, nullm::matrix_view<const float>, std::size_t,
                const nullm::kv_cache<nullm::bf16>&, nullm::matrix_view<float>, nullm::thread_pool&) const {}
};

struct indexed_archetype : attention_archetype {
    struct snapshot {};
    void truncate(state&, std::size_t) const {}
    snapshot save(const state&) const { return {}; }
    void restore(state&, const snapshot&) const {}
};

struct sampler_archetype {
    static constexpr std::size_t min_indexed = 5;
    struct scratch {};
    struct index {
        index(const sampler_archetype&, const nullm::attention_shape&, std::size_t) {}
        std::size_t end(std::size_t) const { return 0; }
        void truncate(std::size_t) {}
    };
    void append(index&, std::size_t, nullm::matrix_view<const float>, nullm::thread_pool&) const {}
    void select(const index&, const nullm::key_query&, std::span<nullm::key_selection>, scratch&) const {}
    void weigh(const index&, const nullm::key_query&, std::size_t, std::span<const float>, const scratch&,
               nullm::key_selection&) const {}
};

static_assert(nullm::Attention<attention_archetype> && !nullm::KeepsIndex<attention_archetype>);
static_assert(nullm::Attention<indexed_archetype> && nullm::KeepsIndex<indexed_archetype>);
static_assert(nullm::KeySampler<sampler_archetype>);

// The templates take any model of the concept.
using estimator = nullm::sampled_attention<sampler_archetype, float>;
static_assert(nullm::Attention<estimator> && nullm::KeepsIndex<estimator>);
[[maybe_unused]] void use(const estimator& attention, estimator::state& state,
                          const nullm::kv_cache<float>& cache, nullm::matrix_view<float> o,
                          nullm::thread_pool& pool) {
    attention.attend(state, 0, o, 0, cache, o, pool);
    attention.restore(state, attention.save(state));
    attention.truncate(state, 0);
}

// --- what is shipped ---

static_assert(nullm::Attention<nullm::exact_attention<>> && !nullm::KeepsIndex<nullm::exact_attention<>>);
static_assert(nullm::Attention<nullm::lsh_attention<>> && nullm::KeepsIndex<nullm::lsh_attention<>>);
static_assert(nullm::Attention<nullm::lsh_attention<nullm::lsh_shape{10, 150}, nullm::bf16>>);
static_assert(std::same_as<nullm::lsh_attention<nullm::lsh_shape{.bits = 9, .tables = 120}>,
                           nullm::sampled_attention<nullm::table_sampler<>, nullm::f16>>);
static_assert(nullm::KeySampler<nullm::table_sampler<nullm::lsh_shape{0, 2}>>);
static_assert(std::same_as<nullm::lsh_attention<>::cache_type, nullm::f16>);

static_assert(nullm::Attention<nullm::sketch_attention<>> && nullm::KeepsIndex<nullm::sketch_attention<1>>);
static_assert(nullm::Attention<nullm::sketch_attention<4, nullm::bf16>>);
static_assert(nullm::KeySampler<nullm::sketch_sampler<1>> && nullm::KeySampler<nullm::sketch_sampler<4>>);
static_assert(nullm::PicksKeys<nullm::sketch_attention<>> && nullm::PicksKeys<nullm::lsh_attention<>> &&
              !nullm::PicksKeys<nullm::exact_attention<>> && !nullm::PicksKeys<attention_archetype>);
static_assert(nullm::ScansKeys<nullm::sketch_sampler<>> && !nullm::ScansKeys<nullm::table_sampler<>> &&
              !nullm::ScansKeys<sampler_archetype>);
static_assert(nullm::RefinesChoice<nullm::sketch_sampler<>> &&
              !nullm::RefinesChoice<nullm::table_sampler<>> && !nullm::RefinesChoice<sampler_archetype>);
static_assert(nullm::CountsIndexBytes<nullm::sketch_sampler<>> &&
              !nullm::CountsIndexBytes<nullm::table_sampler<>> &&
              !nullm::CountsIndexBytes<sampler_archetype>);
static_assert(nullm::CountsKeys<nullm::sketch_attention<>>);

// --- one part missing or wrong, so the concept of that part is not met, and with it the whole ---

struct no_state_of_a_shape_alone : attention_archetype {
    struct state {
        explicit state(const nullm::attention_shape&) {}
    };
};
static_assert(!nullm::HasAttentionState<no_state_of_a_shape_alone> &&
              !nullm::Attention<no_state_of_a_shape_alone>);

struct save_changes_the_state : indexed_archetype {
    snapshot save(state&) const { return {}; }
};
static_assert(nullm::Attention<save_changes_the_state> && !nullm::KeepsIndex<save_changes_the_state>);
struct unique_snapshots : indexed_archetype {
    struct snapshot {
        snapshot(const snapshot&) = delete;
    };
};
static_assert(!nullm::KeepsIndex<unique_snapshots>);

static_assert(!nullm::KeySampler<int> && !nullm::KeySampler<nullm::exact_attention<>>);

struct no_index : sampler_archetype {
    using index = int;
};
static_assert(!nullm::HasKeyIndex<no_index> && !nullm::KeySampler<no_index>);
struct index_without_end : sampler_archetype {
    struct index {
        index(const index_without_end&, const nullm::attention_shape&, std::size_t) {}
        void truncate(std::size_t) {}
    };
};
static_assert(!nullm::HasKeyIndex<index_without_end>);
struct index_without_truncate : sampler_archetype {
    struct index {
        index(const index_without_truncate&, const nullm::attention_shape&, std::size_t) {}
        std::size_t end(std::size_t) const { return 0; }
    };
};
static_assert(!nullm::HasKeyIndex<index_without_truncate>);
struct index_without_copies : sampler_archetype {
    struct index : sampler_archetype::index {
        using sampler_archetype::index::index;
        index(const index&) = delete;
    };
};
static_assert(!nullm::HasKeyIndex<index_without_copies>);
struct scratch_of_a_size : sampler_archetype {
    struct scratch {
        explicit scratch(int) {}
    };
};
static_assert(!nullm::HasKeyScratch<scratch_of_a_size> && !nullm::KeySampler<scratch_of_a_size>);
struct no_minimum : sampler_archetype {
    void min_indexed() const {}
};
static_assert(!nullm::HasMinIndexed<no_minimum> && !nullm::KeySampler<no_minimum>);
struct appends_nothing : sampler_archetype {
    void append() const {}
};
static_assert(!nullm::AppendsKeys<appends_nothing> && !nullm::KeySampler<appends_nothing>);
struct appends_by_mutation : sampler_archetype {
    void append(index&, std::size_t, nullm::matrix_view<const float>, nullm::thread_pool&) {}
};
static_assert(!nullm::AppendsKeys<appends_by_mutation>);
struct selects_with_a_changed_index : sampler_archetype {
    void select(index&, const nullm::key_query&, std::span<nullm::key_selection>, scratch&) const {}
};
static_assert(!nullm::SelectsKeys<selects_with_a_changed_index> &&
              !nullm::KeySampler<selects_with_a_changed_index>);
static_assert(nullm::CountsKeys<nullm::lsh_attention<>> && !nullm::CountsKeys<nullm::exact_attention<float>>);
struct weighs_without_dots : sampler_archetype {
    void weigh(const index&, const nullm::key_query&, std::size_t, const scratch&,
               nullm::key_selection&) const {}
};
static_assert(!nullm::WeighsKeys<weighs_without_dots> && !nullm::KeySampler<weighs_without_dots>);

}  // namespace
