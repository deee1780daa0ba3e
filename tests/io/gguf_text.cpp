#include <nullm/io/gguf_text.hpp>
#include <support/catch.hpp>

using nullm::is_utf8;
using nullm::quoted;

namespace {

std::string encoded(unsigned code) {
    const auto tail = [](unsigned bits) { return static_cast<char>(0x80U | (bits & 0x3FU)); };
    if (code < 0x80) return {static_cast<char>(code)};
    if (code < 0x800) return {static_cast<char>(0xC0U | (code >> 6)), tail(code)};
    if (code < 0x10000) return {static_cast<char>(0xE0U | (code >> 12)), tail(code >> 6), tail(code)};
    return {static_cast<char>(0xF0U | (code >> 18)), tail(code >> 12), tail(code >> 6), tail(code)};
}

}  // namespace

TEST_CASE("every code point is UTF-8, every surrogate and larger number is not", "[io]") {
    for (unsigned code = 0; code < 0x120000; ++code) {
        const bool allowed = code <= 0x10FFFF && !(code >= 0xD800 && code <= 0xDFFF);
        if (is_utf8(encoded(code)) != allowed) FAIL("code point " << code);
    }
}

TEST_CASE("overlong, broken and cut sequences are not UTF-8", "[io]") {
    REQUIRE(is_utf8(""));
    REQUIRE(is_utf8("plain ASCII longer than eight bytes, then \xC4\xA0."));
    for (const char* const bad :
         {"\x80", "\xC0\xAF", "\xC1\xBF", "\xE0\x9F\xBF", "\xF0\x8F\xBF\xBF", "\xF5\x80\x80\x80", "\xFF",
          "a\xC4", "\xE2\x82", "\xF0\x9F\x98", "\xC4g", "\xE2\x82g", "\xF0\x9F\x98g"}) {
        REQUIRE_FALSE(is_utf8(bad));
        REQUIRE_FALSE(is_utf8(std::string("0123456789abcdef") + bad));
        REQUIRE_FALSE(is_utf8(bad + std::string("0123456789abcdef")));
    }
}

TEST_CASE("quoted text carries no control codes and is short", "[io]") {
    REQUIRE(quoted("llama") == "\"llama\"");
    REQUIRE(quoted("a\"b\\c\x1b[2J\n") == "\"a\\x22b\\x5cc\\x1b[2J\\x0a\"");
    REQUIRE(quoted("\xC4\xA0") == "\"\\xc4\\xa0\"");
    REQUIRE(quoted(std::string(1000, 'x')) == "\"" + std::string(64, 'x') + "...\"");
}
