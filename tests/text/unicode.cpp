#include <nullm/text/unicode.hpp>

#include <support/catch.hpp>

using nullm::char_class;
using nullm::classify;

namespace {

template <class Table>
bool contains(const Table& table, char32_t code) {
    for (const auto& range : table) {
        if (code >= range.first && code <= range.last) return true;
    }
    return false;
}

}  // namespace

TEST_CASE("every code point's class is the one of the table it is in", "[text]") {
    for (char32_t code = 0; code < 0x110000; code += code < 0x3000 ? 1 : 7) {
        auto expected = char_class::other;
        if (contains(nullm::unicode_letters, code)) expected = char_class::letter;
        if (contains(nullm::unicode_digits, code)) expected = char_class::digit;
        if (contains(nullm::unicode_other_numbers, code)) expected = char_class::number;
        if (contains(nullm::unicode_spaces, code)) expected = char_class::space;
        if (code == U'\n' || code == U'\r') expected = char_class::line_end;
        if (classify(code) != expected) {
            CAPTURE(static_cast<unsigned>(code));
            REQUIRE(classify(code) == expected);
        }
    }
}

TEST_CASE("known characters have their class at compile time", "[text]") {
    STATIC_REQUIRE(classify(U'a') == char_class::letter);
    STATIC_REQUIRE(classify(U'Z') == char_class::letter);
    STATIC_REQUIRE(classify(U'7') == char_class::digit);
    STATIC_REQUIRE(classify(U'\x0663') == char_class::digit);  // Arabic-Indic three
    STATIC_REQUIRE(classify(U'\xBD') == char_class::number);   // one half
    STATIC_REQUIRE(classify(U'_') == char_class::other);
    STATIC_REQUIRE(classify(U' ') == char_class::space);
    STATIC_REQUIRE(classify(U'\n') == char_class::line_end);
    STATIC_REQUIRE(classify(U'\x85') == char_class::space);
    STATIC_REQUIRE(classify(U'\x3000') == char_class::space);
    STATIC_REQUIRE(classify(U'\x180E') == char_class::other);  // no white space since Unicode 6.3
    STATIC_REQUIRE(classify(U'\x200B') == char_class::other);
    STATIC_REQUIRE(classify(U'\x4E2D') == char_class::letter);
    STATIC_REQUIRE(classify(U'\x0301') == char_class::other);   // a mark
    STATIC_REQUIRE(classify(U'\x2167') == char_class::number);  // Roman numeral eight
    STATIC_REQUIRE(classify(U'\x1F600') == char_class::other);
    STATIC_REQUIRE(classify(U'\x10FFFF') == char_class::other);
}
