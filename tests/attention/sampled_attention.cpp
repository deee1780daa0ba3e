#include <nullm/attention/lsh_attention.hpp>
#include <nullm/attention/sampled_attention.hpp>

#include <attention/attention_session.hpp>
#include <attention/clustered_keys.hpp>
#include <attention/sampled_properties.hpp>
#include <support/catch.hpp>
#include <support/same_bits.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace {

using nullm::exact_attention;
using nullm::isa;
using nullm::kv_cache;
using nullm::lsh_attention;
using nullm::lsh_shape;
using nullm_test::clustered_keys;
using nullm_test::exact_output;
using nullm_test::mean_error;
using nullm_test::output;
using nullm_test::same_rows;
using nullm_test::session;
using nullm_test::shape_of;
using support::same_bits;

constexpr lsh_shape small{4, 16};

// Samples layer 1 from position 105 on, layer 0 never.
template <lsh_shape shape = small, class T = float>
lsh_attention<shape, T> sampled(isa level = nullm::active_isa(), std::size_t merge_at = 70) {
    return {.sampler = {.seed = 11, .min_indexed = 90, .merge_at = merge_at, .level = level},
            .sinks = 3,
            .window = 13,
            .dense_every = 2,
            .level = level};
}

// The emptiest KeySampler.
struct chooses_nothing {
    std::size_t min_indexed = 1;
    struct scratch {};
    struct index {
        index(const chooses_nothing&, const nullm::attention_shape& shape, std::size_t first_)
            : first(first_), ends(shape.cache.layers, first_) {}
        std::size_t end(std::size_t layer) const { return ends[layer]; }
        void truncate(std::size_t n) {
            for (auto& end : ends) end = std::min(end, std::max(n, first));
        }
        std::size_t first;
        std::vector<std::size_t> ends;
    };
    void append(index& i, std::size_t layer, nullm::matrix_view<const float> keys,
                nullm::thread_pool&) const {
        i.ends[layer] += keys.rows;
    }
    void select(const index&, const nullm::key_query&, std::span<nullm::key_selection>, scratch&) const {}
    void weigh(const index&, const nullm::key_query&, std::size_t, std::span<const float>, const scratch&,
               nullm::key_selection&) const {}
};

}  // namespace

TEST_CASE(
    "sampled attention gives the same bits in any batch, on any threads and instruction set, merged at any "
    "length",
    "[attention]") {
    for (const auto& p :
         {clustered_keys(6, 2, 20, 430), clustered_keys(5, 1, 16, 300), clustered_keys(3, 3, 64, 300)}) {
        const auto expected = output(sampled(isa::scalar), p, 1, 1);
        REQUIRE(!same_bits(expected, exact_output(p)));
        for (const isa level : {isa::scalar, isa::avx2, isa::avx512, isa::vnni}) {
            if (level > nullm::detected_isa()) continue;
            for (const auto& [m, threads] : {std::pair{1, 2U}, {7, 5U}, {64, 1U}, {64, 2U}, {500, 2U}}) {
                for (const std::size_t merge_at : {1U, 70U, 100000U}) {
                    if (level == isa::scalar && (m != 64 || merge_at == 1)) continue;
                    if (merge_at == 1 && m < 64) continue;  // merging at every key: slow
                    INFO(name_of(level)
                         << ", batches of " << m << ", " << threads << " threads, merged at " << merge_at);
                    CHECK(same_bits(output(sampled(level, merge_at), p, static_cast<std::size_t>(m), threads),
                                    expected));
                }
            }
        }
    }
}

TEST_CASE("a batch may be split anywhere around the first sampled position", "[attention]") {
    const clustered_keys p(4, 2, 16, 140);
    const auto expected = output(sampled(), p, 140);
    for (std::size_t split = 95; split < 125; ++split) {
        session s(sampled(), p, 2);
        s.run(split);
        s.run_all(1000);
        CHECK(same_bits(s.o, expected));
    }
}

TEST_CASE("queries before sample_from, in dense layers, and with few keys below them are attended exactly",
          "[attention]") {
    const clustered_keys p(4, 2, 16, 250);
    const auto exact = exact_output(p);
    CHECK(same_bits(output(sampled(), p, 64, 1, 0, 0), exact));  // layer 0 is dense
    // 3 sinks, 90 indexed, 13 in the window: position 105 is the first.
    const auto found = output(sampled(), p);
    CHECK(session(sampled(), p).state.first_sampled() == 105);
    CHECK(same_rows(p, found, exact, 0, 105));
    CHECK(!same_rows(p, found, exact, 105, 106));
    const auto later = output(sampled(), p, 64, 1, 200);
    CHECK(same_rows(p, later, exact, 0, 200));
    CHECK(!same_rows(p, later, exact, 200, 201));
    CHECK(same_bits(output(sampled(), p, 64, 1, 250), exact));

    auto every_layer = sampled();
    every_layer.dense_every = 0;
    CHECK(!same_bits(output(every_layer, p, 64, 1, 0, 0), exact));
}

TEST_CASE("tables of no bits give exact attention", "[attention]") {
    const clustered_keys p(6, 2, 20, 400);
    const auto found = output(sampled<lsh_shape{0, 2}>(), p);
    const auto exact = exact_output(p);
    CHECK(!same_bits(found, exact));  // other order of sums
    for (std::size_t i = 0; i < found.size(); ++i) REQUIRE(found[i] == Approx(exact[i]).margin(1e-5));
    const auto half = output(sampled<lsh_shape{0, 2}, nullm::bf16>(), p);
    CHECK(mean_error(p, half, exact, 300) < 1e-2);
}

TEST_CASE("the error falls with the number of tables", "[attention]") {
    const clustered_keys p(4, 2, 16, 600);
    const auto exact = exact_output(p);
    // The whole batch at once, at its end: 500 keys of which few, most, nearly all are chosen.
    const auto error = [&](const auto& attention) {
        double sum = 0;
        for (std::uint64_t seed = 0; seed < 3; ++seed) {
            auto seeded = attention;
            seeded.sampler.seed = seed;
            sum += mean_error(p, output(seeded, p, 600, 2, 560), exact, 40);
        }
        return sum / 3;
    };
    const double e32 = error(sampled<lsh_shape{6, 32}>());
    const double e128 = error(sampled<lsh_shape{6, 128}>());
    const double e512 = error(sampled<lsh_shape{6, 512}>());
    const double e2048 = error(sampled<lsh_shape{6, 2048}>());
    INFO(e32 << ' ' << e128 << ' ' << e512 << ' ' << e2048);
    CHECK(e32 < 0.6);
    CHECK(e128 < e32);
    CHECK(e512 < e128);
    CHECK(e2048 < e512);
    CHECK(e2048 < 0.02);
}

TEST_CASE("a rewound and continued session gives the bits of one that never went back", "[attention]") {
    const clustered_keys p(4, 2, 16, 420);
    const clustered_keys wrong(4, 2, 16, 420, 2);
    const auto expected = output(sampled(), p);
    const auto reference_index = [&](std::size_t n) {
        session s(sampled(), p);
        while (s.cache.length() < n) s.run(1);
        return s.attention.index(s.state);
    };
    session s(sampled(), p, 2);
    nullm_test::there_and_back(s, p, wrong);
    CHECK(same_bits(s.o, expected));
    CHECK(s.attention.index(s.state) == reference_index(p.length));
    s.rewind(200);
    s.run(1);
    // A query at 200 sees keys up to 187; the index may hold a few more, which came while position 201 was
    // there.
    CHECK(s.attention.index(s.state).end(1) >= 188);
}

TEST_CASE("what an aborted pass left in the index is gone after truncate", "[attention]") {
    const clustered_keys p(4, 2, 16, 300);
    const clustered_keys wrong(4, 2, 16, 300, 2);
    for (const std::size_t at : {50, 104, 150}) {
        session s(sampled(), p);
        s.run(at);
        std::vector<float> nowhere(250 * p.width());
        wrong.store(s.cache, at, 300);  // prepared and stored, attended, never committed
        s.attention.attend(s.state, 1, wrong.rows(at, 300 - at), at, s.cache,
                           {nowhere.data(), 300 - at, p.width()}, s.pool);
        s.rewind(at);
        s.run_all(64);
        CHECK(same_bits(s.o, output(sampled(), p)));
    }
}

TEST_CASE("a rewind into the range of the mean drops index and mean, one behind it keeps them",
          "[attention]") {
    const clustered_keys p(2, 1, 16, 300);
    session s(sampled(), p);
    s.run(250);
    // The mean is over [3, 93): the keys the query at 105 has in its index.
    s.rewind(93);
    CHECK(s.attention.index(s.state).end(1) == 93);
    s.run(60);
    s.rewind(92);
    CHECK(s.attention.index(s.state).end(1) == 3);
    s.run_all(50);
    CHECK(same_bits(s.o, output(sampled(), p)));
}

TEST_CASE("a snapshot brings the index back, on this session or another", "[attention]") {
    const clustered_keys p(4, 2, 16, 400);
    const clustered_keys wrong(4, 2, 16, 400, 2);
    nullm_test::check_snapshot(sampled(), p, wrong);

    session s(sampled(), p);
    s.run(220);
    const auto cache = s.cache;
    const auto saved = s.attention.save(s.state);
    // A session that samples from elsewhere has another mean: it builds its own index.
    session later(sampled(), p, 1, 230);
    later.cache.adopt(cache);
    later.attention.restore(later.state, saved);
    CHECK(later.attention.index(later.state).end(1) == 3);
    later.run_all(64);
    CHECK(same_rows(p, later.o, output(sampled(), p, 64, 1, 230), 220, 400));
}

TEST_CASE("what is sampled does not depend on a vector added to all keys", "[attention]") {
    const clustered_keys p(4, 2, 16, 400);
    clustered_keys moved = p;
    for (std::size_t i = 0; i < moved.k.size(); ++i) moved.k[i] += static_cast<float>(i % 32) / 8 - 1;
    session a(sampled(), p);
    session b(sampled(), moved);
    a.run_all(100);
    b.run_all(100);
    // Rounding moves a bit here and there, so a key now and then.
    const auto difference = std::llabs(static_cast<long long>(a.attention.counts(a.state).chosen) -
                                       static_cast<long long>(b.attention.counts(b.state).chosen));
    CHECK(difference * 1000 < static_cast<long long>(a.attention.counts(a.state).chosen));
    CHECK(mean_error(p, b.o, a.o, 250) < 0.02);
}

TEST_CASE("what is sampled does not depend on the order of the indexed keys", "[attention]") {
    const clustered_keys p(4, 2, 16, 300);
    clustered_keys permuted = p;
    // Positions [10, 200) turned round: with sample_from 250 all of them are in the mean's range.
    const std::size_t width = p.kv_heads * p.head_size;
    for (auto* rows : {&permuted.k, &permuted.v}) {
        for (std::size_t i = 10; i < 105; ++i) {
            std::swap_ranges(rows->begin() + static_cast<long>(i * width),
                             rows->begin() + static_cast<long>((i + 1) * width),
                             rows->begin() + static_cast<long>((209 - i) * width));
        }
    }
    session a(sampled(), p, 1, 250);
    session b(sampled(), permuted, 1, 250);
    a.run_all(300);
    b.run_all(300);
    CHECK(a.attention.counts(a.state) == b.attention.counts(b.state));
    // The same terms in another order.
    for (std::size_t i = 250 * p.width(); i < a.o.size(); ++i) REQUIRE(a.o[i] == Approx(b.o[i]).margin(1e-4));
}

TEST_CASE("sampled grouped queries equal independent heads over repeated keys", "[attention]") {
    const clustered_keys grouped(10, 2, 24, 300);
    clustered_keys repeated(10, 10, 24, 300);
    repeated.q = grouped.q;
    for (std::size_t p = 0; p < grouped.length; ++p) {
        for (std::size_t i = 0; i < 10 * 24; ++i) {
            repeated.k[p * 240 + i] = grouped.k[(p * 2 + i / 24 / 5) * 24 + i % 24];
            repeated.v[p * 240 + i] = grouped.v[(p * 2 + i / 24 / 5) * 24 + i % 24];
        }
    }
    CHECK(same_bits(output(sampled(), grouped, 50, 2), output(sampled(), repeated, 50, 2)));
}

TEST_CASE("sinks, chosen keys and window cover every position exactly once", "[attention]") {
    // No bits: all indexed keys are chosen, so the counts are those of the ranges.
    for (const auto& [sinks, window, least] :
         {std::tuple{0UL, 1UL, 0UL}, {4UL, 64UL, 1UL}, {2UL, 9UL, 30UL}, {5UL, 300UL, 1UL}}) {
        const clustered_keys p(2, 2, 16, 260);
        lsh_attention<lsh_shape{0, 2}, float> attention{.sampler = {.min_indexed = least, .merge_at = 17},
                                                        .sinks = sinks,
                                                        .window = window,
                                                        .dense_every = 0};
        session s(attention, p);
        nullm::sampling_counts before;
        for (std::size_t position = 0; position < p.length; ++position) {
            s.run(1);
            const auto& now = attention.counts(s.state);
            const bool is_sampled = position + 1 >= sinks + window + std::max<std::size_t>(least, 1);
            CHECK(now.queries - before.queries == (is_sampled ? 2 : 0));
            if (is_sampled) {
                CHECK(now.always - before.always == 2 * (sinks + window));
                CHECK(now.chosen - before.chosen == 2 * (position + 1 - sinks - window));
                CHECK(now.candidates - before.candidates == 2 * (position + 1 - sinks - window));
            }
            before = now;
        }
        CHECK(mean_error(p, s.o, exact_output(p), 250) < 1e-5);
    }
}

TEST_CASE("with nothing chosen, the result is attention over sinks and window", "[attention]") {
    const clustered_keys p(2, 1, 16, 120);
    const nullm::sampled_attention<chooses_nothing, float> attention{
        .sinks = 3, .window = 7, .dense_every = 0};
    session s(attention, p);
    s.run_all(50);
    for (const std::size_t position : {10, 11, 60, 119}) {
        for (std::size_t h = 0; h < 2; ++h) {
            double total = 0;
            std::vector<double> sum(16);
            for (std::size_t j = 0; j <= position; ++j) {
                if (j >= 3 && j + 7 <= position) continue;
                double dot = 0;
                for (std::size_t d = 0; d < 16; ++d) {
                    dot += static_cast<double>(p.q[(position * 2 + h) * 16 + d]) *
                           static_cast<double>(p.k[j * 16 + d]);
                }
                total += std::exp(dot / 4);
                for (std::size_t d = 0; d < 16; ++d)
                    sum[d] += std::exp(dot / 4) * static_cast<double>(p.v[j * 16 + d]);
            }
            for (std::size_t d = 0; d < 16; ++d) {
                CHECK(s.o[(position * 2 + h) * 16 + d] == Approx(sum[d] / total).margin(1e-4));
            }
        }
    }
    CHECK(attention.counts(s.state).chosen == 0);
}

TEST_CASE("extreme inputs give finite results inside the hull of the values", "[attention]") {
    nullm_test::check_extreme_inputs(sampled());
}

TEST_CASE("counting what is read does not depend on how it was batched", "[attention]") {
    const clustered_keys p(4, 2, 16, 300);
    session a(sampled(), p, 1);
    session b(sampled(), p, 5);
    a.run_all(1);
    b.run_all(300);
    const auto counts = a.attention.counts(a.state);
    CHECK(counts == b.attention.counts(b.state));
    CHECK(counts.queries == (300 - 105) * 4);
    CHECK(counts.always == counts.queries * 16);
    CHECK(counts.share_read() > 0.05);
    CHECK(counts.share_read() < 0.8);
}

TEST_CASE("another seed samples other keys", "[attention]") {
    const clustered_keys p(4, 2, 16, 300);
    auto other = sampled();
    other.sampler.seed = 12;
    CHECK(!same_bits(output(other, p), output(sampled(), p)));
}

TEST_CASE("a sampled attention refuses a window of nothing and numbers beyond any context", "[attention]") {
    const clustered_keys p(2, 1, 16, 10);
    auto attention = sampled();
    attention.window = 0;
    CHECK_THROWS_AS(decltype(attention)::state(attention, shape_of(p)), nullm::error);
    attention.window = 1;
    attention.sinks = std::numeric_limits<std::size_t>::max();
    CHECK_THROWS_WITH(decltype(attention)::state(attention, shape_of(p)),
                      Catch::Contains("sampled attention: expected a window of 1 or more"));
    attention = sampled();
    attention.sampler.min_indexed = std::numeric_limits<std::size_t>::max();
    CHECK_THROWS_AS(decltype(attention)::state(attention, shape_of(p)), nullm::error);
    // Never to sample is a position like any other.
    CHECK(same_bits(output(sampled(), p, 4, 1, std::numeric_limits<std::size_t>::max()), exact_output(p)));
}
