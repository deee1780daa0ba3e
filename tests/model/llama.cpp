#include <nullm/model/llama.hpp>

#include <model/llama_fixture.hpp>
#include <support/catch.hpp>
#include <support/plain_linear.hpp>

#include <functional>
#include <thread>
#include <vector>

using namespace llama_fixture;
using nullm::exact_attention;

static_assert(nullm::Model<model_of<plain_linear>>);
static_assert(nullm::Model<model_of<plain_linear, float>>);
static_assert(nullm::Model<model_of<plain_linear, nullm::bf16>>);

TEST_CASE("llama computes what the paper says, in every shape and storage type", "[model]") {
    for (const auto& spec : all_shapes()) {
        INFO(spec.name);
        CHECK(worst_error<plain_linear>(spec, 20) < float_tolerance);
    }
}

TEST_CASE("logits are the same bits in any batch, on any threads, after any rewind", "[model]") {
    check_invariance<model_of<plain_linear>>(0x96e0e29031a74b45U);
}

TEST_CASE("only the wanted rows reach the head, across passes too", "[model]") {
    synthetic_spec spec;
    spec.context = 1200;
    const synthetic made(spec);
    const model_of<plain_linear> model(made.file);
    const auto tokens = random_tokens(1030, spec.vocabulary);
    model_of<plain_linear>::state state(model, {.threads = 2});
    const auto expected = run(model, state, tokens, 1030);
    for (const std::size_t wanted : {0, 1, 5, 6, 7, 600, 1029}) {
        model.truncate(state, 0);
        const auto logits = model.forward(state, tokens, wanted);
        REQUIRE(logits.rows == wanted);
        CHECK(same_bits({logits.data, wanted * spec.vocabulary},
                        std::span(expected).last(wanted * spec.vocabulary)));
        CHECK(model.length(state) == 1030);
    }
    CHECK(model.forward(state, {}, 0).rows == 0);
    CHECK(model.length(state) == 1030);
}

TEST_CASE("a refused forward changes nothing", "[model]") {
    const synthetic made({});
    const model_of<plain_linear> model(made.file);
    model_of<plain_linear>::state state(model, {.threads = 1, .context = 40});
    CHECK(model.context(state) == 40);
    const auto tokens = random_tokens(41, 320);
    CHECK_THROWS_WITH(model.forward(state, tokens, 1),
                      "llama forward: expected at most 40 more positions in the context, found 41");
    CHECK(model.length(state) == 0);
    CHECK(model.cache_bytes(state) == 0);
    model.forward(state, std::span(tokens).first(39), 1);
    CHECK_THROWS_WITH(model.forward(state, std::span(tokens).first(2), 1),
                      "llama forward: expected at most 1 more positions in the context, found 2");
    const std::vector<token_id> beyond = {3, 320};
    CHECK_THROWS_WITH(model.forward(state, beyond, 1),
                      "llama forward: expected token ids below 320, found 320");
    const std::vector<token_id> negative = {-1};
    CHECK_THROWS_WITH(model.forward(state, negative, 1),
                      "llama forward: expected token ids below 320, found -1");
    CHECK_THROWS_WITH(model.forward(state, std::span(tokens).first(1), 2),
                      "llama forward: expected logits of at most 1 positions, found 2");
    CHECK(model.length(state) == 39);
    CHECK(model.forward(state, std::span(tokens).first(1), 1).rows == 1);
    CHECK(model.length(state) == 40);

    using state_type = model_of<plain_linear>::state;
    CHECK_THROWS_WITH(state_type(model, {.threads = 1, .context = 513}),
                      "llama state: expected a context of at most 512, found 513");
    state_type small(model, {.threads = 1, .context = 39});
    CHECK_THROWS_AS(model.restore(small, model.save(state)), nullm::error);
    CHECK(model.length(small) == 0);
}

TEST_CASE("a cancelled forward leaves the cache as it was", "[model]") {
    // An attention that asks to stop while a given layer of a given call runs.
    struct stopping : exact_attention<nullm::f16> {
        std::function<void(std::size_t)> at_layer;
        void attend(state& scratch, std::size_t layer, nullm::matrix_view<const float> q, std::size_t first,
                    const nullm::kv_cache<nullm::f16>& cache, nullm::matrix_view<float> o,
                    nullm::thread_pool& pool) const {
            if (at_layer) at_layer(layer);
            exact_attention<nullm::f16>::attend(scratch, layer, q, first, cache, o, pool);
        }
    };
    using model_type = nullm::llama<plain_linear, stopping>;
    synthetic_spec spec;
    spec.context = 1200;
    const synthetic made(spec);
    const auto tokens = random_tokens(1000, spec.vocabulary);
    const model_of<plain_linear> undisturbed(made.file);
    model_of<plain_linear>::state calm(undisturbed, {.threads = 1});
    const auto expected = run(undisturbed, calm, tokens, 1000);

    model_type::state* running = nullptr;
    int calls = 0;
    int stop_at = 0;
    stopping how;
    how.at_layer = [&](std::size_t) {
        if (++calls == stop_at) running->request_cancel();
    };
    const model_type model(made.file, {}, how);
    model_type::state state(model, {.threads = 2});
    running = &state;
    run(model, state, std::span(tokens).first(300), 300);

    // 250 tokens are two passes of two layers each: stop in the first layer, between the passes, in the third
    // call.
    for (const int call : {1, 2, 3}) {
        calls = 0;
        stop_at = call;
        CHECK_THROWS_AS(model.forward(state, std::span(tokens).subspan(300, 250), 1), nullm::cancelled);
        CHECK(calls == call);
        CHECK(model.length(state) == 300);
    }
    // In the very last layer it is too late: that pass completes, and the next one stops before anything
    // happens.
    calls = 0;
    stop_at = 4;
    CHECK(model.forward(state, std::span(tokens).subspan(300, 250), 1).rows == 1);
    CHECK(model.length(state) == 550);
    CHECK_THROWS_AS(model.forward(state, std::span(tokens).first(1), 1), nullm::cancelled);
    CHECK(model.length(state) == 550);

    model.truncate(state, 300);
    stop_at = 0;
    CHECK(same_bits(run(model, state, std::span(tokens).subspan(300), 64),
                    std::span(expected).subspan(300 * spec.vocabulary)));
}

TEST_CASE("a forward can be cancelled from another thread", "[model]") {
    synthetic_spec spec;
    spec.layers = 40;
    spec.context = 1200;
    const synthetic made(spec);
    const model_of<plain_linear> model(made.file);
    model_of<plain_linear>::state state(model, {.threads = 1});
    const auto tokens = random_tokens(1000, spec.vocabulary);
    std::jthread other([&] { state.request_cancel(); });
    bool stopped = false;
    try {
        model.forward(state, tokens, 1);
    } catch (const nullm::cancelled&) {
        stopped = true;
    }
    other.join();
    CHECK(model.length(state) == (stopped ? 0 : 1000));
    if (!stopped) CHECK_THROWS_AS(model.forward(state, std::span(tokens).first(1), 1), nullm::cancelled);
}

TEST_CASE("a model tells what a pass reads", "[model]") {
    const synthetic_spec spec;
    const synthetic made(spec);
    const model_of<plain_linear> model(made.file);
    // Q4_1: 20 bytes for 32 weights; q and o 64 x 64, k and v 32 x 64, three of 96 x 64, twice; head Q8_0.
    CHECK(model.weight_bytes() ==
          2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 96 * 64) / 32 * 20 + 320 * 64 / 32 * 34);
    model_of<plain_linear>::state state(model, {.threads = 1});
    CHECK(model.cache_bytes(state) == 0);
    model.forward(state, random_tokens(257, spec.vocabulary), 0);
    CHECK(model.cache_bytes(state) == 2 * (2 * 2 * 256 * (16 + 16) * sizeof(nullm::f16)));
    CHECK(model.vocabulary() == 320);
    CHECK(model.context(state) == 512);
}
