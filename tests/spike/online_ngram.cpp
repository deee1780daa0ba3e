#include <nullm/core/random.hpp>
#include <nullm/spike/online_ngram.hpp>

#include <limits>
#include <span>
#include <support/catch.hpp>
#include <vector>

using nullm::ngram_params;
using nullm::online_ngram;
using nullm::token_id;

namespace {

constexpr std::size_t words = 500;

std::vector<token_id> noise(std::size_t count, std::uint64_t seed) {
    std::vector<token_id> text;
    for (std::size_t i = 0; i < count; ++i) {
        text.push_back(static_cast<token_id>(
            nullm::draw_u32({.seed = seed, .position = static_cast<std::int64_t>(i)}) % words));
    }
    return text;
}

/// Learns the text; returns the mean surprise at its tokens from `first` on.
float mean_surprise(const online_ngram& model, online_ngram::memory& learned, std::span<const token_id> text,
                    std::size_t first = 0) {
    float sum = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (i >= first) sum += model.surprise(learned, learned.context, text[i]);
        model.settle(learned, text[i]);
    }
    return sum / static_cast<float>(text.size() - first);
}

}  // namespace

TEST_CASE("before any text a token is as probable as its rank makes it", "[spike][ngram]") {
    const online_ngram model(words, {.prior_shift = 10.0F});
    const auto learned = model.initial();
    double sum = 0;
    for (token_id t = 0; t < static_cast<token_id>(words); ++t) {
        const float p = model.probability(learned, {}, t);
        sum += static_cast<double>(p);
        CHECK(p == Approx(model.probability(learned, {}, 0) * 10.0F / (10.0F + static_cast<float>(t))));
        CHECK(model.surprise(learned, {}, t) == Approx(-std::log(static_cast<double>(p))).epsilon(1e-6));
    }
    CHECK(sum == Approx(1.0));
}

TEST_CASE(
    "after any context the tokens' probabilities add up to no more than 1, and to 1 before counts are lost",
    "[spike][ngram]") {
    const online_ngram model(words, {.order = 1});
    auto learned = model.initial();
    mean_surprise(model, learned, noise(2000, 1));
    for (const token_id last : {3, 77, 400}) {
        nullm::token_window context;
        context.push(last);
        double sum = 0;
        for (token_id t = 0; t < static_cast<token_id>(words); ++t) {
            sum += static_cast<double>(model.probability(learned, context, t));
        }
        CHECK(sum == Approx(1.0).margin(1e-3));
    }
}

TEST_CASE("what the text repeats becomes expected, token by token", "[spike][ngram]") {
    const online_ngram model(words);
    auto learned = model.initial();
    std::vector<token_id> text;
    for (int i = 0; i < 40; ++i) {
        for (const token_id t : {17, 250, 17, 31, 499}) text.push_back(t);  // 17 is followed by two tokens
    }
    const float first = mean_surprise(model, learned, std::span(text).first(5));
    const float last = mean_surprise(model, learned, text, 150);
    CHECK(first > 5.0F);
    CHECK(last < 0.6F);
}

TEST_CASE("an order of two tells apart what one token of context cannot", "[spike][ngram]") {
    std::vector<token_id> text;
    for (int i = 0; i < 60; ++i) {
        for (const token_id t : {1, 9, 2, 3, 9, 4}) text.push_back(t);  // 9 is followed by 2 or by 4
    }
    float surprise[3];
    for (std::uint32_t order = 0; order < 3; ++order) {
        const online_ngram model(words, {.order = order});
        auto learned = model.initial();
        surprise[order] = mean_surprise(model, learned, text, 200);
    }
    CHECK(surprise[0] > 1.2F);  // five tokens, one of them twice as often: 1.56 nats
    CHECK(surprise[1] < 0.7F);  // one bit at every third token, 0.23 nats, and what backing off costs
    CHECK(surprise[2] < surprise[1] - 0.1F);
}

TEST_CASE("memory stays bounded and the newest of an endless text is still learned", "[spike][ngram]") {
    const online_ngram model(words, {.lines = 64, .half_life = 256});
    auto learned = model.initial();
    const std::vector<token_id> repeated{400, 401, 402, 403};
    const float before = mean_surprise(model, learned, noise(20000, 2), 19000);
    CHECK(learned.total <= 512);
    std::vector<token_id> loop;
    for (int i = 0; i < 100; ++i) loop.insert(loop.end(), repeated.begin(), repeated.end());
    const float after = mean_surprise(model, learned, loop, 300);
    CHECK(before > 5.5F);  // log 500 = 6.2
    CHECK(after < 0.7F);
}

TEST_CASE("the same text gives the same memory, and only settling changes it", "[spike][ngram]") {
    const online_ngram model(words, {.lines = 16});
    auto a = model.initial();
    auto b = model.initial();
    const auto text = noise(3000, 3);
    for (const token_id t : text) {
        model.surprise(a, a.context, t);
        model.surprise(a, {}, 0);
        model.settle(a, t);
        model.settle(b, t);
        REQUIRE(a == b);
    }
    model.settle(b, 1);
    CHECK(a != b);
}

TEST_CASE("a probability is above zero and at most 1 whatever the weights", "[spike][ngram]") {
    for (const float weight : {1e-30F, 1e-3F, 1e30F}) {
        const online_ngram model(words,
                                 {.order = 8, .lines = 4, .prior_weight = weight, .backoff_weight = weight});
        auto learned = model.initial();
        for (const token_id t : noise(500, 4)) {
            const float p = model.probability(learned, learned.context, t % 7);
            REQUIRE((p > 0.0F && p <= 1.0F));
            model.settle(learned, t % 7);
        }
    }
}

TEST_CASE("an n-gram that cannot be right is refused", "[spike][ngram]") {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    CHECK_THROWS_AS(online_ngram(0), nullm::error);
    CHECK_THROWS_AS(online_ngram(words, {.order = 9}), nullm::error);
    CHECK_THROWS_AS(online_ngram(words, {.lines = 100}), nullm::error);
    CHECK_THROWS_AS(online_ngram(words, {.half_life = 0}), nullm::error);
    CHECK_THROWS_AS(online_ngram(words, {.half_life = 40000}), nullm::error);
    CHECK_THROWS_AS(online_ngram(words, {.prior_weight = 0.0F}), nullm::error);
    CHECK_THROWS_AS(online_ngram(words, {.backoff_weight = nan}), nullm::error);
    CHECK_THROWS_AS(online_ngram(words, {.prior_shift = -1.0F}), nullm::error);
    const online_ngram model(words);
    auto learned = model.initial();
    for (const token_id t : {-1, static_cast<token_id>(words)}) {
        CHECK_THROWS_AS(model.surprise(learned, {}, t), nullm::error);
        CHECK_THROWS_AS(model.settle(learned, t), nullm::error);
    }
    CHECK(learned == model.initial());
}
