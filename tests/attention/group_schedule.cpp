#include <nullm/attention/group_schedule.hpp>
#include <nullm/attention/sketch_attention.hpp>

#include <attention/clustered_keys.hpp>
#include <support/catch.hpp>
#include <support/same_bits.hpp>

#include <cstdint>
#include <span>
#include <stdexcept>
#include <vector>

namespace {

using nullm_test::clustered_keys;

constexpr std::size_t positions = 4700;  // three parts of a scan

enum class step { none, scan, settle, draw };

// Fails where it is told to.
struct failing_sampler : nullm::sketch_sampler<2> {
    step fails = step::none;
    std::size_t part = 0;

    void scan(const index& kept, const nullm::key_query& query, std::size_t number, scratch& s) const {
        if (fails == step::scan && number == part) throw std::runtime_error("scan");
        nullm::sketch_sampler<2>::scan(kept, query, number, s);
    }
    void settle(const index& kept, const nullm::key_query& query, std::span<const float> always,
                scratch& s) const {
        if (fails == step::settle) throw std::runtime_error("settle");
        nullm::sketch_sampler<2>::settle(kept, query, always, s);
    }
    void draw(const index& kept, const nullm::key_query& query, std::size_t number, const scratch& s,
              nullm::key_selection& chosen) const {
        if (fails == step::draw && number == part) throw std::runtime_error("draw");
        nullm::sketch_sampler<2>::draw(kept, query, number, s, chosen);
    }
};
static_assert(nullm::ScansKeys<failing_sampler>);

struct fixture {
    clustered_keys p{6, 2, 16, positions};
    nullm::kv_cache<float> cache{p.cache_shape(1), positions, {true}};
    fixture() {
        p.store(cache, 0, positions);
        cache.commit(positions);
    }
    std::vector<float> attend(const nullm::sampled_attention<failing_sampler, float>& attention,
                              unsigned threads) {
        nullm::thread_pool pool(threads);
        typename nullm::sampled_attention<failing_sampler, float>::state state(
            attention, {.heads = p.heads, .cache = p.cache_shape(1), .sample_from = positions - 1});
        std::vector<float> o(p.width());
        attention.attend(state, 0, p.rows(positions - 1, 1), positions - 1, cache, {o.data(), 1, o.size()},
                         pool);
        return o;
    }
};

}  // namespace

TEST_CASE("more threads than parts, or than groups, give the bits of one", "[attention]") {
    fixture f;
    const nullm::sampled_attention<failing_sampler, float> attention{.sampler = {}, .dense_every = 0};
    const auto expected = f.attend(attention, 1);
    for (const unsigned threads : {2U, 3U, 20U}) {
        INFO(threads << " threads");
        for (int run = 0; run < 3; ++run) CHECK(support::same_bits(f.attend(attention, threads), expected));
    }
}

TEST_CASE("what a scheduled job throws reaches the caller, and nobody waits for what will not come",
          "[attention]") {
    fixture f;
    for (const step fails : {step::scan, step::settle, step::draw}) {
        for (const std::size_t part : {0U, 2U}) {
            for (const unsigned threads : {2U, 5U}) {
                INFO("step " << static_cast<int>(fails) << ", part " << part << ", " << threads
                             << " threads");
                nullm::sampled_attention<failing_sampler, float> attention{.sampler = {}, .dense_every = 0};
                attention.sampler.fails = fails;
                attention.sampler.part = part;
                for (int run = 0; run < 2; ++run)
                    CHECK_THROWS_AS(f.attend(attention, threads), std::runtime_error);
            }
        }
    }
}
