#include <nullm/linear/native_linear.hpp>
#include <nullm/model/llama.hpp>

#include <model/llama_fixture.hpp>
#include <support/catch.hpp>

#include <thread>
#include <vector>

// The model as it is used: with weights in the file's own formats.

using namespace llama_fixture;
using nullm::native_linear;

static_assert(nullm::Model<model_of<native_linear<nullm::f32>, float>>);
static_assert(nullm::Model<model_of<native_linear<nullm::i16>>>);
static_assert(nullm::Model<model_of<native_linear<nullm::i8>, nullm::bf16>>);

TEST_CASE("llama with native weights computes what the paper says", "[model]") {
    for (const auto& spec : all_shapes()) {
        INFO(spec.name);
        CHECK(worst_error<native_linear<nullm::f32>>(spec, 20) < float_tolerance);
    }
}

TEST_CASE("integer arithmetic stays near the float one", "[model]") {
    const synthetic_spec spec;
    // A quantised activation errs by half a code of its block's largest value, some 3 times the typical one:
    // 3 / 65534 and 3 / 254 relative. Fifteen products with independent errors, gain 3, the worst of 10,000
    // logits (4 sigma): sqrt(15) x 3 x 4 = 46 times that, divided by sqrt(3) for a uniform error.
    CHECK(worst_error<native_linear<nullm::i16>>(spec, 30) < 46 * 3.0 / 65534);
    CHECK(worst_error<native_linear<nullm::i8>>(spec, 30) < 46 * 3.0 / 254);
}

TEST_CASE("native weights leave logits the same bits in any batch", "[model]") {
    check_invariance<model_of<native_linear<nullm::f32>, float>>(0xdd21759f4d05b0e0U);
    check_invariance<model_of<native_linear<nullm::i16>>>(0xb05020b7583e1409U);
    check_invariance<model_of<native_linear<nullm::i8>, nullm::bf16>>(0x750381f5323758f2U);
}

TEST_CASE("sessions on several threads share a model and a prefix", "[model]") {
    using model_type = model_of<native_linear<nullm::i16>>;
    synthetic_spec spec;
    spec.context = 700;
    const synthetic made(spec);
    const model_type model(made.file);
    const auto tokens = random_tokens(600, spec.vocabulary);
    model_type::state alone(model, {.threads = 1});
    const auto expected = run(model, alone, tokens, 600);
    model.truncate(alone, 300);
    const auto prefix = model.save(alone);

    std::vector<std::vector<float>> results(3);
    {
        std::vector<std::jthread> threads;
        for (std::size_t i = 0; i < results.size(); ++i) {
            threads.emplace_back([&, i] {
                model_type::state state(model, {.threads = i == 0 ? 2U : 1U});
                for (int repeat = 0; repeat < 3; ++repeat) {
                    model.restore(state, prefix);
                    results[i] = run(model, state, std::span(tokens).subspan(300), 1 + i * 20);
                }
            });
        }
    }
    for (const auto& result : results) {
        CHECK(same_bits(result, std::span(expected).subspan(300 * spec.vocabulary)));
    }
}
