#include <nullm/attention/sketch_kernels.hpp>
#include <nullm/core/aligned.hpp>
#include <nullm/core/random.hpp>

#include <support/catch.hpp>
#include <support/same_bits.hpp>

#include <bit>
#include <cmath>
#include <random>
#include <vector>

namespace {

using nullm::isa;

constexpr isa levels[] = {isa::scalar, isa::avx2, isa::avx512, isa::vnni};

template <int bits>
void check_scores(std::size_t width, std::size_t groups, std::size_t queries) {
    constexpr std::size_t per_word = 32 / bits;
    std::mt19937 random(static_cast<unsigned>(width + groups * 7 + queries));
    const std::size_t words = width / per_word;
    // A group is its words, then scale and spread.
    std::vector<std::int32_t> codes(groups * (words + 1) * 16);
    std::vector<std::int32_t> fields(groups * 16 * width);  // (key, coordinate)
    for (std::size_t key = 0; key < groups * 16; ++key) {
        for (std::size_t d = 0; d < width; ++d) {
            const std::uint32_t code = random() % 5 == 0 ? (1U << bits) - 1 : random() % (1U << bits);
            fields[key * width + d] = static_cast<std::int32_t>(code);
            const std::size_t place = d % 4 * 8 + d % per_word / 4 * bits;
            auto& word = codes[(key / 16 * (words + 1) + d / per_word) * 16 + key % 16];
            word = static_cast<std::int32_t>(static_cast<std::uint32_t>(word) | code << place);
        }
    }
    std::vector<std::int8_t> q(queries * width);
    for (auto& x : q)
        x = static_cast<std::int8_t>(random() % 6 == 0 ? 127 : static_cast<int>(random() % 255) - 127);
    std::vector<std::int32_t> scales(groups * 16);
    for (auto& x : scales) {
        const std::uint32_t scale = nullm::to_bf16(static_cast<float>(random() % 1000) / 500).bits;
        const std::uint32_t spread = nullm::to_bf16(static_cast<float>(random() % 100) / 500).bits;
        x = random() % 9 == 0 ? 0 : static_cast<std::int32_t>(scale << 16U | spread);
    }
    for (std::size_t key = 0; key < scales.size(); ++key)
        codes[(key / 16 * (words + 1) + words) * 16 + key % 16] = scales[key];
    std::vector<std::int32_t> offsets(queries);
    std::vector<float> factors(queries);
    std::vector<float> squares(queries);
    std::vector<std::vector<float>> expected(queries, std::vector<float>(groups * 16));
    for (std::size_t i = 0; i < queries; ++i) {
        offsets[i] = static_cast<std::int32_t>(random() % 10000) - 5000;
        factors[i] = 0.01F + static_cast<float>(i);
        squares[i] = 3.3F - static_cast<float>(i);
        for (std::size_t key = 0; key < groups * 16; ++key) {
            std::int32_t sum = offsets[i];
            for (std::size_t d = 0; d < width; ++d) sum += 2 * fields[key * width + d] * q[i * width + d];
            const auto kept = static_cast<std::uint32_t>(scales[key]);
            const float mean =
                nullm::scalar::rounded(static_cast<float>(sum) * std::bit_cast<float>(kept & 0xFFFF0000U));
            expected[i][key] = __builtin_fmaf(std::bit_cast<float>(kept << 16U), squares[i],
                                              nullm::scalar::rounded(mean * factors[i]));
        }
    }
    for (const isa level : levels) {
        if (level > nullm::detected_isa()) continue;
        std::vector<std::vector<float>> found(queries, std::vector<float>(groups * 16));
        const std::int8_t* rows[4] = {};
        float* to[4] = {};
        for (std::size_t i = 0; i < queries; ++i) {
            rows[i] = q.data() + i * width;
            to[i] = found[i].data();
        }
        nullm::score_codes<bits>(level, queries, codes.data(), words, groups, codes.data(), rows,
                                 offsets.data(), factors.data(), squares.data(), to);
        INFO(bits << " bits, width " << width << ", groups " << groups << ", " << name_of(level));
        for (std::size_t i = 0; i < queries; ++i) REQUIRE(support::same_bits(found[i], expected[i]));
    }
}

std::vector<float> random_scores(std::size_t n, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(-9, 3);
    std::vector<float> scores(n);
    for (auto& s : scores) s = random() % 50 == 0 ? -1e30F : normal(random);
    return scores;
}

// 2^floor(y) (1 + y - floor(y)), y = x / ln 2.
double power(double x) {
    const double y = x / std::log(2.0);
    return std::ldexp(1 + y - std::floor(y), static_cast<int>(std::floor(y)));
}

}  // namespace

TEST_CASE("scores are the integer products, on every instruction set, for any number of groups and queries",
          "[attention]") {
    for (const std::size_t width : {32U, 64U, 128U, 256U}) {
        for (const std::size_t groups : {1U, 3U, 4U, 16U}) {
            for (const std::size_t queries : {1U, 2U, 3U, 4U}) {
                check_scores<1>(width, groups, queries);
                check_scores<2>(width, groups, queries);
                check_scores<4>(width, groups, queries);
            }
        }
    }
}

TEST_CASE("sums of powers of scores are the same on every instruction set", "[attention]") {
    const std::size_t n = 1040;
    const auto scores = random_scores(n, 1);
    for (const isa level : levels) {
        if (level > nullm::detected_isa()) continue;
        const float most = NULLM_DISPATCH(level, largest_score(scores.data(), n));
        CHECK(most == *std::max_element(scores.begin(), scores.begin() + n));
        const float sum = NULLM_DISPATCH(level, sum_powers(scores.data(), n, most));
        CHECK(sum == nullm::scalar::sum_powers(scores.data(), n, most));
        double exact = 0;
        for (std::size_t j = 0; j < n; ++j) exact += std::exp(static_cast<double>(scores[j] - most));
        CHECK(static_cast<double>(sum) >= exact * (1 - 1e-5));
        CHECK(static_cast<double>(sum) <= exact * 1.0615);

        const float tops[3] = {most, most - 2, most - 300};
        const float sums[3] = {sum, 5, 7};
        const float together = NULLM_DISPATCH(level, merge_sums(tops, sums, 3, most));
        CHECK(together == nullm::scalar::merge_sums(tops, sums, 3, most));
        CHECK(together == Approx(sum + 5 * std::exp(-2.0F)).epsilon(1e-6));
    }
}

TEST_CASE("a key is kept iff its own draw is below its probability, which is told exactly", "[attention]") {
    const std::size_t n = 640;
    const auto scores = random_scores(2 * n, 2);
    const float heads[2] = {0.25F, 1.5F};
    constexpr float least = 0x1p-9F;
    constexpr float threshold = -7.5F;
    std::vector<std::uint64_t> always(n / 64);
    always[1] = 1U << 5U;
    always[9] = std::uint64_t{1} << 63U;
    const nullm::draw_key key{
        .seed = 0x123456789ULL, .stream = nullm::draw_stream::attention, .position = 4711, .repeat = 12};
    const std::array<std::uint32_t, 4> counter{256 / 4, 4711, 12U << 8U, 5};
    for (const isa level : levels) {
        if (level > nullm::detected_isa()) continue;
        std::vector<std::uint32_t> kept(n + 16);
        std::vector<float> u(n + 16);
        const std::size_t count =
            NULLM_DISPATCH(level, choose_scores(2, scores.data(), n, heads, n, threshold, least, always.data(), counter,
                                                {0x23456789U, 1}, kept.data(), u.data()));
        std::size_t at = 0;
        for (std::uint32_t j = 0; j < n; ++j) {
            const bool sure = j == 69 || j == 639;
            const float merged = std::max(scores[j] - heads[0], scores[n + j] - heads[1]);
            const double x = static_cast<double>(merged) - static_cast<double>(threshold);
            const double chance =
                sure ? 1 : std::min(1.0, std::max(static_cast<double>(least), x < -80 ? 0 : power(x)));
            const auto draw = static_cast<double>(draw_uniform(key, 256 + j));
            const bool here = at < count && kept[at] == j;
            // The kernel's own rounding: 2^-17 of the logarithm's scale, 2^-24 of the grid.
            if (std::fabs(draw - chance) > 2e-5 * chance + 0x1p-23) CHECK(here == (draw < chance));
            if (sure) CHECK(here);
            if (here) {
                CHECK(static_cast<double>(u[at]) == Approx(chance).epsilon(2e-5).margin(0x1p-23));
                // On the grid of the draws, so that it is the probability itself.
                CHECK(std::fmod(static_cast<double>(u[at]) * 0x1p24, 1.0) == 0);
                ++at;
            }
        }
        CHECK(at == count);
        CHECK(count > 60);
        CHECK(count < 500);
        std::vector<std::uint32_t> twin_kept(n + 16);
        std::vector<float> twin(n + 16);
        CHECK(nullm::scalar::choose_scores(2, scores.data(), n, heads, n, threshold, least, always.data(), counter,
                                           {0x23456789U, 1}, twin_kept.data(), twin.data()) == count);
        for (auto* all : {&twin_kept, &kept}) all->resize(count);  // behind the last is whatever is there
        for (auto* all : {&twin, &u}) all->resize(count);
        CHECK(twin_kept == kept);
        CHECK(support::same_bits(twin, u));
    }
}

TEST_CASE("logarithms of probabilities are right to a float's digits, and 0 for certainty", "[attention]") {
    std::vector<float> u(1024);
    std::mt19937 random(3);
    for (std::size_t i = 0; i < u.size(); ++i)
        u[i] = static_cast<float>(1 + random() % (1U << (1 + i % 24))) *
               std::ldexp(1.0F, -static_cast<int>(1 + i % 24));
    u[7] = 1;
    for (const isa level : levels) {
        if (level > nullm::detected_isa()) continue;
        std::vector<float> logs(u.size());
        NULLM_DISPATCH(level, negative_logs(u.data(), u.size() - 3, logs.data()));
        for (std::size_t i = 0; i < u.size() - 3; ++i) {
            const double exact = -std::log(static_cast<double>(u[i]));
            CHECK(std::fabs(static_cast<double>(logs[i]) - exact) <= 2e-7 * (1 + exact));
        }
        CHECK(logs[7] == 0);
        std::vector<float> twin(u.size());
        nullm::scalar::negative_logs(u.data(), u.size() - 3, twin.data());
        CHECK(support::same_bits(twin, logs));
    }
}
