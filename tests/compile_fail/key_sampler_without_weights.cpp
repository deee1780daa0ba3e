// expect: WeighsKeys
#include <nullm/attention/key_sampler.hpp>

struct unweighed {  // chooses keys, but cannot say how likely it was to
    std::size_t min_indexed = 256;
    struct scratch {};
    struct index {
        index(const unweighed&, const nullm::attention_shape&, std::size_t) {}
        std::size_t end(std::size_t) const { return 0; }
        void truncate(std::size_t) {}
    };
    void append(index&, std::size_t, nullm::matrix_view<const float>, nullm::thread_pool&) const {}
    void select(const index&, const nullm::key_query&, std::span<nullm::key_selection>, scratch&) const {}
};
static_assert(nullm::KeySampler<unweighed>);
