#include <nullm/attention/lsh_attention.hpp>
#include <nullm/attention/sampled_group.hpp>
#include <nullm/attention/sketch_attention.hpp>

#include <attention/clustered_keys.hpp>
#include <support/catch.hpp>
#include <support/same_bits.hpp>

#include <cstdint>
#include <vector>

namespace {

using nullm::isa;
using nullm_test::clustered_keys;

constexpr std::size_t depth = 4700;  // three parts of a scan
constexpr std::size_t asked = 4;

// The last positions' outputs, `batch` positions at a time.
template <class A>
std::vector<float> outputs(const A& attention, const clustered_keys& p, std::size_t batch, unsigned threads,
                           nullm::sampling_counts* counts = nullptr) {
    nullm::thread_pool pool(threads);
    auto cache = nullm::make_cache(attention, p.cache_shape(1), depth);
    p.store(cache, 0, depth);
    cache.commit(depth);
    typename A::state state(attention,
                            {.heads = p.heads, .cache = p.cache_shape(1), .sample_from = depth - asked});
    std::vector<float> o(asked * p.width());
    for (std::size_t i = 0; i < asked; i += batch) {
        attention.attend(state, 0, p.rows(depth - asked + i, batch), depth - asked + i, cache,
                         {o.data() + i * p.width(), batch, p.width()}, pool);
    }
    if (counts != nullptr) *counts = attention.counts(state);
    return o;
}

template <class A>
void check_any_threads(const A& attention, const clustered_keys& p) {
    nullm::sampling_counts one;
    const auto expected = outputs(attention, p, 1, 1, &one);
    CHECK(one.queries == asked * p.heads);
    CHECK(one.chosen > 0);
    for (const std::size_t batch : {1U, 2U, 4U}) {
        for (const unsigned threads : {1U, 2U, 5U}) {
            INFO("batches of " << batch << ", " << threads << " threads");
            nullm::sampling_counts counts;
            CHECK(support::same_bits(outputs(attention, p, batch, threads, &counts), expected));
            CHECK(counts == one);
        }
    }
}

}  // namespace

TEST_CASE("a group whose parts threads share out gives the bits and counts of one thread", "[attention]") {
    const clustered_keys p(6, 2, 16, depth);
    check_any_threads(nullm::sketch_attention<2, float>{.sampler = {.seed = 3}, .dense_every = 0}, p);
    check_any_threads(
        nullm::sketch_attention<1, float>{.sampler = {.seed = 3}, .dense_every = 0, .error_limit = 0.05F}, p);
    check_any_threads(
        nullm::lsh_attention<nullm::lsh_shape{6, 20}, float>{.sampler = {.seed = 3}, .dense_every = 0}, p);
}

TEST_CASE("the bytes counted are those of the rows and of the sketches that were scanned", "[attention]") {
    const clustered_keys p(6, 2, 16, depth);
    const auto counted = [&](const auto& attention) {
        nullm::sampling_counts counts;
        outputs(attention, p, 1, 2, &counts);
        return counts;
    };
    constexpr std::size_t row = 2 * 16 * sizeof(float);  // key and value
    const auto sketched =
        counted(nullm::sketch_attention<2, float>{.sampler = {.seed = 3}, .dense_every = 0});
    // Twelve bytes a key - vectors of 16 are padded to 32 - in groups of 64 positions from the first on.
    std::size_t scanned = 0;
    for (std::size_t i = 0; i < asked; ++i) scanned += 2 * 12 * nullm::round_up(depth - asked + i - 63, 64);
    CHECK(sketched.bytes == sketched.rows * row + scanned);
    const auto tables = counted(
        nullm::lsh_attention<nullm::lsh_shape{6, 20}, float>{.sampler = {.seed = 3}, .dense_every = 0});
    CHECK(tables.bytes == tables.rows * row);
}

TEST_CASE("what the parts of a scan draw is what select() chooses", "[attention]") {
    const clustered_keys p(3, 1, 16, depth);
    const nullm::sketch_sampler<2> sampler{.seed = 9};
    nullm::thread_pool pool(1);
    nullm::sketch_sampler<2>::index index(sampler, {.heads = 3, .cache = p.cache_shape(1)}, 4);
    sampler.append(index, 0, {p.k.data() + 4 * 16, depth - 4, 16}, pool);
    const nullm::key_query query{
        .position = depth - 1, .limit = depth - 64, .q = {p.rows(depth - 1, 1).data, 3, 16}};
    nullm::sketch_sampler<2>::scratch scratch;
    std::vector<nullm::key_selection> whole(3);
    sampler.select(index, query, whole, scratch);
    REQUIRE(whole[0].positions.size() > 100);

    const std::size_t parts = sampler.begin_scan(index, query, scratch);
    REQUIRE(parts == 3);
    for (std::size_t p2 = parts; p2-- > 0;) sampler.scan(index, query, p2, scratch);  // in any order
    sampler.settle(index, query, {}, scratch);
    nullm::key_selection drawn;
    std::vector<std::uint32_t> positions;
    std::vector<float> surprisal;
    for (std::size_t part = 0; part < parts; ++part) {
        sampler.draw(index, query, part, scratch, drawn);
        positions.insert(positions.end(), drawn.positions.begin(), drawn.positions.end());
        surprisal.insert(surprisal.end(), drawn.surprisal.begin(), drawn.surprisal.end());
    }
    CHECK(positions == whole[2].positions);
    CHECK(support::same_bits(surprisal, whole[2].surprisal));
}
