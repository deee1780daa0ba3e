#include <nullm/spike/token_classes.hpp>

#include <support/catch.hpp>

TEST_CASE("a piece of a number is known by its digit", "[spike][classes]") {
    for (const char* piece : {"7", " 12", "v2", "-0"}) CHECK(nullm::has_digit(piece));
    for (const char* piece : {"", " ", "seven", "\xC2\xB2", " IV"}) CHECK_FALSE(nullm::has_digit(piece));
}

TEST_CASE("a name is known by its first letter, a single letter is none", "[spike][classes]") {
    for (const char* piece : {" Paris", "John", " McD", " NATO", " Th"}) CHECK(nullm::is_capitalised(piece));
    for (const char* piece : {"", " ", " A", "I", " paris", "iPhone", "  Two", " \xC3\x89t\xC3\xA9", "-A"}) {
        CHECK_FALSE(nullm::is_capitalised(piece));
    }
}
