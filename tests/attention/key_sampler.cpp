#include <nullm/attention/key_sampler.hpp>
#include <nullm/attention/sampled_attention.hpp>
#include <nullm/core/random.hpp>

#include <attention/clustered_keys.hpp>
#include <support/catch.hpp>

#include <cmath>
#include <vector>

namespace {

// Chooses every key with the same probability; docs/concepts.md shows it.
struct uniform_sampler {
    std::uint64_t seed = 0;
    std::size_t min_indexed = 1;
    float share = 0.25F;

    struct scratch {};
    struct index {  // nothing but where each layer ends
        index(const uniform_sampler&, const nullm::attention_shape& model, std::size_t begin)
            : first(begin), ends(model.cache.layers, begin) {}
        std::size_t end(std::size_t layer) const { return ends[layer]; }
        void truncate(std::size_t n) {
            for (auto& end : ends) end = std::min(end, std::max(n, first));
        }
        std::size_t first;
        std::vector<std::size_t> ends;
    };

    void append(index& kept, std::size_t layer, nullm::matrix_view<const float> keys,
                nullm::thread_pool&) const {
        kept.ends[layer] += keys.rows;
    }
    void select(const index& kept, const nullm::key_query& query, std::span<nullm::key_selection> chosen,
                scratch&) const {
        for (std::size_t i = 0; i < query.q.rows; ++i) {
            const auto head =
                static_cast<std::uint32_t>(query.layer * 1000 + query.kv_head * query.q.rows + i);
            const nullm::draw_key key{seed, nullm::draw_stream::attention,
                                      static_cast<std::int64_t>(query.position), head};
            chosen[i].positions.clear();
            for (std::size_t p = kept.first; p < query.limit; ++p) {
                const auto position = static_cast<std::uint32_t>(p);
                if (draw_uniform(key, position) < share) chosen[i].positions.push_back(position);
            }
        }
    }
    void weigh(const index&, const nullm::key_query&, std::size_t, std::span<const float> dots, const scratch&,
               nullm::key_selection& chosen) const {
        chosen.surprisal.assign(dots.size(), -std::log(share));
    }
};

static_assert(nullm::KeySampler<uniform_sampler>);
static_assert(nullm::Attention<nullm::sampled_attention<uniform_sampler>>);

}  // namespace

TEST_CASE("sampled attention takes any sampler, and is near exact attention on average", "[attention]") {
    const nullm_test::clustered_keys p(2, 1, 16, 400, 3, 0.2);
    nullm::thread_pool pool(2);
    nullm::kv_cache<float> cache(p.cache_shape(1), 400);
    p.store(cache, 0, 400);
    const nullm::attention_shape shape{.heads = 2, .cache = p.cache_shape(1)};
    nullm::exact_attention<float>::state exact_state({}, shape);
    std::vector<float> exact(32);
    nullm::exact_attention<float>{}.attend(exact_state, 0, p.rows(399, 1), 399, cache, {exact.data(), 1, 32},
                                           pool);

    const auto estimate = [&](float share) {
        std::vector<float> mean(32);
        for (std::uint64_t seed = 0; seed < 200; ++seed) {
            const nullm::sampled_attention<uniform_sampler, float> attention{
                .sampler = {.seed = seed, .share = share}, .window = 16, .dense_every = 0};
            nullm::sampled_attention<uniform_sampler, float>::state state(attention, shape);
            std::vector<float> o(32);
            attention.attend(state, 0, p.rows(399, 1), 399, cache, {o.data(), 1, 32}, pool);
            for (std::size_t i = 0; i < 32; ++i) mean[i] += o[i] / 200;
        }
        return nullm_test::relative_error(mean.data(), exact.data(), 32);
    };
    CHECK(estimate(1.0F) < 1e-5);
    CHECK(estimate(0.25F) < 0.1);
    CHECK(estimate(0.25F) > 1e-4);
}
