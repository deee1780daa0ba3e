#include <nullm/core/utf8.hpp>

#include <support/catch.hpp>

#include <string>
#include <string_view>

using nullm::is_utf8;
using nullm::read_utf8;
using nullm::utf8_status;

TEST_CASE("every scalar value survives writing and reading", "[core]") {
    for (char32_t code = 0; code < 0x110000; ++code) {
        if (code >= 0xD800 && code < 0xE000) continue;
        std::string bytes;
        nullm::append_utf8(bytes, code);
        const auto next = read_utf8(bytes, 0);
        const bool same =
            next.status == utf8_status::complete && next.value == code && next.length == bytes.size();
        if (!same) {
            CAPTURE(static_cast<unsigned>(code));
            REQUIRE(same);
        }
        for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
            const auto part = read_utf8(std::string_view(bytes).substr(0, cut), 0);
            if (part.status != utf8_status::truncated || part.length != cut) {
                CAPTURE(static_cast<unsigned>(code), cut);
                REQUIRE(part.status == utf8_status::truncated);
            }
        }
    }
}

TEST_CASE("overlong forms, surrogates, large values and stray bytes are invalid", "[core]") {
    for (const char* bytes :
         {"\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xF0\x8F\xBF\xBF", "\xED\xA0\x80", "\xED\xBF\xBF",
          "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\x80", "\xBF"}) {
        CHECK(read_utf8(bytes, 0).status == utf8_status::invalid);
        CHECK(read_utf8(bytes, 0).length == 1);
    }
    CHECK(read_utf8("\xE4\xB8 ", 0).length == 2);  // the maximal subpart
    CHECK(read_utf8("\xE4\xB8 ", 0).status == utf8_status::invalid);
}

TEST_CASE("a check names the first fault, also behind long ASCII", "[core]") {
    const std::string ascii(37, 'x');
    CHECK(nullm::check_utf8(ascii).length == 37);
    CHECK(nullm::check_utf8(ascii).status == utf8_status::complete);
    CHECK(nullm::check_utf8(ascii + "\xE4\xB8").length == 37);
    CHECK(nullm::check_utf8(ascii + "\xE4\xB8").status == utf8_status::truncated);
    CHECK(nullm::check_utf8(ascii + "\xE4\xB8\xAD\x80 more").length == 40);
    CHECK(nullm::check_utf8(ascii + "\xE4\xB8\xAD\x80 more").status == utf8_status::invalid);
    CHECK(nullm::check_utf8("").length == 0);
}

namespace {

std::string encoded(unsigned code) {
    const auto tail = [](unsigned bits) { return static_cast<char>(0x80U | (bits & 0x3FU)); };
    if (code < 0x80) return {static_cast<char>(code)};
    if (code < 0x800) return {static_cast<char>(0xC0U | (code >> 6)), tail(code)};
    if (code < 0x10000) return {static_cast<char>(0xE0U | (code >> 12)), tail(code >> 6), tail(code)};
    return {static_cast<char>(0xF0U | (code >> 18)), tail(code >> 12), tail(code >> 6), tail(code)};
}

}  // namespace

TEST_CASE("every code point is UTF-8, every surrogate and larger number is not", "[core]") {
    for (unsigned code = 0; code < 0x120000; ++code) {
        const bool allowed = code <= 0x10FFFF && !(code >= 0xD800 && code <= 0xDFFF);
        if (is_utf8(encoded(code)) != allowed) FAIL("code point " << code);
    }
}

TEST_CASE("overlong, broken and cut sequences are not UTF-8", "[core]") {
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
