#include "refusal.hpp"

#include <nullm/io/gguf_cursor.hpp>
#include <support/catch.hpp>
#include <support/gguf_writer.hpp>

using support::bytes;
using support::contains;
using support::refusal;

TEST_CASE("a cursor reads numbers and text in turn and stops at the end", "[io]") {
    bytes content;
    support::append(content, std::uint32_t{7});
    support::append_text(content, "name");
    nullm::gguf_cursor cursor(content, "m.gguf");
    REQUIRE(cursor.number<std::uint32_t>("a number") == 7);
    REQUIRE(cursor.text("a name") == "name");
    REQUIRE(cursor.remaining() == 0);
    REQUIRE(refusal([&] { cursor.number<std::uint8_t>("a flag"); }) ==
            "m.gguf, byte 16: expected 1 bytes of a flag, found 0 bytes to the end of the file");
    REQUIRE(cursor.position() == 16);
}

TEST_CASE("a skip cannot wrap around", "[io]") {
    const bytes content(16);
    nullm::gguf_cursor cursor(content, "m.gguf");
    cursor.skip(8, "padding");
    for (const std::uint64_t count : {9ULL, 1ULL << 63, ~0ULL, ~0ULL - 7}) {
        REQUIRE_FALSE(refusal([&] { cursor.skip(count, "data"); }).empty());
        REQUIRE(cursor.position() == 8);
    }
}

TEST_CASE("a count is held against what is left and against its limit", "[io]") {
    bytes content;
    support::append(content, std::uint64_t{5});
    content.resize(8 + 49);
    const auto read = [&](std::uint64_t least, std::uint64_t limit) {
        nullm::gguf_cursor cursor(content, "m.gguf");
        return cursor.count("things", least, limit);
    };
    REQUIRE(read(9, 5) == 5);
    REQUIRE(
        contains(refusal([&] { read(10, 5); }), "byte 0: expected at most 4 things (file size), found 5"));
    REQUIRE(contains(refusal([&] { read(9, 4); }), "byte 0: expected at most 4 things, found 5"));
}
