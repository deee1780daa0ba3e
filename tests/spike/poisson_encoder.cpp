#include <nullm/spike/poisson_encoder.hpp>

#include <cmath>
#include <limits>
#include <spike/levels.hpp>
#include <support/catch.hpp>
#include <thread>
#include <vector>

using nullm::draw_key;
using nullm::draw_stream;
using nullm::spike_bits;

namespace {

const nullm::poisson_encoder encoder{};

std::vector<float> ramp(std::size_t n) {
    std::vector<float> p(n);
    for (std::size_t i = 0; i < n; ++i) p[i] = static_cast<float>(i * 37 % 101) / 100.0F;
    return p;
}

spike_bits draw(const std::vector<float>& p, const draw_key& key, std::uint32_t step = 0) {
    spike_bits out;
    encoder.encode(p, key, step, out);
    return out;
}

}  // namespace

TEST_CASE("neuron i spikes at step s iff draw s n + i lies below its intensity", "[spike][encoder]") {
    const draw_key keys[] = {
        {.seed = 1, .stream = draw_stream::encoder, .position = 0, .repeat = 0},
        {.seed = 0xFEDCBA9876543210U, .stream = draw_stream::encoder, .position = 123456, .repeat = 3},
        {.seed = 7, .stream = draw_stream::test, .position = std::int64_t{5} << 33, .repeat = 70000}};
    for (const auto& key : keys) {
        for (std::size_t n : spike_test::widths()) {
            const auto p = ramp(n);
            for (const std::uint32_t step :
                 {0U, 1U, 2U, 3U, 10U}) {  // odd n: the first draw lies inside a block
                spike_bits expected(n);
                for (std::size_t i = 0; i < n; ++i) {
                    const auto index = static_cast<std::uint32_t>(step * n + i);
                    if (nullm::draw_uniform(key, index) < p[i]) expected.set(i);
                }
                for (const auto level : spike_test::levels()) {
                    spike_bits out;
                    encoder.encode(p, key, step, out, level);
                    REQUIRE(out == expected);
                }
            }
        }
    }
}

TEST_CASE("intensity 0 never spikes and 1 always does", "[spike][encoder]") {
    std::vector<float> p(1000);
    for (std::size_t i = 0; i < p.size(); ++i) p[i] = i % 2 == 0 ? 0.0F : 1.0F;
    for (std::int64_t position = 0; position < 200; ++position) {
        const auto bits = draw(p, {.seed = 5, .position = position});
        for (std::size_t i = 0; i < p.size(); ++i) REQUIRE(bits[i] == (i % 2 == 1));
    }
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const auto bits = draw({-1.0F, 2.0F, nan, std::numeric_limits<float>::infinity()}, {.seed = 5});
    CHECK(bits.words()[0] == 0b1010);
    CHECK(draw({}, {.seed = 5}).size() == 0);
}

TEST_CASE("a higher intensity keeps every spike of a lower one", "[spike][encoder]") {
    spike_bits before(100);
    for (int percent = 0; percent <= 100; percent += 5) {
        const auto bits = draw(std::vector<float>(100, static_cast<float>(percent) / 100.0F), {.seed = 9});
        for (std::size_t i = 0; i < 100; ++i) REQUIRE((!before[i] || bits[i]));
        before = bits;
    }
}

TEST_CASE("neurons spike as often as their intensity says", "[spike][encoder]") {
    // Each count is binomial(trials, p): within 5 standard deviations, and over all neurons together too.
    constexpr std::size_t n = 100;
    constexpr std::int64_t trials = 20000;
    const auto p = ramp(n);
    std::vector<std::int64_t> count(n, 0);
    for (std::int64_t t = 0; t < trials; ++t) {
        const auto bits = draw(p, {.seed = 2, .stream = draw_stream::encoder, .position = t});
        for (std::size_t i = 0; i < n; ++i) count[i] += bits[i] ? 1 : 0;
    }
    double excess = 0;
    double variance = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const double expected = trials * static_cast<double>(p[i]);
        const double spread = expected * (1 - static_cast<double>(p[i]));
        CHECK(std::abs(static_cast<double>(count[i]) - expected) <= 5 * std::sqrt(spread));
        excess += static_cast<double>(count[i]) - expected;
        variance += spread;
    }
    CHECK(std::abs(excess) <= 4 * std::sqrt(variance));
}

TEST_CASE("neurons, positions, seeds, steps and repeats are independent of each other", "[spike][encoder]") {
    // At intensity 1/2 two independent spikes agree half the time: agreements of N pairs have standard
    // deviation sqrt(N) / 2. Five of them, two-sided, for each kind of neighbour.
    constexpr std::size_t n = 1024;
    constexpr std::int64_t positions = 500;
    const std::vector<float> half(n, 0.5F);
    const auto agreements = [](const spike_bits& a, const spike_bits& b) {
        std::int64_t same = 0;
        for (std::size_t i = 0; i < n; ++i) same += a[i] == b[i] ? 1 : 0;
        return same;
    };
    std::int64_t lanes[5] = {};  // with the neuron 1, 2, 4, 16, 64 further on
    constexpr std::size_t distance[5] = {1, 2, 4, 16, 64};
    std::int64_t position = 0;
    std::int64_t seed = 0;
    std::int64_t step = 0;
    std::int64_t repeat = 0;
    std::int64_t stream = 0;
    for (std::int64_t t = 0; t < positions; ++t) {
        const draw_key key{.seed = 11, .stream = draw_stream::encoder, .position = t, .repeat = 0};
        auto other = key;
        const auto bits = draw(half, key);
        for (int d = 0; d < 5; ++d) {
            for (std::size_t i = 0; i < n; ++i) lanes[d] += bits[i] == bits[(i + distance[d]) % n] ? 1 : 0;
        }
        other.position = t + 1;
        position += agreements(bits, draw(half, other));
        other = key;
        other.seed = 12;
        seed += agreements(bits, draw(half, other));
        step += agreements(bits, draw(half, key, 1));
        other = key;
        other.repeat = 1;
        repeat += agreements(bits, draw(half, other));
        other = key;
        other.stream = draw_stream::sampler;
        stream += agreements(bits, draw(half, other));
    }
    const double pairs = static_cast<double>(n) * positions;
    const double five_sigma = 5 * std::sqrt(pairs) / 2;
    for (const std::int64_t same :
         {lanes[0], lanes[1], lanes[2], lanes[3], lanes[4], position, seed, step, repeat, stream}) {
        CHECK(std::abs(static_cast<double>(same) - pairs / 2) <= five_sigma);
    }
}

TEST_CASE("spikes do not depend on the order or the thread they are drawn in", "[spike][encoder]") {
    constexpr std::int64_t positions = 64;
    const auto p = ramp(300);
    std::vector<spike_bits> forward(positions);
    for (std::int64_t t = 0; t < positions; ++t)
        forward[static_cast<std::size_t>(t)] = draw(p, {.seed = 3, .position = t});
    std::vector<spike_bits> threaded(positions);
    std::vector<std::thread> threads;
    for (std::int64_t k = 0; k < 4; ++k) {
        threads.emplace_back([&, k] {
            for (std::int64_t t = positions - 1 - k; t >= 0; t -= 4) {
                threaded[static_cast<std::size_t>(t)] = draw(p, {.seed = 3, .position = t});
            }
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK(forward == threaded);
}

TEST_CASE("more draws than a key has are refused", "[spike][encoder]") {
    spike_bits out;
    const auto p = ramp(4);
    CHECK_NOTHROW(encoder.encode(p, {}, (1U << 30) - 1, out));
    CHECK_THROWS_AS(encoder.encode(p, {}, 1U << 30, out), nullm::error);
}
