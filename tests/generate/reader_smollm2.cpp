// The reader's claim on the real model: at every skip rate, deciding on tokens, lines or sentences, an answer
// rests on the logits of one dense pass, bit for bit.
#include <nullm/generate/session.hpp>
#include <nullm/generate/span_gate.hpp>
#include <nullm/generate/span_splitter.hpp>
#include <nullm/spike/gates.hpp>

#include <generate/smollm2_prompts.hpp>
#include <support/catch.hpp>
#include <support/reference_model.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

namespace {

using nullm::token_id;

struct dense_pass {
    std::vector<float> logits;
    std::size_t vocabulary;

    dense_pass(const nullm::model_of<nullm::quiet>& model, std::span<const token_id> text)
        : vocabulary(model.vocabulary()) {
        nullm::model_of<nullm::quiet>::state state(model);
        const auto all = model.forward(state, text, text.size());
        logits.assign(all.data, all.data + text.size() * all.cols);
    }
    bool equals(std::size_t position, std::span<const float> found) const {
        const float* row = logits.data() + position * vocabulary;
        return std::equal(found.begin(), found.end(), row, row + vocabulary);
    }
};

struct reading {
    double skipped;  // share of the decisions, of tokens or spans, that were silent
    std::uint64_t answers;
};

/// Pushes all of the text and holds every answer's logits against the dense ones.
template <class Gate>
reading read(const nullm::model_of<nullm::quiet>& model, Gate gate, std::span<const token_id> text,
             const dense_pass& dense, const nullm::span_splitter* splitter) {
    nullm::basic_reader reader(model, nullm::model_of<nullm::quiet>::state(model), std::move(gate),
                               nullm::greedy{}, {.seed = 3, .max_pending = 48});
    std::uint64_t decisions = 0;
    const auto judge = [&](const nullm::step& step) {
        ++decisions;
        if (step.token) REQUIRE(dense.equals(static_cast<std::size_t>(step.position), reader.logits()));
    };
    if constexpr (nullm::SpanGate<Gate>) {
        auto state = splitter->initial();
        for (const token_id token : text) {
            const nullm::span_cut cut = splitter->push(state, token);
            if (cut.before) judge(reader.end_span().at_end);
            REQUIRE_FALSE(reader.push(token).token);
            if (cut.after) judge(reader.end_span().at_end);
        }
        if (reader.open_span_length() > 0) judge(reader.end_span().at_end);
    } else {
        for (const token_id token : text) judge(reader.push(token));
    }
    const auto& counts = reader.stats();
    CHECK(counts.emitted + counts.nulls == text.size());
    CHECK(counts.discarded == 0);
    return {1 - static_cast<double>(counts.emitted) / static_cast<double>(decisions), counts.emitted};
}

}  // namespace

TEST_CASE(
    "on SmolLM2 every answer of a reader is dense, from 10 to 90 % skipped, on tokens, lines and sentences",
    "[generate][reference]") {
    const auto path = support::reference_model();
    if (!path) return;
    const nullm::checkpoint file(*path);
    const nullm::tokenizer words(file.vocabulary());
    const nullm::model_of<nullm::quiet> model(file);
    smollm2::tokens_of text;  // lines of code, then prose
    for (const auto& prompt : smollm2::all_prompts(file, words)) {
        if (prompt.name != "code" && prompt.name != "article") continue;
        text.insert(text.end(), prompt.tokens.begin(), prompt.tokens.begin() + 220);
    }
    const dense_pass dense(model, text);
    const nullm::span_splitter lines(words, nullm::span_kind::line),
        sentences(words, nullm::span_kind::sentence);

    for (int percent = 10; percent <= 90; percent += 10) {
        INFO(percent << " % skipped");
        const float fires = 1.0F - static_cast<float>(percent) / 100.0F;
        const reading by_token = read(model, nullm::random_gate(fires), text, dense, nullptr);
        CHECK(std::abs(by_token.skipped - percent / 100.0) < 0.1);
        for (const auto* splitter : {&lines, &sentences}) {
            CHECK(read(model, nullm::random_span_gate(fires), text, dense, splitter).answers > 0);
        }
    }

    // The spiking gate, from a theta at which most spans fire to one at which few do.
    const auto gate = nullm::make_gate<nullm::quiet>(file, words);
    for (const auto* splitter : {&lines, &sentences}) {
        std::uint64_t most = 0, fewest = text.size();
        for (const float theta : {0.1F, 0.3F, 0.5F, 0.7F, 0.9F}) {
            const nullm::span_gate spans(gate, nullm::fixed_threshold(theta));
            const std::uint64_t answers = read(model, spans, text, dense, splitter).answers;
            most = std::max(most, answers);
            fewest = std::min(fewest, answers);
        }
        CHECK(most > fewest);
    }
}
