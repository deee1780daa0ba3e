#include <nullm/attention/sketch_sampler.hpp>

#include <attention/key_cloud.hpp>
#include <support/catch.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <span>
#include <vector>

namespace {

using nullm::matrix_view;
using nullm::sketch_sampler;
using nullm_test::cloud;

constexpr std::size_t size = cloud::size;

template <int bits>
std::vector<nullm::key_selection> choose(const sketch_sampler<bits>& sampler,
                                         const typename sketch_sampler<bits>::index& index,
                                         matrix_view<const float> q, std::size_t limit, std::size_t layer = 0,
                                         std::size_t kv_head = 0, std::size_t position = 5000) {
    typename sketch_sampler<bits>::scratch scratch;
    std::vector<nullm::key_selection> chosen(q.rows);
    const nullm::key_query query{
        .layer = layer, .kv_head = kv_head, .position = position, .limit = limit, .q = q};
    sampler.select(index, query, chosen, scratch);
    for (std::size_t i = 0; i < q.rows; ++i) {
        const std::vector<float> dots(chosen[i].positions.size());
        sampler.weigh(index, query, i, dots, scratch, chosen[i]);
    }
    return chosen;
}

template <int bits>
void check_unbiased() {
    constexpr std::size_t n = 256;
    nullm::thread_pool pool(1);
    const cloud all(n, 1, 4);
    std::mt19937 random(8);
    std::normal_distribution<float> normal;
    std::vector<float> q(3 * size);
    std::vector<double> value(n);
    for (auto& x : q) x = normal(random);
    for (auto& x : value) x = static_cast<double>(normal(random)) + 1;
    std::vector<double> weight(3 * n);
    double expected[3][2] = {};
    for (std::size_t i = 0; i < 3; ++i) {
        for (std::size_t j = 0; j < n; ++j) {
            double dot = 0;
            for (std::size_t d = 0; d < size; ++d)
                dot += static_cast<double>(q[i * size + d]) * static_cast<double>(all.keys[j * size + d]);
            weight[i * n + j] = std::exp(dot / 4);
            expected[i][0] += weight[i * n + j];
            expected[i][1] += weight[i * n + j] * value[j];
        }
    }
    // The sketches stay: what is drawn anew is the choice, by the query's position.
    const sketch_sampler<bits> sampler{.seed = 3, .budget = {.share = 0.15F, .least = 1}};
    typename sketch_sampler<bits>::index index(sampler, cloud::shape_of(3, 1), 0);
    sampler.append(index, 0, all.part(0, n), pool);
    constexpr std::size_t draws = 6000;
    double sum[3][2] = {};
    double square[3][2] = {};
    double read = 0;
    for (std::size_t draw = 0; draw < draws; ++draw) {
        const auto chosen = choose(sampler, index, {q.data(), 3, size}, n, 0, 0, n + draw);
        read += static_cast<double>(chosen[0].positions.size());
        for (std::size_t i = 0; i < 3; ++i) {
            double total[2] = {};
            for (std::size_t j = 0; j < chosen[i].positions.size(); ++j) {
                const auto p = chosen[i].positions[j];
                const double w = weight[i * n + p] * std::exp(static_cast<double>(chosen[i].surprisal[j]));
                total[0] += w;
                total[1] += w * value[p];
            }
            for (int k = 0; k < 2; ++k) {
                sum[i][k] += total[k];
                square[i][k] += total[k] * total[k];
            }
        }
    }
    CHECK(read / draws < 0.5 * n);
    for (std::size_t i = 0; i < 3; ++i) {
        for (int k = 0; k < 2; ++k) {
            const double mean = sum[i][k] / draws;
            const double error = std::sqrt((square[i][k] / draws - mean * mean) / draws);
            INFO(bits << " bits, head " << i << ": mean " << mean << ", expected " << expected[i][k]
                      << ", standard error " << error);
            CHECK(error < 0.01 * expected[i][0]);  // or the test would say little
            CHECK(std::fabs(mean - expected[i][k]) < 4.5 * error);
        }
    }
}

template <int bits>
void check_rates() {
    constexpr std::size_t n = 40;
    nullm::thread_pool pool(1);
    const cloud all(n, 2, 14);
    const cloud q(3, 1, 15);
    const sketch_sampler<bits> sampler{.budget = {.share = 0.2F, .least = 1}, .floor = 0.02F};
    typename sketch_sampler<bits>::index index(sampler, cloud::shape_of(6, 2), 4);
    sampler.append(index, 0, all.part(0, n), pool);
    constexpr std::size_t draws = 6000;
    std::vector<double> times(n);
    std::vector<double> both(n);  // with its neighbour
    std::vector<double> u(n, 0.02);
    for (std::size_t draw = 0; draw < draws; ++draw) {
        const auto chosen = choose(sampler, index, q.part(0, 3), n + 4, 0, 1, 100 + draw);
        std::vector<char> here(n);
        for (std::size_t j = 0; j < chosen[0].positions.size(); ++j) {
            const std::size_t p = chosen[0].positions[j] - 4;
            here[p] = 1;
            times[p] += 1;
            u[p] = std::exp(-static_cast<double>(chosen[0].surprisal[j]));
        }
        for (std::size_t p = 1; p < n; ++p) both[p] += here[p] * here[p - 1];
        for (int i = 1; i < 3; ++i) {
            CHECK(chosen[static_cast<std::size_t>(i)].positions == chosen[0].positions);
            CHECK(chosen[static_cast<std::size_t>(i)].surprisal == chosen[0].surprisal);
        }
    }
    const auto near = [&](double count, double p) {
        return std::fabs(count / draws - p) <= 4.5 * std::sqrt(p * (1 - p) / draws) + 1e-9;
    };
    for (std::size_t p = 0; p < n; ++p) {
        INFO("key " << p << ": " << times[p] / draws << " of " << u[p]);
        CHECK(near(times[p], u[p]));
        if (p > 0) CHECK(near(both[p], u[p] * u[p - 1]));  // independent
    }
}

}  // namespace

TEST_CASE("numerator and denominator are unbiased given the sketches, for every head of a group",
          "[attention]") {
    check_unbiased<1>();
    check_unbiased<2>();
    check_unbiased<4>();
}

TEST_CASE("a key is chosen as often as its surprisal says, and independently of its neighbour",
          "[attention]") {
    check_rates<1>();
    check_rates<2>();
    check_rates<4>();
}

TEST_CASE("a sketch index depends on the keys alone, not on batches, threads, instruction set or rewinds",
          "[attention]") {
    constexpr std::size_t n = 700;
    const cloud all(n, 3, 21);
    const cloud other(n, 3, 22);
    const cloud q(5, 1, 23);
    nullm::thread_pool one(1);
    const sketch_sampler<> plain{.seed = 7, .level = nullm::isa::scalar};
    sketch_sampler<>::index expected(plain, cloud::shape_of(15, 3, 2), 4);
    plain.append(expected, 1, all.part(0, n), one);
    const auto wanted = choose(plain, expected, q.part(0, 5), 600, 1, 2);
    REQUIRE(wanted[0].positions.size() > 60);
    REQUIRE(wanted[0].positions.size() < 300);
    REQUIRE(wanted[0].positions.back() < 600);
    REQUIRE(wanted[0].positions.front() >= 4);

    for (const unsigned threads : {1U, 2U, 5U}) {
        for (const auto level :
             {nullm::isa::scalar, nullm::isa::avx2, nullm::isa::avx512, nullm::isa::vnni}) {
            for (const std::size_t batch : {1U, 7U, 300U}) {
                if (level > nullm::detected_isa()) continue;
                nullm::thread_pool pool(threads);
                const sketch_sampler<> sampler{.seed = 7, .level = level};
                sketch_sampler<>::index index(sampler, cloud::shape_of(15, 3, 2), 4);
                const auto saved = nullm_test::append_with_detour(sampler, index, all, other, batch, pool);
                CHECK(saved.end(1) == 454);
                CHECK(index.end(1) == n + 4);
                CHECK(index.end(0) == 4);
                CHECK(index == expected);
                CHECK(!(saved == expected));
                const auto chosen = choose(sampler, index, q.part(0, 5), 600, 1, 2);
                for (std::size_t i = 0; i < 5; ++i) {
                    CHECK(chosen[i].positions == wanted[i].positions);
                    CHECK(chosen[i].surprisal == wanted[i].surprisal);
                }
            }
        }
    }
    // Another head, layer, position or seed draws anew.
    CHECK(choose(plain, expected, q.part(0, 5), 600, 1, 2, 5001)[0].positions != wanted[0].positions);
}

TEST_CASE("what a query chooses does not depend on keys that come later", "[attention]") {
    nullm::thread_pool pool(1);
    const cloud all(700, 1, 5);
    const cloud q(1, 1, 6);
    const sketch_sampler<> sampler{};
    sketch_sampler<>::index index(sampler, cloud::shape_of(1, 1), 4);
    sampler.append(index, 0, all.part(0, 300), pool);
    const auto early = choose(sampler, index, q.part(0, 1), 304);
    sampler.append(index, 0, all.part(300, 400), pool);
    const auto late = choose(sampler, index, q.part(0, 1), 304);
    CHECK(late[0].positions == early[0].positions);
    CHECK(late[0].surprisal == early[0].surprisal);
    CHECK(choose(sampler, index, q.part(0, 1), 4)[0].positions.empty());
}

TEST_CASE("sketches choose keys without direction always, and queries without one choose all keys",
          "[attention]") {
    constexpr std::size_t n = 400;
    nullm::thread_pool pool(1);
    cloud all(n, 1, 31);
    for (const std::size_t p : {0, 17, 299})
        std::fill_n(all.keys.begin() + static_cast<long>(p * size), size, 0.0F);
    const sketch_sampler<> sampler{.budget = {.least = 40}};
    sketch_sampler<>::index index(sampler, cloud::shape_of(2, 1), 4);
    sampler.append(index, 0, all.part(0, 200), pool);
    sampler.append(index, 0, all.part(200, 200), pool);
    cloud q(2, 1, 32);
    const auto chosen = choose(sampler, index, q.part(0, 2), n + 4)[1];
    CHECK(chosen.positions.size() < 100);
    for (const std::uint32_t p : {4U, 21U, 303U}) {
        const auto at = std::find(chosen.positions.begin(), chosen.positions.end(), p);
        REQUIRE(at != chosen.positions.end());
        CHECK(chosen.surprisal[static_cast<std::size_t>(at - chosen.positions.begin())] == 0.0F);
    }
    for (const float bad :
         {0.0F, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
        std::fill_n(q.keys.begin(), size, bad);  // one of the two is enough
        const auto everything = choose(sampler, index, q.part(0, 2), 250);
        for (const auto& head : everything) {
            CHECK(head.positions.size() == 246);
            CHECK(head.positions.front() == 4);
            CHECK(head.positions.back() == 249);
            CHECK(head.surprisal == std::vector<float>(246, 0.0F));
        }
    }
}

TEST_CASE("a head that cannot tell its keys apart reads the budget, less what it reads in any case",
          "[attention]") {
    constexpr std::size_t n = 4000;
    nullm::thread_pool pool(1);
    const cloud all(n, 1, 31);
    const sketch_sampler<> sampler{.budget = {.share = 0.1F, .least = 1}, .floor = 0x1p-20F};
    sketch_sampler<>::index index(sampler, cloud::shape_of(1, 1), 0);
    sampler.append(index, 0, all.part(0, n), pool);
    const std::vector<float> q(size, 1e-6F);
    const float level = std::log(static_cast<float>(n));  // of the keys' sum of e^0
    sketch_sampler<>::scratch scratch;
    const auto mean_read = [&](std::span<const float> always) {
        double read = 0;
        for (std::size_t position = n; position < n + 50; ++position) {
            const nullm::key_query query{.position = position, .limit = n, .q = {q.data(), 1, size}};
            const std::size_t parts = sampler.begin_scan(index, query, scratch);
            for (std::size_t p = 0; p < parts; ++p) sampler.scan(index, query, p, scratch);
            sampler.settle(index, query, always, scratch);
            nullm::key_selection drawn;
            for (std::size_t p = 0; p < parts; ++p) {
                sampler.draw(index, query, p, scratch, drawn);
                read += static_cast<double>(drawn.positions.size());
            }
        }
        return read / 50;
    };
    // Four and a half standard errors of 50 x 400 keys drawn are 3.2 %; the exponential errs by up to 6 %.
    const float as_much[] = {level};
    const float far_more[] = {level + 5};
    const float none[] = {-std::numeric_limits<float>::infinity()};
    CHECK(mean_read({}) == Approx(400).epsilon(0.1));
    CHECK(mean_read(none) == mean_read({}));
    CHECK(mean_read(as_much) == Approx(200).epsilon(0.1));
    CHECK(mean_read(far_more) == Approx(400 / (1 + std::exp(5.0))).margin(1));
}

TEST_CASE("a sketch sampler refuses a floor and a share that are none", "[attention]") {
    for (const float bad : {0.0F, -1.0F, 1.5F, std::numeric_limits<float>::quiet_NaN()}) {
        CHECK_THROWS_WITH(sketch_sampler<>::index(sketch_sampler<>{.floor = bad}, cloud::shape_of(1, 1), 0),
                          Catch::Contains("sketch sampler: expected a floor from 2^-20 to 1"));
    }
    for (const float bad : {-0.1F, 1.1F, std::numeric_limits<float>::quiet_NaN()}) {
        CHECK_THROWS_AS(
            sketch_sampler<>::index(sketch_sampler<>{.budget = {.share = bad}}, cloud::shape_of(1, 1), 0),
            nullm::error);
    }
}

TEST_CASE("a sketch index tells its memory", "[attention]") {
    nullm::thread_pool pool(1);
    const cloud all(1024, 1, 1);
    const sketch_sampler<4> sampler;
    sketch_sampler<4>::index index(sampler, cloud::shape_of(1, 1, 3), 0);
    CHECK(index.bytes() == 0);
    sampler.append(index, 2, all.part(0, 1024), pool);
    CHECK(index.bytes() >= 1024 * (16 + 4));  // head size 16 is padded to 32
    CHECK(index.bytes() <= 1024 * (16 + 4) + 1024);
}
