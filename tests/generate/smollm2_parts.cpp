// The claim on the real model with the other parts: NF4 weights, sampled attention.
#include <nullm/attention/lsh_attention.hpp>
#include <nullm/generate/long_context.hpp>
#include <nullm/generate/session.hpp>
#include <nullm/linear/nf4_linear.hpp>

#include <generate/smollm2_prompts.hpp>
#include <support/catch.hpp>
#include <support/reference_model.hpp>

#include <algorithm>
#include <iostream>
#include <vector>

using smollm2::tokens_of;

namespace {

struct nf4_quiet : nullm::quiet {
    using linear = nullm::nf4_linear<64, nullm::i16>;
};
struct nf4_dense : nullm::dense {
    using linear = nf4_quiet::linear;
};
struct ungated_sketch : nullm::dense {
    using attention = nullm::long_context::attention;
};
struct hashed : nullm::quiet {
    using attention = nullm::lsh_attention<nullm::lsh_shape{.bits = 9, .tables = 120}>;
};

template <class P>
tokens_of text_of(const nullm::model_of<P>& model, const nullm::gate_of<P>& gate,
                  std::span<const nullm::token_id> prompt, std::uint32_t length,
                  nullm::state_options resources = {}) {
    auto writer = nullm::write<P>(model, gate, prompt, {.max_tokens = length, .seed = 7}, resources);
    while (!writer.finished()) writer.next();
    return tokens_of(writer.text().begin(), writer.text().end());
}

/// Reads the text under a random gate and holds every answer's logits against those of one pass over all of
/// it.
template <class P>
void check_reader(const nullm::model_of<P>& model, std::span<const nullm::token_id> text, std::size_t judged,
                  nullm::state_options resources) {
    typename nullm::model_of<P>::state state(model, resources);
    const auto all = model.forward(state, text, judged);
    const std::vector<float> dense(all.data, all.data + judged * all.cols);
    nullm::basic_reader reader(model, typename nullm::model_of<P>::state(model, resources),
                               nullm::random_gate(0.3F), nullm::greedy{}, {.seed = 3});
    std::size_t answers = 0;
    for (std::size_t p = 0; p < text.size(); ++p) {
        if (!reader.push(text[p]).token || p < text.size() - judged) continue;
        ++answers;
        const float* expected = dense.data() + (p - (text.size() - judged)) * all.cols;
        REQUIRE(std::equal(reader.logits().begin(), reader.logits().end(), expected));
    }
    CHECK(answers > judged / 10);
    CHECK(answers < judged);
}

}  // namespace

TEST_CASE("on SmolLM2 in NF4 the gated text is the dense text of the same weights", "[generate][reference]") {
    const auto path = support::reference_model();
    if (!path) return;
    const nullm::checkpoint file(*path);
    const nullm::tokenizer words(file.vocabulary());
    const nullm::model_of<nf4_quiet> model(file);
    const auto gate = nullm::make_gate<nf4_quiet>(file, words, {.theta = 0.6F});
    for (const auto& prompt : smollm2::all_prompts(file, words)) {
        INFO(prompt.name);
        CHECK(text_of<nf4_quiet>(model, gate, prompt.tokens, 24) ==
              text_of<nf4_dense>(model, {}, prompt.tokens, 24));
    }
    check_reader<nf4_quiet>(model, smollm2::long_text(file, words, 80), 80, {});
}

TEST_CASE(
    "on SmolLM2 with sampled attention the gated text is the ungated text of the same seed at 3,000 tokens",
    "[generate][reference]") {
    const auto path = support::reference_model();
    if (!path) return;
    const nullm::checkpoint file(*path);
    const nullm::tokenizer words(file.vocabulary());
    const nullm::model_of<nullm::long_context> model(file);
    const auto gate =
        nullm::make_gate<nullm::long_context>(file, words, {.theta = 0.6F});
    const auto prompt = smollm2::long_text(file, words, 3000);
    const auto quiet = text_of<nullm::long_context>(model, gate, prompt, 40);
    CHECK(quiet.size() == 40);
    CHECK(quiet == text_of<ungated_sketch>(model, {}, prompt, 40));
    // Sampled as soon as there is a choice, in batches of any size: the answers' logits are those of one pass.
    const auto text = std::span(prompt).first(1200);
    nullm::model_of<nullm::long_context>::state state(model, {.sample_from = 0});
    model.forward(state, text, 1);
    REQUIRE(model.counts(state).queries > 0);
    check_reader<nullm::long_context>(model, text, 60, {.sample_from = 0});
}

TEST_CASE("on SmolLM2 with hashed keys a reader's logits are those of one pass", "[generate][reference]") {
    const auto path = support::reference_model();
    if (!path) return;
    const nullm::checkpoint file(*path);
    const nullm::tokenizer words(file.vocabulary());
    const nullm::model_of<hashed> model(file);
    const auto prompt = smollm2::long_text(file, words, 1000);
    nullm::model_of<hashed>::state state(model, {.sample_from = 0});
    model.forward(state, prompt, 1);
    REQUIRE(model.counts(state).queries > 0);
    check_reader<hashed>(model, prompt, 60, {.sample_from = 0});
}
