// The claim on the real model: NULLs change no text, and no logit.
#include <nullm/generate/session.hpp>

#include <generate/smollm2_prompts.hpp>
#include <support/catch.hpp>
#include <support/reference_model.hpp>

#include <algorithm>
#include <iostream>
#include <string>
#include <vector>

using smollm2::all_prompts;
using smollm2::named_prompt;
using smollm2::tokens_of;

namespace {

struct sampled : nullm::quiet {
    using sampler = nullm::temperature_sampler;
};
struct sampled_dense : nullm::dense {
    using sampler = nullm::temperature_sampler;
};
struct sampled_random : sampled {
    using gate = nullm::random_gate;
};

template <class Arithmetic>
struct quiet_in : nullm::quiet {
    using linear = nullm::native_linear<Arithmetic>;
};

template <class P>
std::pair<tokens_of, nullm::statistics> text_of(const nullm::model_of<P>& model,
                                                const nullm::gate_of<P>& gate, const named_prompt& prompt,
                                                const tokens_of& stops, float temperature) {
    auto writer =
        nullm::write<P>(model, gate, prompt.tokens, {.max_tokens = 40, .stop_tokens = stops, .seed = 7}, {},
                        nullm::temperature_sampler({.temperature = temperature}));
    while (!writer.finished()) writer.next();
    return {tokens_of(writer.text().begin(), writer.text().end()), writer.stats()};
}

}  // namespace

TEST_CASE("on SmolLM2 the gated text is the dense text, greedy and sampled, whatever the gate",
          "[generate][reference]") {
    const auto path = support::reference_model();
    if (!path) return;
    const nullm::checkpoint file(*path);
    const nullm::tokenizer words(file.vocabulary());
    const nullm::model_of<sampled> model(file);
    const auto spiking = nullm::make_gate<sampled>(file, words);
    const auto stops = words.stop_tokens();
    for (const auto& prompt : all_prompts(file, words)) {
        for (const float temperature : {0.0F, 0.8F}) {
            INFO("prompt " << prompt.name << ", temperature " << temperature);
            const auto [dense, dense_stats] = text_of<sampled_dense>(model, {}, prompt, stops, temperature);
            const auto [quiet, quiet_stats] = text_of<sampled>(model, spiking, prompt, stops, temperature);
            const auto [random, random_stats] =
                text_of<sampled_random>(model, nullm::random_gate(0.4F), prompt, stops, temperature);
            REQUIRE(quiet == dense);
            REQUIRE(random == dense);
            if (prompt.grounded && temperature == 0.0F) CHECK(quiet_stats.passes < quiet.size());
            std::cout << prompt.name.substr(0, 20) << ", temperature " << temperature << ": " << dense.size()
                      << " tokens, passes dense " << dense_stats.passes << ", quiet " << quiet_stats.passes
                      << ", random " << random_stats.passes << '\n';
        }
    }
}

TEMPLATE_TEST_CASE("on SmolLM2 every answer of a reader has the dense logits, bit for bit",
                   "[generate][reference]", nullm::i16, nullm::i8, nullm::f32) {
    const auto path = support::reference_model();
    if (!path) return;
    using policy = quiet_in<TestType>;
    const nullm::checkpoint file(*path);
    const nullm::tokenizer words(file.vocabulary());
    const nullm::model_of<policy> model(file);
    const auto gate = nullm::make_gate<policy>(file, words);
    auto text = all_prompts(file, words).back().tokens;
    text.resize(60);

    typename nullm::model_of<policy>::state state(model);
    const auto all = model.forward(state, text, text.size());
    std::vector<std::vector<float>> dense;
    for (std::size_t r = 0; r < text.size(); ++r) dense.emplace_back(all.row(r).begin(), all.row(r).end());

    for (const std::uint32_t max_pending : {1U, 3U, 64U}) {
        for (const unsigned threads : {1U, 2U}) {
            auto reader =
                nullm::read<policy>(model, gate, {.max_pending = max_pending}, {.threads = threads});
            std::size_t answers = 0;
            for (std::size_t p = 0; p < text.size(); ++p) {
                if (!reader.push(text[p]).token) continue;
                ++answers;
                REQUIRE(std::equal(dense[p].begin(), dense[p].end(), reader.logits().begin(),
                                   reader.logits().end()));
                REQUIRE(reader.cached() + reader.pending() == p + 1);
            }
            CHECK(answers > 0);
            CHECK(answers < text.size());
        }
    }
}
