#include "refusal.hpp"

#include <nullm/io/gguf.hpp>
#include <support/catch.hpp>
#include <support/gguf_writer.hpp>

using support::bytes;
using support::contains;
using support::refusal;

namespace {

support::gguf_writer one_of_each() {
    support::gguf_writer out;
    out.set_u32("u32", 4000000000U);
    out.set_i32("i32", -7);
    out.set_u64("u64", 1ULL << 63);
    out.set_f32("f32", 0.5F);
    out.set_bool("bool", true);
    out.set_string("string", "h\xC3\xA9llo");
    out.set_strings("strings", {"", "one", "two words"});
    out.set_i32s("i32s", {-1, 0, 1});
    out.set_f32s("f32s", {0.25F, -3});
    return out;
}

std::string opening(const support::gguf_writer& writer) {
    const bytes content = writer.file();
    return refusal([&] { const nullm::gguf_file file(content, "m.gguf"); });
}

bytes nested(int depth) {
    bytes raw;
    for (int i = 1; i < depth; ++i) {
        support::append(raw, std::uint32_t{9});  // array
        support::append(raw, std::uint64_t{1});
    }
    support::append(raw, std::uint32_t{0});  // u8
    support::append(raw, std::uint64_t{1});
    raw.push_back(std::byte{42});
    return raw;
}

}  // namespace

TEST_CASE("metadata values come back as they were written", "[io]") {
    const bytes content = one_of_each().file();
    const nullm::gguf_file file(content, "m.gguf");
    REQUIRE(file.entries().size() == 9);
    REQUIRE(file.find_u32("u32") == 4000000000U);
    REQUIRE(file.find_i32("i32") == -7);
    REQUIRE(file.find_u64("u64") == 1ULL << 63);
    REQUIRE(file.find_f32("f32") == 0.5F);
    REQUIRE(file.find_bool("bool") == true);
    REQUIRE(file.find_string("string") == "h\xC3\xA9llo");
    const auto strings = file.find_strings("strings");
    REQUIRE(strings->size() == 3);
    REQUIRE(std::vector<std::string_view>(strings->begin(), strings->end()) ==
            std::vector<std::string_view>{"", "one", "two words"});
    const auto integers = file.find_i32s("i32s");
    REQUIRE(integers->size() == 3);
    REQUIRE((*integers)[0] == -1);
    REQUIRE((*integers)[2] == 1);
    REQUIRE((*file.find_f32s("f32s"))[1] == -3);
    REQUIRE(file.contains("u32"));
}

TEST_CASE("an absent key is nothing, a key of another type an error that names both types", "[io]") {
    const bytes content = one_of_each().file();
    const nullm::gguf_file file(content, "m.gguf");
    REQUIRE_FALSE(file.find_u32("absent"));
    REQUIRE_FALSE(file.find_strings("absent"));
    REQUIRE(refusal([&] { file.find_u32("string"); }) ==
            "m.gguf: string: expected the type u32, found string");
    REQUIRE(refusal([&] { file.find_string("u32"); }) == "m.gguf: u32: expected the type string, found u32");
    REQUIRE(refusal([&] { file.find_f32("i32s"); }) == "m.gguf: i32s: expected the type f32, found array");
    REQUIRE(refusal([&] { file.find_strings("u32"); }) ==
            "m.gguf: u32: expected an array of string, found u32");
    REQUIRE(refusal([&] { file.find_strings("i32s"); }) ==
            "m.gguf: i32s: expected an array of string, found an array of i32");
}

TEST_CASE("a bool other than 0 and 1 is refused when it is read", "[io]") {
    support::gguf_writer writer;
    writer.set_raw("flag", 7, {std::byte{2}});
    const bytes content = writer.file();
    const nullm::gguf_file file(content, "m.gguf");
    REQUIRE(contains(refusal([&] { file.find_bool("flag"); }),
                     "m.gguf: flag: expected a bool (0 or 1), found 2"));
}

TEST_CASE("keys are unique, not empty, short enough and UTF-8", "[io]") {
    support::gguf_writer twice = one_of_each();
    twice.add_raw("u32", 0, {std::byte{1}});
    REQUIRE(contains(opening(twice), "\"u32\" twice"));
    support::gguf_writer empty;
    empty.set_u32("", 1);
    REQUIRE(contains(opening(empty), "a key of 1 to 65536 bytes, found 0 bytes"));
    support::gguf_writer overlong;
    overlong.set_u32(std::string(65537, 'k'), 1);
    REQUIRE(contains(opening(overlong), "found 65537 bytes"));
    support::gguf_writer longest;
    longest.set_u32(std::string(65536, 'k'), 1);
    REQUIRE(opening(longest).empty());
    support::gguf_writer latin1;
    latin1.set_u32("caf\xE9", 1);
    REQUIRE(contains(opening(latin1), "a metadata key in UTF-8"));
}

TEST_CASE("strings that are not UTF-8 are refused wherever they stand", "[io]") {
    support::gguf_writer value;
    value.set_string("general.name", "\xFF");
    REQUIRE(contains(opening(value), "general.name in UTF-8"));
    support::gguf_writer element;
    element.set_strings("tokenizer.ggml.tokens", {"a", "\xC4"});
    REQUIRE(contains(opening(element), "in UTF-8"));
}

TEST_CASE("unknown value types are refused", "[io]") {
    support::gguf_writer writer;
    writer.set_raw("k", 13, bytes(8));
    REQUIRE(contains(opening(writer), "a value type from 0 to 12, found 13"));
    writer.set_raw("k", 9, support::gguf_writer::array_header(0xFFFFFFFFU, 0));
    REQUIRE(contains(opening(writer), "found 4294967295"));
}

TEST_CASE("array counts are bounded by the file before anything is read", "[io]") {
    for (const std::uint32_t element : {0U, 4U, 7U, 8U, 9U, 12U}) {
        for (const std::uint64_t count : {100ULL, 1ULL << 31, 1ULL << 61, 1ULL << 63, ~0ULL}) {
            support::gguf_writer writer;
            writer.set_raw("k", 9, support::gguf_writer::array_header(element, count));
            REQUIRE(contains(opening(writer), "found " + std::to_string(count)));
        }
    }
}

TEST_CASE("a string longer than the rest of the file is refused", "[io]") {
    for (const std::uint64_t length : {9ULL, 1ULL << 31, 1ULL << 63, ~0ULL}) {
        support::gguf_writer writer;
        bytes raw;
        support::append(raw, length);
        writer.set_raw("k", 8, raw);
        REQUIRE(contains(opening(writer), std::to_string(length) + " bytes of k"));
        bytes array = support::gguf_writer::array_header(8, 1);
        support::append(array, length);
        writer.set_raw("k", 9, array);
        REQUIRE(contains(opening(writer), "bytes of a string"));
    }
}

TEST_CASE("arrays nest four deep and no deeper", "[io]") {
    support::gguf_writer writer;
    writer.set_raw("k", 9, nested(4));
    REQUIRE(opening(writer).empty());
    writer.set_raw("k", 9, nested(5));
    REQUIRE(contains(opening(writer), "arrays nested at most 4 deep"));
    writer.set_raw("k", 9, nested(100000));
    REQUIRE(contains(opening(writer), "arrays nested at most 4 deep"));
}
