#include <nullm/generate/span_splitter.hpp>

#include <support/catch.hpp>
#include <text/vocabularies.hpp>

#include <algorithm>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using list = std::vector<std::string>;
using nullm::span_cut;
using nullm::span_kind;
using nullm::span_splitter;
using nullm::token_id;

nullm::tokenizer words(const std::string& pre_tokenizer = "gpt-2") {
    return nullm::tokenizer(text_test::small_vocabulary(pre_tokenizer));
}

/// Without spaces at either end: whether one is part of the next token is up to the vocabulary.
list trimmed(list spans) {
    for (std::string& s : spans) {
        s.erase(0, std::min(s.size(), s.find_first_not_of(' ')));
        s.erase(s.find_last_not_of(' ') + 1);
    }
    return spans;
}

/// The spans that a reader would be told of, as text.
list spans(const nullm::tokenizer& tokens, const std::vector<token_id>& ids, span_kind kind) {
    const span_splitter splitter(tokens, kind);
    auto state = splitter.initial();
    list found;
    std::string open;
    const auto end = [&] {
        REQUIRE_FALSE(open.empty());
        found.push_back(std::exchange(open, {}));
    };
    for (const token_id id : ids) {
        const span_cut cut = splitter.push(state, id);
        if (cut.before) end();
        open += tokens.piece(id);
        if (cut.after) end();
        REQUIRE(state.empty == open.empty());
    }
    if (!open.empty()) end();
    return found;
}
list spans(const nullm::tokenizer& tokens, std::string_view text, span_kind kind,
           nullm::special_tokens mode = nullm::special_tokens::ignore) {
    return spans(tokens, tokens.encode(text, mode), kind);
}

}  // namespace

TEST_CASE("a line ends with the token that holds its newline", "[generate]") {
    const nullm::tokenizer tokens = words();
    CHECK(spans(tokens, "one\ntwo words\nthree", span_kind::line) == list{"one\n", "two words\n", "three"});
    CHECK(spans(tokens, "one\r\ntwo. Two.\r\n", span_kind::line) == list{"one\r\n", "two. Two.\r\n"});
    CHECK(spans(tokens, "", span_kind::line).empty());
    // What one token holds is not cut: a blank line goes with the line before it.
    std::string joined;
    for (const std::string& s : spans(tokens, "a\n\n\n   b\n", span_kind::line)) {
        CHECK(s.find('\n') != s.npos);
        joined += s;
    }
    CHECK(joined == "a\n\n\n   b\n");
}

TEST_CASE("a sentence ends before the first token of the next one, or with its blank line", "[generate]") {
    for (const auto& name : text_test::pre_tokenizer_names) {
        INFO(name);
        const nullm::tokenizer tokens = words(name);
        CHECK(trimmed(spans(tokens, "It cost 3.5 pounds. We paid! Mr. Smith left", span_kind::sentence)) ==
              list{"It cost 3.5 pounds.", "We paid!", "Mr. Smith left"});
        CHECK(trimmed(spans(tokens, "A heading\n\nText. More\nof it.\n\nEnd", span_kind::sentence)) ==
              list{"A heading\n\n", "Text.", "More\nof it.\n\n", "End"});
    }
}

TEST_CASE("a control token begins a span of its own, up to the next newline", "[generate]") {
    const nullm::tokenizer tokens = words();
    const auto control = nullm::control_tokens(tokens);
    REQUIRE_FALSE(control.empty());
    CHECK(std::ranges::is_sorted(control));
    for (token_id id = 0; id < static_cast<token_id>(tokens.size()); ++id) {
        CHECK(std::ranges::binary_search(control, id) == tokens.is_control(id));
    }
    std::vector<token_id> turn;
    const auto add = [&](std::string_view text) {
        for (const token_id id : tokens.encode(text)) turn.push_back(id);
    };
    const std::string frame(tokens.piece(control.front()));
    turn.push_back(control.front());
    add("user\nOne. Two");
    turn.push_back(control.front());
    turn.push_back(control.front());
    add("\nThree. Four");
    CHECK(spans(tokens, turn, span_kind::line) ==
          list{frame + "user\n", "One. Two", frame + frame + "\n", "Three. Four"});
    CHECK(trimmed(spans(tokens, turn, span_kind::sentence)) ==
          list{frame + "user\n", "One.", "Two", frame + frame + "\n", "Three.", "Four"});
}

TEST_CASE("spans make up the text, are never empty, and a copied state goes on alike", "[generate]") {
    for (const auto& name : text_test::pre_tokenizer_names) {
        const nullm::tokenizer tokens = words(name);
        std::mt19937 random(7);
        for (int run = 0; run < 300; ++run) {
            std::string text;
            for (int i = 0; i < 6; ++i) {
                text += text_test::random_text(random, 12);
                text += std::vector<std::string>{". ", "\n", "? A", "\n\n", " e.g. ", "3.5"}[random() % 6];
            }
            const auto ids = tokens.encode(text);
            for (const span_kind kind : {span_kind::line, span_kind::sentence}) {
                std::string joined;
                for (const std::string& s : spans(tokens, ids, kind)) joined += s;
                REQUIRE(joined == tokens.decode(ids));
                const span_splitter splitter(tokens, kind);
                auto state = splitter.initial();
                const std::size_t middle = ids.size() / 2;
                for (std::size_t i = 0; i < middle; ++i) splitter.push(state, ids[i]);
                auto copy = state;
                for (std::size_t i = middle; i < ids.size(); ++i) {
                    REQUIRE(splitter.push(state, ids[i]) == splitter.push(copy, ids[i]));
                    REQUIRE(state == copy);
                }
            }
        }
    }
}

TEST_CASE("an id outside the vocabulary is refused", "[generate]") {
    const nullm::tokenizer tokens = words();
    const span_splitter splitter(tokens, span_kind::line);
    auto state = splitter.initial();
    CHECK_THROWS_AS(splitter.push(state, -1), nullm::error);
    CHECK_THROWS_AS(splitter.push(state, static_cast<token_id>(tokens.size())), nullm::error);
}
