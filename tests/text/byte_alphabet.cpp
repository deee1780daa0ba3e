#include <nullm/text/byte_alphabet.hpp>

#include <support/catch.hpp>

#include <string>

TEST_CASE("the byte alphabet is a bijection with the spellings vocabularies use", "[text]") {
    for (int byte = 0; byte < 256; ++byte) {
        const std::string one(1, static_cast<char>(byte));
        CHECK(nullm::from_byte_alphabet(nullm::to_byte_alphabet(one)) == one);
    }
    CHECK(nullm::to_byte_alphabet(" the") == "\xC4\xA0the");  // U+0120
    CHECK(nullm::to_byte_alphabet("\n") == "\xC4\x8A");       // U+010A
    CHECK(nullm::to_byte_alphabet(std::string(1, '\0')) == "\xC4\x80");
    CHECK(nullm::to_byte_alphabet("\xAD") == "\xC5\x83");  // the last of the 68
}

TEST_CASE("characters outside the byte alphabet have no bytes", "[text]") {
    CHECK(!nullm::from_byte_alphabet("a b"));
    CHECK(!nullm::from_byte_alphabet("\xC2\xAD"));  // U+00AD stands for no byte
    CHECK(!nullm::from_byte_alphabet("\xC5\x84"));  // U+0144, one past the last
    CHECK(!nullm::from_byte_alphabet("\xE4\xB8\xAD"));
    CHECK(!nullm::from_byte_alphabet("\xC4"));
    CHECK(nullm::from_byte_alphabet("") == "");
}
