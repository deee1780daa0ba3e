#include <nullm/attention/table_sampler.hpp>

#include <attention/key_cloud.hpp>
#include <support/catch.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace {

using nullm::lsh_shape;
using nullm::matrix_view;
using nullm::table_sampler;
using nullm_test::cloud;

constexpr std::size_t size = cloud::size;

template <lsh_shape shape>
std::vector<nullm::key_selection> choose(const table_sampler<shape>& sampler,
                                         const typename table_sampler<shape>::index& index,
                                         matrix_view<const float> q, matrix_view<const float> keys,
                                         std::size_t first, std::size_t limit, std::size_t layer = 0,
                                         std::size_t kv_head = 0) {
    typename table_sampler<shape>::scratch scratch;
    std::vector<nullm::key_selection> chosen(q.rows);
    const nullm::key_query query{
        .layer = layer, .kv_head = kv_head, .position = limit + 5, .limit = limit, .q = q};
    sampler.select(index, query, chosen, scratch);
    for (std::size_t i = 0; i < q.rows; ++i) {
        std::vector<float> dots;
        for (const auto p : chosen[i].positions) {
            float sum = 0;
            for (std::size_t d = 0; d < size; ++d) {
                sum = __builtin_fmaf(q[i][d], keys[p - first][kv_head * size + d], sum);
            }
            dots.push_back(sum);
        }
        sampler.weigh(index, query, i, dots, scratch, chosen[i]);
    }
    return chosen;
}

}  // namespace

TEST_CASE("numerator and denominator of the estimate are unbiased over seeds", "[attention]") {
    constexpr lsh_shape shape{4, 16};
    constexpr std::size_t n = 256;
    nullm::thread_pool pool(1);
    const cloud all(n, 1, 4);
    std::mt19937 random(8);
    std::normal_distribution<float> normal;
    std::vector<float> q(size);
    std::vector<double> value(n);
    for (auto& x : q) x = 0.5F * normal(random);
    for (auto& x : value) x = static_cast<double>(normal(random)) + 1;
    std::vector<double> weight(n);
    double z = 0;
    double zo = 0;
    for (std::size_t j = 0; j < n; ++j) {
        double dot = 0;
        for (std::size_t d = 0; d < size; ++d)
            dot += static_cast<double>(q[d]) * static_cast<double>(all.keys[j * size + d]);
        weight[j] = std::exp(dot / 4);
        z += weight[j];
        zo += weight[j] * value[j];
    }
    constexpr double seeds = 4000;
    double sum[2] = {};
    double square[2] = {};
    for (std::uint64_t seed = 0; seed < 4000; ++seed) {
        const table_sampler<shape> sampler{.seed = seed, .floor = 0};
        table_sampler<shape>::index index(sampler, cloud::shape_of(1, 1), 0);
        sampler.append(index, 0, all.part(0, n), pool);
        const auto chosen = choose(sampler, index, {q.data(), 1, size}, all.part(0, n), 0, n)[0];
        double total[2] = {};
        for (std::size_t j = 0; j < chosen.positions.size(); ++j) {
            const auto p = chosen.positions[j];
            const double w = weight[p] * std::exp(static_cast<double>(chosen.surprisal[j]));
            total[0] += w;
            total[1] += w * value[p];
        }
        for (int i = 0; i < 2; ++i) {
            sum[i] += total[i];
            square[i] += total[i] * total[i];
        }
        CHECK(chosen.floored == 0);
    }
    for (int i = 0; i < 2; ++i) {
        const double mean = sum[i] / seeds;
        const double error = std::sqrt((square[i] / seeds - mean * mean) / seeds);
        const double expected = i == 0 ? z : zo;
        INFO("mean " << mean << ", expected " << expected << ", standard error " << error);
        CHECK(error < 0.02 * expected);  // or the test would say little
        CHECK(std::fabs(mean - expected) < 4 * error);
    }
}

TEST_CASE("a key is chosen as often as its surprisal says", "[attention]") {
    constexpr lsh_shape shape{4, 16};
    constexpr std::size_t n = 12;
    nullm::thread_pool pool(1);
    const cloud all(n, 2, 14);
    const cloud q(3, 1, 15);
    double times[3][n] = {};
    double u[3][n] = {};
    constexpr double seeds = 3000;
    for (std::uint64_t seed = 0; seed < 3000; ++seed) {
        const table_sampler<shape> sampler{.seed = seed};
        table_sampler<shape>::index index(sampler, cloud::shape_of(6, 2), 4);
        sampler.append(index, 0, all.part(0, n), pool);
        const auto chosen = choose(sampler, index, q.part(0, 3), all.part(0, n), 4, n + 4, 0, 1);
        for (std::size_t i = 0; i < 3; ++i) {
            for (std::size_t j = 0; j < chosen[i].positions.size(); ++j) {
                times[i][chosen[i].positions[j] - 4] += 1;
                u[i][chosen[i].positions[j] - 4] = std::exp(-static_cast<double>(chosen[i].surprisal[j]));
            }
        }
    }
    for (std::size_t i = 0; i < 3; ++i) {
        for (std::size_t j = 0; j < n; ++j) {
            CHECK(std::fabs(times[i][j] / seeds - u[i][j]) <=
                  4.5 * std::sqrt(u[i][j] * (1 - u[i][j]) / seeds) + 1e-9);
        }
    }
}

TEST_CASE("the index depends on the keys alone, not on batches, merges, threads, instruction set or rewinds",
          "[attention]") {
    constexpr lsh_shape shape{6, 24};
    constexpr std::size_t n = 700;
    const cloud all(n, 3, 21);
    const cloud other(n, 3, 22);
    const cloud q(2, 1, 23);
    nullm::thread_pool one(1);
    const table_sampler<shape> plain{.seed = 7, .merge_at = 100000, .level = nullm::isa::scalar};
    table_sampler<shape>::index expected(plain, cloud::shape_of(6, 3, 2), 4);
    plain.append(expected, 1, all.part(0, n), one);
    const auto wanted = choose(plain, expected, q.part(0, 2), all.part(0, n), 4, 600, 1, 2);
    REQUIRE(wanted[0].positions.size() > 20);

    for (const unsigned threads : {1U, 2U, 5U}) {
        for (const std::size_t merge_at : {1U, 64U, 1000U}) {
            for (const auto level : {nullm::isa::scalar, nullm::isa::avx2, nullm::isa::avx512}) {
                if (level > nullm::detected_isa()) continue;
                if (merge_at == 1 && threads != 2) continue;
                const std::size_t batch = merge_at == 1 ? 64 : merge_at == 64 ? 7 : 300;
                nullm::thread_pool pool(threads);
                const table_sampler<shape> sampler{.seed = 7, .merge_at = merge_at, .level = level};
                table_sampler<shape>::index index(sampler, cloud::shape_of(6, 3, 2), 4);
                const auto saved = nullm_test::append_with_detour(sampler, index, all, other, batch, pool);
                CHECK(saved.end(1) == 454);
                CHECK(index.end(1) == n + 4);
                CHECK(index.end(0) == 4);
                CHECK(index == expected);
                CHECK(!(saved == expected));
                const auto chosen = choose(sampler, index, q.part(0, 2), all.part(0, n), 4, 600, 1, 2);
                for (int i = 0; i < 2; ++i) {
                    CHECK(chosen[i].positions == wanted[i].positions);
                    CHECK(chosen[i].surprisal == wanted[i].surprisal);
                }
            }
        }
    }
}

TEST_CASE("keys without direction are chosen always, and queries without one choose all keys",
          "[attention]") {
    constexpr lsh_shape shape{9, 20};
    constexpr std::size_t n = 300;
    nullm::thread_pool pool(1);
    cloud all(n, 1, 31);
    for (const std::size_t p : {0, 17, 299})
        std::fill_n(all.keys.begin() + static_cast<long>(p * size), size, 0.0F);
    const table_sampler<shape> sampler{.seed = 2, .merge_at = 128};
    table_sampler<shape>::index index(sampler, cloud::shape_of(1, 1), 4);
    sampler.append(index, 0, all.part(0, 200), pool);
    sampler.append(index, 0, all.part(200, 100), pool);
    const cloud q(1, 1, 32);
    const auto chosen = choose(sampler, index, q.part(0, 1), all.part(0, n), 4, n + 4)[0];
    CHECK(chosen.positions.size() < 150);
    for (const std::uint32_t p : {4U, 21U, 303U}) {
        const auto at = std::find(chosen.positions.begin(), chosen.positions.end(), p);
        REQUIRE(at != chosen.positions.end());
        CHECK(chosen.surprisal[static_cast<std::size_t>(at - chosen.positions.begin())] == 0.0F);
    }
    for (const float bad :
         {0.0F, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN(), 1e30F}) {
        const std::vector<float> no_direction(size, bad);
        const auto everything =
            choose(sampler, index, {no_direction.data(), 1, size}, all.part(0, n), 4, 250)[0];
        CHECK(everything.positions.size() == 246);
        CHECK(everything.positions.front() == 4);
        CHECK(everything.positions.back() == 249);
        CHECK(everything.surprisal == std::vector<float>(246, 0.0F));
    }
}

TEST_CASE("a parallel key is certain, and an opposite one is never weighed beyond the floor", "[attention]") {
    constexpr lsh_shape shape{4, 16};
    nullm::thread_pool pool(1);
    cloud all(2, 1, 33);
    for (std::size_t d = 0; d < size; ++d) all.keys[size + d] = -3 * all.keys[d];
    const table_sampler<shape> sampler{.floor = 1e-3F};
    table_sampler<shape>::index index(sampler, cloud::shape_of(1, 1), 0);
    sampler.append(index, 0, all.part(0, 2), pool);
    const auto chosen = choose(sampler, index, all.part(0, 1), all.part(0, 2), 0, 2)[0];
    REQUIRE(chosen.positions == std::vector<std::uint32_t>{0});
    CHECK(chosen.surprisal[0] < 1e-6F);

    // Weighed as if it had been chosen.
    table_sampler<shape>::scratch scratch;
    std::vector<nullm::key_selection> both(1);
    const nullm::key_query query{.position = 5, .limit = 2, .q = all.part(0, 1)};
    sampler.select(index, query, both, scratch);
    both[0].positions = {1};
    float square = 0;
    for (std::size_t d = 0; d < size; ++d) square += all.keys[d] * all.keys[d];
    const float dot = -3 * square;
    sampler.weigh(index, query, 0, {&dot, 1}, scratch, both[0]);
    CHECK(both[0].surprisal[0] == Approx(-std::log(1e-3)));
    CHECK(both[0].floored == 1);
}

TEST_CASE("an index tells its memory", "[attention]") {
    nullm::thread_pool pool(1);
    const cloud all(512, 1, 1);
    const table_sampler<lsh_shape{.bits = 4, .tables = 16}> sampler;
    decltype(sampler)::index index(sampler, cloud::shape_of(1, 1, 3), 0);
    CHECK(index.bytes() == 0);
    sampler.append(index, 2, all.part(0, 512), pool);
    CHECK(index.bytes() >= 512 * 16 * 2 + 4 * 16 * size * 2);
}
