#include <nullm/generate/sentence_boundary.hpp>

#include <support/catch.hpp>

#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

using nullm::sentence_boundary;

/// The sentences of a text, without the white space around them.
std::vector<std::string> sentences(std::string_view text) {
    sentence_boundary::state state;
    std::vector<std::string> found(1);
    for (const char c : text) {
        const auto end = sentence_boundary::push(state, c);
        if (end == sentence_boundary::end::before) found.emplace_back();
        found.back() += c;
        if (end == sentence_boundary::end::after) found.emplace_back();
    }
    std::vector<std::string> trimmed;
    for (const std::string& s : found) {
        const std::size_t begin = s.find_first_not_of(" \n");
        if (begin != s.npos) trimmed.push_back(s.substr(begin, s.find_last_not_of(" \n") + 1 - begin));
    }
    return trimmed;
}

using list = std::vector<std::string>;

}  // namespace

TEST_CASE("a sentence ends at a terminal that white space and no lower-case letter follow", "[generate]") {
    CHECK(sentences("It rained. We stayed! Why? Nobody knows.") ==
          list{"It rained.", "We stayed!", "Why?", "Nobody knows."});
    CHECK(sentences("It rained.\nWe stayed.") == list{"It rained.", "We stayed."});
    CHECK(sentences("\"Is it?\" he asked. \"Yes.\" (It was.) 'Good.' 12 came.") ==
          list{"\"Is it?\" he asked.", "\"Yes.\"", "(It was.)", "'Good.'", "12 came."});
    CHECK(sentences("Bread, tea, etc. and salt. Then more, etc. The end.") ==
          list{"Bread, tea, etc. and salt.", "Then more, etc.", "The end."});
    CHECK(sentences("Wait... what? Well… Yes.") == list{"Wait... what?", "Well…", "Yes."});
    CHECK(sentences("no end here") == list{"no end here"});
    CHECK(sentences("").empty());
}

TEST_CASE("decimals, names, abbreviations and numbered headings do not end a sentence", "[generate]") {
    for (const char* text :
         {"It costs 3.5 or .75 of it.", "See example.com or a.b().c now.",
          "J. K. Rowling met Dr. Smith vs. Mr. Jones.", "Use e.g. Debian, i.e. Linux, at 5 p.m. Monday.",
          "No. 5 and Fig. 12 and vol. 3 are lost.", "2.1. Results", "1. First", "... Then",
          "It isn't vague"}) {
        INFO(text);
        CHECK(sentences(text) == list{text});
    }
    CHECK(sentences("She said no. Then she left in 1999. He isn't. Nobody is.") ==
          list{"She said no.", "Then she left in 1999.", "He isn't.", "Nobody is."});
}

TEST_CASE("a blank line ends a sentence at once, a single newline does not", "[generate]") {
    CHECK(sentences("A heading\n\nText that\nis wrapped\n \n\n\nMore") ==
          list{"A heading", "Text that\nis wrapped", "More"});
    sentence_boundary::state state;
    for (const char c : std::string_view("A heading\n")) {
        CHECK(sentence_boundary::push(state, c) == sentence_boundary::end::none);
    }
    CHECK(sentence_boundary::push(state, '\n') == sentence_boundary::end::after);
    CHECK(sentence_boundary::push(state, '\n') == sentence_boundary::end::none);
}

TEST_CASE("full-width terminals end a sentence without a space, and curly quotes close one", "[generate]") {
    CHECK(sentences("下雨了。我们在家！为什么？不知道") ==
          list{"下雨了。", "我们在家！", "为什么？", "不知道"});
    CHECK(sentences("“Gut.” Élan vital. «Oui.» Ça va.") == list{"“Gut.”", "Élan vital.", "«Oui.»", "Ça va."});
}

TEST_CASE("any bytes are taken, and what is behind an end does not depend on what was before it",
          "[generate]") {
    std::mt19937 random(5);
    const std::string_view letters = " \n.!?a1B\"\xE3\x80\x82\xC2'";
    for (int run = 0; run < 2000; ++run) {
        std::string text;
        for (std::size_t i = 0; i < 60; ++i) text += letters[random() % letters.size()];
        sentence_boundary::state state;
        for (const char c : text) {
            // An end after a byte leaves a state as at the beginning, but for the bytes that UTF-8 is told
            // by.
            if (sentence_boundary::push(state, c) == sentence_boundary::end::after) {
                sentence_boundary::state fresh;
                fresh.last = state.last;
                REQUIRE(state == fresh);
            }
        }
    }
}
