#include <nullm/text/stream_decoder.hpp>

#include <support/catch.hpp>
#include <text/vocabularies.hpp>

#include <random>
#include <string>
#include <utility>
#include <vector>

namespace {

const std::string bad = "\xEF\xBF\xBD";

// What Python 3.11 prints for bytes.decode("utf-8", errors="replace"); R stands for U+FFFD.
const std::vector<std::pair<std::string, std::string>> python = {
    {"abc", "abc"},
    {"\xE4\xB8\xAD", "\xE4\xB8\xAD"},
    {"\xE4\xB8", "R"},
    {"\xE4", "R"},
    {"\xE4\xB8 x", "R x"},
    {"\xC0\x80", "RR"},
    {"\xED\xA0\x80", "RRR"},
    {"\xF0\x9F\x98", "R"},
    {"\xF0\x9F\x98z", "Rz"},
    {"\xF0\x80\x80\x80", "RRRR"},
    {"\xF4\x90\x80\x80", "RRRR"},
    {"\xF0\x9F\xE4\xB8\xAD", "R\xE4\xB8\xAD"},
    {"\x80\x80", "RR"},
    {"\xFF\xFE", "RR"},
    {"\xE0\x9F\xBF", "RRR"},
    {"a\xC3\xC3\xA9", "aR\xC3\xA9"},
};

std::string with_marks(const std::string& text) {
    std::string out;
    for (const char c : text) out += c == 'R' ? bad : std::string(1, c);
    return out;
}

}  // namespace

TEST_CASE("streamed bytes become what Python's replacing decoder makes of them, however they are cut",
          "[text]") {
    const nullm::tokenizer tokenizer(text_test::small_vocabulary("gpt-2", 0));
    nullm::stream_decoder decoder(tokenizer);
    for (const auto& [bytes, expected] : python) {
        for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
            std::string text = decoder.push_bytes(bytes.substr(0, cut));
            text += decoder.push_bytes(bytes.substr(cut));
            text += decoder.finish();
            CHECK(text == with_marks(expected));
        }
        std::string text;
        for (const char c : bytes) text += decoder.push(static_cast<std::uint8_t>(c));
        CHECK(text + decoder.finish() == with_marks(expected));
    }
}

TEST_CASE("what a stream decoder gives out is valid UTF-8 at any time and the text in the end", "[text]") {
    const nullm::tokenizer tokenizer(text_test::small_vocabulary("gpt-2"));
    std::mt19937 random(1);
    for (int i = 0; i < 500; ++i) {
        const std::string text = text_test::random_text(random, 30);
        nullm::stream_decoder decoder(tokenizer);
        std::string joined;
        for (const auto id : tokenizer.encode(text)) {
            const std::string part = decoder.push(id);
            REQUIRE(nullm::check_utf8(part).status == nullm::utf8_status::complete);
            joined += part;
        }
        REQUIRE(decoder.finish().empty());
        REQUIRE(joined == text);
    }
}

TEST_CASE("a stream decoder refuses ids outside the vocabulary", "[text]") {
    const nullm::tokenizer tokenizer(text_test::small_vocabulary("gpt-2", 0));
    nullm::stream_decoder decoder(tokenizer);
    CHECK_THROWS_AS(decoder.push(1000), nullm::error);
}
