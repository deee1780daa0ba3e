#include <nullm/generate/sampler.hpp>

#include <support/catch.hpp>
#include <support/sanitized.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <vector>

namespace {

using nullm::greedy;
using nullm::isa;
using nullm::temperature_sampler;
using nullm::token_id;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

nullm::draw_key key(std::int64_t position) {
    return {.seed = 17, .stream = nullm::draw_stream::sampler, .position = position};
}

std::vector<float> random_logits(std::size_t n, std::uint64_t seed, float scale) {
    std::vector<float> x(n);
    for (std::size_t i = 0; i < n; ++i) {
        x[i] = scale * (nullm::draw_uniform({.seed = seed}, static_cast<std::uint32_t>(i)) - 0.5F);
    }
    return x;
}

/// softmax with the cuts, in long double and the plainest way: the probability of every token.
std::vector<long double> probabilities(const std::vector<float>& logits, temperature_sampler::options o) {
    std::vector<std::size_t> order(logits.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return logits[a] > logits[b]; });
    if (o.top_k != 0 && o.top_k < order.size()) order.resize(o.top_k);
    std::vector<long double> p(logits.size(), 0);
    long double total = 0, sum = 0;
    const long double largest = logits[order[0]], temperature = o.temperature;
    for (const auto i : order)
        total += p[i] = std::exp((static_cast<long double>(logits[i]) - largest) / temperature);
    long double kept = 0;
    for (const auto i : order) {
        if (kept > 0 && kept >= static_cast<long double>(o.top_p) * total) {
            p[i] = 0;
        } else {
            kept += p[i];
        }
    }
    for (auto& x : p) sum += x;
    for (auto& x : p) x /= sum;
    return p;
}

std::vector<isa> levels() {
    std::vector<isa> made = {isa::scalar};
    for (const isa level : {isa::avx2, isa::avx512}) {
        if (nullm::detected_isa() >= level) made.push_back(level);
    }
    return made;
}

}  // namespace

TEST_CASE("greedy picks the largest logit, the lowest id of equals", "[generate]") {
    for (const isa level : levels()) {
        CHECK(greedy{}.sample(std::vector<float>{1, 3, 2, 3}, {}, level) == 1);
        CHECK(greedy{}.sample(std::vector<float>{-infinity, -2, -infinity}, {}, level) == 1);
        CHECK(greedy{}.sample(std::vector<float>{-0.0F, 0.0F}, {}, level) == 0);
        for (std::size_t n = 1; n < 70; ++n) {
            auto logits = random_logits(n, n, 8);
            const auto at = std::max_element(logits.begin(), logits.end()) - logits.begin();
            CHECK(greedy{}.sample(logits, {}, level) == at);
            logits.push_back(logits[static_cast<std::size_t>(at)]);
            CHECK(greedy{}.sample(logits, {}, level) == at);
        }
    }
}

TEST_CASE("a row that cannot be sampled from is refused", "[generate]") {
    const temperature_sampler warm({.temperature = 0.7F}),
        cut({.temperature = 0.7F, .top_k = 3, .top_p = 0.9F});
    for (const isa level : levels()) {
        for (const std::size_t n : {1U, 5U, 16U, 17U, 40U}) {
            for (std::size_t bad = 0; bad < n; ++bad) {
                auto logits = random_logits(n, 3, 4);
                logits[n / 2] = -infinity;
                logits[bad] = not_a_number;
                CHECK_THROWS_AS(greedy{}.sample(logits, {}, level), nullm::error);
                CHECK_THROWS_AS(warm.sample(logits, {}, level), nullm::error);
                CHECK_THROWS_AS(cut.sample(logits, {}, level), nullm::error);
                logits[bad] = infinity;
                CHECK_THROWS_AS(warm.sample(logits, {}, level), nullm::error);
            }
            CHECK_THROWS_AS(warm.sample(std::vector<float>(n, -infinity), {}, level), nullm::error);
        }
        CHECK_THROWS_AS(greedy{}.sample({}, {}, level), nullm::error);
    }
}

TEST_CASE("sampler parameters are held to their ranges", "[generate]") {
    CHECK_THROWS_AS(temperature_sampler({.temperature = -0.1F}), nullm::error);
    CHECK_THROWS_AS(temperature_sampler({.temperature = not_a_number}), nullm::error);
    CHECK_THROWS_AS(temperature_sampler({.temperature = infinity}), nullm::error);
    CHECK_THROWS_AS(temperature_sampler({.top_p = 0}), nullm::error);
    CHECK_THROWS_AS(temperature_sampler({.top_p = 1.5F}), nullm::error);
    CHECK_THROWS_AS(temperature_sampler({.top_p = not_a_number}), nullm::error);
    CHECK_NOTHROW(temperature_sampler({.temperature = 0, .top_k = 0, .top_p = 1}));
}

TEST_CASE("temperature zero, top_k one and a tiny top_p are greedy", "[generate]") {
    const auto logits = random_logits(300, 8, 6);
    const token_id best = greedy{}.sample(logits, {});
    for (const temperature_sampler s : {temperature_sampler({.temperature = 0, .top_k = 40}),
                                        temperature_sampler({.temperature = 2, .top_k = 1}),
                                        temperature_sampler({.temperature = 2, .top_p = 1e-6F}),
                                        temperature_sampler({.temperature = 1e-30F})}) {
        for (int i = 0; i < 50; ++i) CHECK(s.sample(logits, key(i)) == best);
    }
}

TEST_CASE("draws are distributed as the softmax says", "[generate]") {
    // Pearson's statistic over the tokens expected at least five times, at a fixed seed. Mean = degrees of
    // freedom d, variance 2 d; six standard deviations.
    const int draws = support::sanitized ? 4000 : 40000;
    for (const auto o : {temperature_sampler::options{.temperature = 1.0F},
                         temperature_sampler::options{.temperature = 0.5F},
                         temperature_sampler::options{.temperature = 0.8F, .top_k = 7},
                         temperature_sampler::options{.temperature = 0.8F, .top_p = 0.7F},
                         temperature_sampler::options{.temperature = 1.5F, .top_k = 20, .top_p = 0.9F}}) {
        for (const std::size_t n : {3U, 37U, 2500U}) {
            const auto logits = random_logits(n, n, 10);
            const auto p = probabilities(logits, o);
            std::vector<int> counts(n);
            const temperature_sampler sampler(o);
            for (int i = 0; i < draws; ++i)
                ++counts[static_cast<std::size_t>(sampler.sample(logits, key(i)))];
            double chi = 0;
            int cells = 0;
            for (std::size_t t = 0; t < n; ++t) {
                if (p[t] == 0) CHECK(counts[t] == 0);
                const double expected = static_cast<double>(p[t]) * draws;
                if (expected < 5) continue;
                chi += (counts[t] - expected) * (counts[t] - expected) / expected;
                ++cells;
            }
            if (cells > 1) CHECK(std::abs(chi - (cells - 1)) < 6 * std::sqrt(2.0 * (cells - 1)));
        }
    }
}

TEST_CASE("cuts fall among equal logits by id", "[generate]") {
    std::vector<float> logits(100, -5.0F);
    for (const std::size_t i : {7U, 20U, 21U, 60U, 99U}) logits[i] = 1.0F;
    const auto drawn = [&](temperature_sampler::options o) {
        std::set<token_id> seen;
        for (int i = 0; i < 400; ++i) seen.insert(temperature_sampler(o).sample(logits, key(i)));
        return seen;
    };
    CHECK(drawn({.top_k = 3}) == std::set<token_id>{7, 20, 21});
    // Two of five equal ones, restricted by top_k to their own sum, reach 0.375; a third is needed for 0.41.
    CHECK(drawn({.top_k = 5, .top_p = 0.375F}) == std::set<token_id>{7, 20});
    CHECK(drawn({.top_k = 5, .top_p = 0.41F}) == std::set<token_id>{7, 20, 21});
    CHECK(drawn({.temperature = 0.1F, .top_p = 0.5F}) == std::set<token_id>{7, 20, 21});
    CHECK(drawn({.top_k = 100, .top_p = 1e-9F}) == std::set<token_id>{7});
    logits.assign(1000, 2.0F);
    std::set<token_id> quarter;
    for (token_id t = 0; t < 250; ++t) quarter.insert(t);
    const auto seen = drawn({.top_p = 0.25F});
    CHECK(std::includes(quarter.begin(), quarter.end(), seen.begin(), seen.end()));
    CHECK(seen.size() > 150);  // 400 draws of 250: 200 expected, standard deviation below 8
}

TEST_CASE("a token that cannot be is never drawn", "[generate]") {
    std::vector<float> logits(50, -infinity);
    logits[3] = 0;
    logits[40] = 0;
    for (const auto o : {temperature_sampler::options{}, temperature_sampler::options{.top_k = 10},
                         temperature_sampler::options{.top_p = 0.999F},
                         temperature_sampler::options{.top_k = 49, .top_p = 0.999F}}) {
        std::set<token_id> seen;
        for (int i = 0; i < 100; ++i) seen.insert(temperature_sampler(o).sample(logits, key(i)));
        CHECK(seen == std::set<token_id>{3, 40});
    }
}

TEST_CASE("the draw is the same on every instruction set, and follows from logits and key alone",
          "[generate]") {
    for (const auto o : {temperature_sampler::options{.temperature = 0.9F},
                         temperature_sampler::options{.temperature = 0.8F, .top_p = 0.95F},
                         temperature_sampler::options{.temperature = 1.2F, .top_k = 40, .top_p = 0.95F}}) {
        const temperature_sampler sampler(o);
        for (const std::size_t n : {1U, 15U, 16U, 33U, 5000U}) {
            const auto logits = random_logits(n, n + 1, 25);
            for (int i = 0; i < 200; ++i) {
                const token_id expected = sampler.sample(logits, key(i), isa::scalar);
                for (const isa level : levels()) REQUIRE(sampler.sample(logits, key(i), level) == expected);
            }
        }
    }
}
