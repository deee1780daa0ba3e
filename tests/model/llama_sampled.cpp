#include <nullm/attention/lsh_attention.hpp>
#include <nullm/model/llama.hpp>

#include <model/llama_fixture.hpp>
#include <support/catch.hpp>
#include <support/plain_linear.hpp>

#include <thread>
#include <vector>

// A model whose attention keeps an index: it has to follow wherever the cache goes.

using namespace llama_fixture;

namespace {

/// Samples from position 105 on, and sorts its tables often.
struct early_lsh : nullm::lsh_attention<nullm::lsh_shape{.bits = 4, .tables = 16}, float> {
    early_lsh() {
        sampler.min_indexed = 90;
        sampler.merge_at = 70;
        sinks = 3;
        window = 13;
        dense_every = 2;
    }
};
using sampled = nullm::llama<plain_linear, early_lsh>;
static_assert(nullm::Model<sampled>);
static_assert(nullm::KeepsIndex<early_lsh> && nullm::CountsKeys<early_lsh>);

}  // namespace

TEST_CASE("sampled attention leaves logits the same bits in any batch and after any rewind", "[model]") {
    synthetic_spec spec;
    spec.context = 400;
    const synthetic made(spec);
    const sampled model(made.file);
    const auto tokens = random_tokens(360, spec.vocabulary);
    sampled::state one(model, {.threads = 1});
    const auto expected = run(model, one, tokens, 1);
    CHECK(model.counts(one).queries > 0);
    CHECK(model.counts(one).chosen < model.counts(one).candidates);

    // Below, at and above the range of the mean, and of the last merge.
    for (const std::size_t back : {350UL, 300UL, 175UL, 106UL, 105UL, 93UL, 92UL, 50UL, 0UL}) {
        for (const std::size_t m : {2UL, 17UL, 360UL}) {
            INFO("back to " << back << ", then batches of " << m);
            sampled::state state(model, {.threads = 2});
            run(model, state, std::span(tokens).first(back), 64);
            run(model, state, random_tokens(360 - back, spec.vocabulary, 1), 50);  // other tokens, taken back
            model.truncate(state, back);
            CHECK(same_bits(run(model, state, std::span(tokens).subspan(back), m),
                            std::span(expected).subspan(back * spec.vocabulary)));
        }
    }
}

TEST_CASE("an index restored, or left by a cancelled pass, is the cache's", "[model]") {
    synthetic_spec spec;
    spec.context = 400;
    const synthetic made(spec);
    const sampled model(made.file);
    const auto tokens = random_tokens(360, spec.vocabulary);
    const auto other = random_tokens(360, spec.vocabulary, 1);
    sampled::state one(model, {.threads = 1});
    const auto expected = run(model, one, tokens, 40);
    model.truncate(one, 200);
    const auto saved = model.save(one);
    const auto rest = std::span(tokens).subspan(200);
    const auto expected_rest = std::span(expected).subspan(200 * spec.vocabulary);

    sampled::state used(model, {.threads = 2});
    run(model, used, other, 30);
    model.restore(used, saved);
    CHECK(same_bits(run(model, used, rest, 7), expected_rest));

    // A session that samples from another position builds an index of its own.
    sampled::state later(model, {.threads = 1, .sample_from = 250});
    run(model, later, other, 30);
    model.restore(later, saved);
    const auto found = run(model, later, rest, 160);
    sampled::state fresh(model, {.threads = 1, .sample_from = 250});
    run(model, fresh, std::span(tokens).first(200), 200);
    CHECK(same_bits(found, run(model, fresh, rest, 3)));

    sampled::state cancelled(model, {.threads = 1});
    run(model, cancelled, std::span(tokens).first(200), 64);
    cancelled.request_cancel();
    CHECK_THROWS_AS(model.forward(cancelled, std::span(other).first(100), 1), nullm::cancelled);
    CHECK(model.length(cancelled) == 200);
    CHECK(same_bits(run(model, cancelled, rest, 16), expected_rest));
}
