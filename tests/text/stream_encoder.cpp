#include <nullm/text/stream_encoder.hpp>

#include <support/catch.hpp>
#include <text/vocabularies.hpp>

#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

using ids = std::vector<nullm::token_id>;

void append(ids& all, const ids& more) {
    all.insert(all.end(), more.begin(), more.end());
}

}  // namespace

TEST_CASE("any chunking gives the ids of the whole text", "[text]") {
    for (const auto& name : text_test::pre_tokenizer_names) {
        for (const bool user_defined : {false, true}) {
            const nullm::tokenizer tokenizer(text_test::small_vocabulary(name, 600, user_defined));
            for (const auto mode : {nullm::special_tokens::ignore, nullm::special_tokens::parse}) {
                std::mt19937 random(13);
                nullm::stream_encoder encoder(tokenizer, mode);
                for (int i = 0; i < 2500; ++i) {
                    const std::string text = text_test::random_text(random, 40);
                    const std::size_t longest = 1 + random() % 9;
                    ids streamed;
                    for (std::size_t at = 0; at < text.size();) {
                        const std::size_t length = random() % (longest + 1);
                        append(streamed, encoder.push(std::string_view(text).substr(at, length)));
                        at += length;
                    }
                    append(streamed, encoder.finish());
                    if (streamed != tokenizer.encode(text, mode)) {
                        CAPTURE(name, user_defined, text);
                        REQUIRE(streamed == tokenizer.encode(text, mode));
                    }
                }
            }
        }
    }
}

TEST_CASE("what was given out is a prefix of the ids of every continuation", "[text]") {
    for (const auto& name : text_test::pre_tokenizer_names) {
        const nullm::tokenizer tokenizer(text_test::small_vocabulary(name, 600, true));
        std::mt19937 random(17);
        for (int i = 0; i < 3000; ++i) {
            const std::string text = text_test::random_text(random, 12);
            nullm::stream_encoder encoder(tokenizer);
            const ids given = encoder.push(text);
            for (int j = 0; j < 4; ++j) {
                const ids whole = tokenizer.encode(text + text_test::random_text(random, 4));
                REQUIRE(given.size() <= whole.size());
                REQUIRE(std::equal(given.begin(), given.end(), whole.begin()));
            }
        }
    }
}

TEST_CASE("tokens come as soon as the next boundary is seen", "[text]") {
    const nullm::tokenizer tokenizer(text_test::small_vocabulary("smollm", 0));
    nullm::stream_encoder encoder(tokenizer);
    CHECK(encoder.push("ab").empty());
    CHECK(encoder.pending() == 2);
    CHECK(encoder.push(" ") == ids{'a', 'b'});
    CHECK(encoder.push("c.").size() == 2);
    CHECK(encoder.push("7") == ids{'.', '7'});  // a digit is a pre-token by itself
    CHECK(encoder.pending() == 0);
    CHECK(encoder.push("\xE4\xB8").empty());
    CHECK(encoder.push("\xAD").empty());
    CHECK(encoder.finish() == ids{0xE4, 0xB8, 0xAD});
    CHECK(encoder.finish().empty());
}

TEST_CASE("a trailing run of white space is held back while a line end may claim it", "[text]") {
    const nullm::tokenizer tokenizer(text_test::small_vocabulary("qwen2", 0));
    nullm::stream_encoder encoder(tokenizer);
    CHECK(encoder.push("a  \n  ") == ids{'a'});
    CHECK(encoder.pending() == 5);
    CHECK(encoder.push("\n").empty());
    CHECK(encoder.push("b") == ids{' ', ' ', '\n', ' ', ' ', '\n'});
    CHECK(encoder.finish() == ids{'b'});
}

TEST_CASE("malformed UTF-8 is refused with its offset in the stream", "[text]") {
    const nullm::tokenizer tokenizer(text_test::small_vocabulary("gpt-2", 0));
    nullm::stream_encoder encoder(tokenizer);
    encoder.push("some words and ");
    CHECK(text_test::mentions(text_test::complaint_of([&] { encoder.push("x\xE4 "); }), {"byte 16"}));
    encoder.reset();
    encoder.push("ab\xE4\xB8");
    CHECK(text_test::mentions(text_test::complaint_of([&] { encoder.finish(); }), {"byte 2"}));
    encoder.reset();
    CHECK(encoder.finish().empty());
}

TEST_CASE("text without a boundary is held back up to the limit and then refused", "[text]") {
    const nullm::tokenizer tokenizer(text_test::small_vocabulary("smollm", 0));
    for (const char c : {'a', ' ', '!'}) {
        nullm::stream_encoder encoder(tokenizer, nullm::special_tokens::ignore, 100);
        encoder.push("7");
        CHECK(encoder.push(std::string(100, c)).empty());
        CHECK(text_test::mentions(text_test::complaint_of([&] { encoder.push(std::string(1, c)); }),
                                  {"100 bytes", "byte 1"}));
        encoder.reset();
        // The same in one chunk, with a boundary behind it: the limit is on the pre-token, not on the chunk.
        CHECK_THROWS_AS(encoder.push(std::string(101, c) + "7"), nullm::error);
        encoder.reset();
        std::string many;
        for (int i = 0; i < 50; ++i) many += std::string(100, c) + "7";
        CHECK(encoder.push(many).size() == many.size());
    }
}

TEST_CASE("a long pre-token pushed byte by byte costs no more than its length", "[text]") {
    // Quadratic work would be 10^11 steps here and never end.
    for (const auto& name : text_test::pre_tokenizer_names) {
        const nullm::tokenizer tokenizer(text_test::small_vocabulary(name, 600, true));
        for (const char c : {'a', ' ', '!', '\n'}) {
            nullm::stream_encoder encoder(tokenizer);
            const std::string text(300000, c);
            ids streamed;
            for (const char one : text) append(streamed, encoder.push({&one, 1}));
            append(streamed, encoder.finish());
            CHECK(streamed == tokenizer.encode(text));
        }
    }
}
