#include <nullm/linear/native_linear.hpp>
#include <nullm/quant/text_batch.hpp>

#include <model/llama_fixture.hpp>
#include <support/catch.hpp>

#include <algorithm>
#include <vector>

namespace {

using namespace llama_fixture;
using linear = nullm::native_linear<nullm::i16>;

TEST_CASE("texts side by side have the logits of each alone, bit for bit", "[quant]") {
    constexpr std::size_t texts = 5, steps = 270;  // past a chunk of the cache
    synthetic_spec spec;
    spec.context = steps;
    const synthetic made(spec);
    const nullm::llama_weights<linear> weights(made.file, 1);
    const model_of<linear> model(made.file);
    std::vector<std::vector<token_id>> tokens;
    std::vector<std::vector<float>> expected;
    for (std::size_t t = 0; t < texts; ++t) {
        tokens.push_back(random_tokens(steps, spec.vocabulary, static_cast<std::int64_t>(t)));
        model_of<linear>::state session(model, {.threads = 1});
        expected.push_back(run(model, session, tokens.back(), 90));
    }
    for (const unsigned threads : {1U, 3U}) {
        nullm::thread_pool pool(threads);
        nullm::text_batch<linear> batch(made.file, weights, texts, steps);
        for (std::size_t p = 0; p < steps; ++p) {
            std::vector<token_id> next;
            for (const auto& text : tokens) next.push_back(text[p]);
            const auto logits = batch.step(next, pool);
            for (std::size_t t = 0; t < texts; ++t) {
                const auto row = std::span(expected[t]).subspan(p * spec.vocabulary, spec.vocabulary);
                REQUIRE(std::equal(row.begin(), row.end(), logits.row(t).begin()));
            }
        }
        CHECK(batch.length() == steps);
    }
}

TEST_CASE("a batch of texts refuses tokens that are not its own, and to outgrow its context", "[quant]") {
    const synthetic_spec spec;
    const synthetic made(spec);
    const nullm::llama_weights<linear> weights(made.file, 1);
    nullm::thread_pool pool(1);
    CHECK_THROWS_AS(nullm::text_batch<linear>(made.file, weights, 0, 4), nullm::error);
    CHECK_THROWS_AS(nullm::text_batch<linear>(made.file, weights, 2, made.file.config().context + 1), nullm::error);
    nullm::text_batch<linear> batch(made.file, weights, 2, 1);
    const auto vocabulary = static_cast<token_id>(spec.vocabulary);
    for (const std::vector<token_id>& tokens : {std::vector<token_id>{1}, {1, -1}, {vocabulary, 1}}) {
        CHECK_THROWS_AS(batch.step(tokens, pool), nullm::error);
    }
    CHECK(batch.length() == 0);
    batch.step(std::vector<token_id>{1, 2}, pool);
    CHECK_THROWS_AS(batch.step(std::vector<token_id>{1, 2}, pool), nullm::error);
}

}  // namespace
