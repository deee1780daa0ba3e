#include "allocation_counter.hpp"
#include "refusal.hpp"
#include "safetensors_parts.hpp"
#include "scratch_directory.hpp"

#include <nullm/io/safetensors.hpp>
#include <support/catch.hpp>

#include <random>

using nullm::safetensors_dtype;
using nullm::safetensors_file;
using support::bytes_of_file;
using support::contains;
using support::refusal;
using support::safetensors_bytes;

namespace {

std::string opening(const std::vector<std::byte>& bytes) {
    return refusal([&] { const safetensors_file file(bytes, "m.safetensors"); });
}
std::string opening(const std::string& json, std::size_t data = 0) {
    return opening(safetensors_bytes(json, data));
}

/// {"<name>":{"dtype":..,"shape":..,"data_offsets":..}} without the braces around it.
std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
    return '"' + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":[" + shape + "],\"data_offsets\":[" +
           offsets + "]}";
}
std::string fields(const std::string& inside) {
    return "{\"t\":{" + inside + "}}";
}

const std::string good = R"("dtype":"U8","shape":[2],"data_offsets":[0,2])";

}  // namespace

// What the reference refuses, one by one (safetensors 0.8.0, probed).

TEST_CASE("safetensors: a file too short for its header is refused", "[io]") {
    for (std::size_t n = 0; n < 8; ++n)
        CHECK(contains(opening(std::vector<std::byte>(n)), "found " + std::to_string(n) + " bytes"));
    auto bytes = safetensors_bytes("{}");
    bytes.pop_back();
    CHECK(contains(opening(bytes), "expected a header of 2 bytes, found 1 bytes to the end of the file"));
    bytes = safetensors_bytes("{}");
    for (const std::uint64_t length : {100'000'001ULL, 1ULL << 40, 1ULL << 63, ~0ULL}) {
        std::memcpy(bytes.data(), &length, 8);
        CHECK(contains(opening(bytes), "a header of at most 100000000 bytes"));
    }
    const std::uint64_t largest = 100'000'000;
    std::memcpy(bytes.data(), &largest, 8);
    CHECK(contains(opening(bytes), "to the end of the file"));
    CHECK(contains(opening(""), "an empty header"));
}

TEST_CASE("safetensors: a header that is not one JSON object in UTF-8 is refused", "[io]") {
    CHECK(contains(opening("\xEF\xBB\xBF{}"), "a header that starts with {, found \"\\xef\\xbb\\xbf{}\""));
    CHECK(contains(opening(" {}"), "a header that starts with {"));
    CHECK(contains(opening("\n{}"), "a header that starts with {"));
    CHECK(contains(opening("[]"), "starts with {"));
    CHECK(contains(opening("null"), "starts with {"));
    CHECK(contains(opening("\"a\""), "starts with {"));
    CHECK(contains(opening("1"), "starts with {"));
    CHECK(contains(opening("{\"\xFF\":1}"), "UTF-8"));
    CHECK(contains(opening("{} \xC3"), "UTF-8"));
    CHECK(contains(opening("{\"\xED\xA0\x80\":1}"), "UTF-8"));
    CHECK(contains(opening(R"({"\ud800":1})"), "a header of JSON"));
    CHECK(contains(opening("{"), "byte 9"));
    CHECK(contains(opening("{"), "a header of JSON"));
    CHECK(contains(opening("{\"a\":}"), "a header of JSON"));
    CHECK(contains(opening("{'a':1}"), "a header of JSON"));
    CHECK(contains(opening("{/**/}"), "a header of JSON"));
    CHECK(contains(opening("{},"), "a header of JSON"));
    CHECK(contains(opening("{}{}"), "a header of JSON"));
    CHECK(contains(opening("{} x"), "a header of JSON"));
    CHECK(contains(opening('{' + entry("a", "U8", "1,", "0,1") + "}", 1), "a header of JSON"));
    CHECK(contains(opening('{' + entry("a", "U8", "1", "0,1") + ",}", 1), "a header of JSON"));
    CHECK(contains(opening("{\"a\x01\":1}"), "a header of JSON"));
    CHECK(contains(opening(std::string("{}\0", 3)), "byte 10: expected a header of JSON, found a NUL byte"));
    CHECK(contains(opening(std::string("{}\0{}", 5)), "a NUL byte"));
    CHECK(contains(opening(std::string("{\0}", 3)), "a NUL byte"));
    CHECK(contains(opening(fields(good + R"(,"x":1e999)"), 2), "a header of JSON"));
    CHECK(contains(opening(fields(good + R"(,"x":NaN)"), 2), "a header of JSON"));
}

TEST_CASE("safetensors: metadata are strings, given once", "[io]") {
    CHECK(contains(opening(R"({"__metadata__":{"a":1}})"), "__metadata__ \"a\": expected a string, found 1"));
    CHECK(contains(opening(R"({"__metadata__":{"a":null}})"), "expected a string, found null"));
    CHECK(contains(opening(R"({"__metadata__":{"a":true}})"), "expected a string, found true"));
    CHECK(contains(opening(R"({"__metadata__":{"a":1.5}})"), "expected a string, found 1.5"));
    CHECK(contains(opening(R"({"__metadata__":{"a":-1}})"), "expected a string, found -1"));
    CHECK(contains(opening(R"({"__metadata__":{"a":{}}})"), "expected a string, found an object"));
    CHECK(contains(opening(R"({"__metadata__":{"a":["x"]}})"), "expected a string, found an array"));
    CHECK(contains(opening(R"({"__metadata__":"a"})"), "expected an object of strings, found \"a\""));
    CHECK(contains(opening(R"({"__metadata__":[]})"), "expected an object of strings, found an array"));
    CHECK(contains(opening(R"({"__metadata__":{},"__metadata__":{}})"), "__metadata__ once"));
    CHECK(contains(opening(R"({"__metadata__":null,"__metadata__":{}})"), "__metadata__ once"));
    CHECK(contains(opening(R"({"__metadata__":{},"\u005f_metadata__":{}})"), "__metadata__ once"));
    CHECK(contains(opening(R"({"__metadata__":{"a":"1","a":"2"}})"), "every key of __metadata__ once"));
}

TEST_CASE("safetensors: a tensor has a dtype, a shape and offsets, each once and of its kind", "[io]") {
    CHECK(opening(fields(good), 2).empty());
    CHECK(
        contains(opening(fields(R"("shape":[2],"data_offsets":[0,2])"), 2), "\"t\": expected a field dtype"));
    CHECK(contains(opening(fields(R"("dtype":"U8","data_offsets":[0,2])"), 2), "a field shape"));
    CHECK(contains(opening(fields(R"("dtype":"U8","shape":[2])"), 2), "a field data_offsets"));
    CHECK(contains(opening(fields("")), "a field dtype"));
    for (const char* twice : {R"("dtype":"U8")", R"("shape":[2])", R"("data_offsets":[0,2])"}) {
        CHECK(contains(opening(fields(good + "," + twice), 2), "every field once"));
    }
    CHECK(contains(opening(fields(good + R"(,"d\u0074ype":"U8")"), 2), "every field once"));
    for (const char* dtype : {"u8", "f32", "F31", "", "F32 ", "float32", "Bool"}) {
        CHECK(contains(opening('{' + entry("t", dtype, "2", "0,2") + "}", 2), "a dtype of the format"));
    }
    for (const char* value : {"8", "null", "[]", "{}", "true"}) {
        const std::string with = std::string(R"("dtype":)") + value + R"(,"shape":[2],"data_offsets":[0,2])";
        CHECK(contains(opening(fields(with), 2), "a dtype that is a string"));
    }
    for (const char* value : {"2", "null", "\"2\"", "{}", "true"}) {
        const std::string shape =
            std::string(R"("dtype":"U8","shape":)") + value + R"(,"data_offsets":[0,2])";
        CHECK(contains(opening(fields(shape), 2), "a shape that is an array"));
        const std::string offsets = std::string(R"("dtype":"U8","shape":[2],"data_offsets":)") + value;
        CHECK(contains(opening(fields(offsets), 2), "data_offsets that are an array"));
    }
    for (const char* value : {"null", "1", "\"a\"", "[]", "true"}) {
        CHECK(contains(opening(std::string(R"({"t":)") + value + "}"), "tensor \"t\": expected an object"));
    }
}

TEST_CASE("safetensors: dimensions and offsets are whole numbers", "[io]") {
    for (const char* bad :
         {"-1", "-0", "2.0", "2e0", "18446744073709551616", "\"2\"", "null", "[2]", "{}", "true"}) {
        INFO(bad);
        CHECK(contains(opening('{' + entry("t", "U8", bad, "0,2") + "}", 2), "whole numbers"));
        CHECK(contains(opening('{' + entry("t", "U8", "2", std::string("0,") + bad) + "}", 2),
                       "whole numbers"));
    }
    for (const char* count : {"", "0", "0,2,2"}) {
        CHECK(contains(opening('{' + entry("t", "U8", "2", count) + "}", 2), "data_offsets of two numbers"));
    }
    std::string many = "1";
    for (int i = 1; i < 64; ++i) many += ",1";
    CHECK(opening('{' + entry("t", "U8", many, "0,1") + "}", 1).empty());
    CHECK(contains(opening('{' + entry("t", "U8", many + ",1", "0,1") + "}", 1), "at most 64 dimensions"));
}

TEST_CASE("safetensors: sizes that overflow, are no whole bytes, or disagree with the offsets", "[io]") {
    for (const char* shape : {"4294967296,4294967296", "18446744073709551615,2", "4611686018427387904",
                              "4294967296,4294967296,0"}) {
        CHECK(contains(opening('{' + entry("t", "F32", shape, "0,0") + "}"), "a size that fits 64 bits"));
    }
    CHECK(contains(opening('{' + entry("t", "F4", "3", "0,2") + "}", 2), "whole bytes, found 12 bits"));
    CHECK(contains(opening('{' + entry("t", "F6_E2M3", "2", "0,2") + "}", 2), "whole bytes"));
    CHECK(contains(opening('{' + entry("t", "F6_E3M2", "", "0,1") + "}", 1), "whole bytes"));
    CHECK(contains(opening('{' + entry("t", "F32", "2", "0,7") + "}", 7), "8 bytes for 2 of F32"));
    CHECK(contains(opening('{' + entry("t", "F32", "2", "0,16") + "}", 16), "8 bytes for 2 of F32"));
    CHECK(contains(opening('{' + entry("t", "U8", "0", "1,0") + "}", 0), "data_offsets in order"));
    CHECK(contains(opening('{' + entry("t", "U8", "2", "2,0") + "}", 2), "data_offsets in order"));
    CHECK(contains(opening('{' + entry("t", "U8", "2", "18446744073709551615,1") + "}", 2),
                   "data_offsets in order"));
}

TEST_CASE("safetensors: tensors tile the data from its beginning to its end", "[io]") {
    const auto two = [](const std::string& a, const std::string& na, const std::string& b,
                        const std::string& nb) {
        return '{' + entry("a", "U8", na, a) + "," + entry("b", "U8", nb, b) + "}";
    };
    CHECK(opening(two("0,2", "2", "2,5", "3"), 5).empty());
    CHECK(contains(opening('{' + entry("t", "U8", "2", "1,3") + "}", 3),
                   "data from offset 0, found offsets 1 to 3"));
    CHECK(contains(opening(two("0,2", "2", "3,5", "2"), 5), "tensor \"b\": expected data from offset 2"));
    CHECK(contains(opening(two("0,3", "3", "2,5", "3"), 5), "data from offset 3"));
    CHECK(contains(opening(two("0,5", "5", "1,2", "1"), 5), "data from offset 5"));
    CHECK(contains(opening(two("0,2", "2", "0,2", "2"), 2), "data from offset 2"));
    CHECK(contains(opening(two("0,5", "5", "2,2", "0"), 5), "data from offset 5"));  // empty, inside another
    CHECK(contains(opening(two("0,2", "2", "2,5", "3"), 6), "5 bytes of data behind the header, found 6"));
    CHECK(contains(opening(two("0,2", "2", "2,5", "3"), 4), "5 bytes of data behind the header, found 4"));
    CHECK(contains(opening("{}", 1), "0 bytes of data"));
}

TEST_CASE("safetensors: a name given twice is refused, also behind escapes", "[io]") {
    const std::string first = entry("a", "U8", "1", "0,1");
    CHECK(contains(opening('{' + first + "," + entry("a", "U8", "1", "1,2") + "}", 2),
                   "every tensor once, found \"a\" twice"));
    CHECK(contains(opening('{' + first + "," + entry("\\u0061", "U8", "1", "1,2") + "}", 2),
                   "every tensor once"));
    CHECK(contains(opening('{' + first + "," + first + "}", 1), "data from offset 1"));
}

TEST_CASE("safetensors: JSON nested deeply is refused", "[io]") {
    const auto nested = [](std::size_t depth) {
        return fields(good + ",\"x\":" + std::string(depth, '[') + std::string(depth, ']'));
    };
    CHECK(opening(nested(64), 2).empty());
    CHECK(contains(opening(nested(65), 2), "JSON nested at most 64 deep"));
    CHECK(contains(opening(nested(1'000'000), 2), "JSON nested at most 64 deep"));
    std::string objects = good + ",\"x\":";
    for (int i = 0; i < 70; ++i) objects += "{\"a\":";
    CHECK(contains(opening(fields(objects), 2), "JSON nested at most 64 deep"));
}

// What it accepts.

TEST_CASE("safetensors: an empty file of no tensors is one", "[io]") {
    const auto bytes = safetensors_bytes("{}");
    const safetensors_file file(bytes, "m");
    CHECK(file.tensors().empty());
    CHECK(file.metadata().empty());
    CHECK(file.find("") == nullptr);
    CHECK(opening("{}  \t\r\n ").empty());
    CHECK(opening("{ \"__metadata__\" : { } } ").empty());
    CHECK(opening(R"({"__metadata__":null})").empty());
}

TEST_CASE("safetensors: entries come in any order, with further fields of any kind", "[io]") {
    const std::string later =
        R"("b":{"x":{"dtype":[{"shape":null}]},"data_offsets":[1,3],"x":-1e-3,"shape":[2],)"
        R"("y":[[true]],"dtype":"I8"})";
    const auto bytes = safetensors_bytes(
        '{' + later + ",\"__metadata__\":{\"b\":\"2\",\"a\":\"1\"}," + entry("a", "BOOL", "1", "0,1") + "}",
        3);
    const safetensors_file file(bytes, "m");
    REQUIRE(file.tensors().size() == 2);
    CHECK(file.tensors()[0].name == "a");
    const auto& b = file.at("b");
    CHECK(b.dtype == safetensors_dtype::i8);
    REQUIRE(b.shape.size() == 1);
    CHECK(b.shape[0] == 2);
    CHECK(b.bytes.data() == bytes.data() + bytes.size() - 2);
    CHECK(b.bytes.size() == 2);
    REQUIRE(file.metadata().size() == 2);
    CHECK(file.metadata()[0] == std::pair<std::string_view, std::string_view>("a", "1"));
    CHECK(file.find_metadata("b") == "2");
    CHECK_FALSE(file.find_metadata("c"));
}

TEST_CASE("safetensors: scalars, empty tensors and unaligned ones are read", "[io]") {
    const auto bytes =
        safetensors_bytes('{' + entry("byte", "U8", "", "0,1") + "," + entry("scalar", "F32", "", "1,5") +
                              "," + entry("none", "F32", "0,7", "1,1") + "," +
                              entry("last", "F64", "3,0", "5,5") + "," + entry("first", "F16", "0", "0,0") +
                              "," + entry("wide", "U8", "0,18446744073709551615", "5,5") + "}",
                          5);
    const safetensors_file file(bytes, "m");
    CHECK(file.tensors().size() == 6);
    CHECK(file.at("scalar").shape.empty());
    CHECK(file.at("scalar").bytes.size() == 4);
    CHECK(file.at("scalar").bytes.front() == std::byte{1});
    CHECK(file.at("none").bytes.empty());
    CHECK(nullm::describe_shape(file.at("none").shape) == "0 x 7");
    CHECK(nullm::describe_shape(file.at("scalar").shape) == "scalar");
    CHECK(nullm::describe_shape(std::vector<std::uint64_t>(9, 2)) == "2 x 2 x 2 x 2 x 2 x 2 x 2 x 2 x ...");
}

TEST_CASE("safetensors: escaped names are read as what they mean", "[io]") {
    const auto bytes =
        safetensors_bytes('{' + entry(R"(\u0061\n\"\\\/\ud83d\ude00)", "U8", "1", "0,1") + "," +
                              entry("", "U8", "1", "1,2") + R"(,"__met\u0061data__":{"k\u0000":"v\u0000w"}})",
                          2);
    const safetensors_file file(bytes, "m");
    CHECK(file.find("a\n\"\\/\xF0\x9F\x98\x80") != nullptr);
    CHECK(file.find("") != nullptr);
    CHECK(file.find_metadata(std::string_view("k\0", 2)) == std::string_view("v\0w", 3));
}

TEST_CASE("safetensors: every dtype is known by its name and size", "[io]") {
    const std::pair<const char*, std::size_t> all[] = {
        {"BOOL", 8},    {"U8", 8},          {"I8", 8},          {"F8_E5M2", 8}, {"F8_E4M3", 8},
        {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},    {"U16", 16},
        {"F16", 16},    {"BF16", 16},       {"I32", 32},        {"U32", 32},    {"F32", 32},
        {"F64", 64},    {"I64", 64},        {"U64", 64},        {"C64", 64},    {"F4", 4},
        {"F6_E2M3", 6}, {"F6_E3M2", 6}};
    CHECK(std::size(all) == nullm::safetensors_dtype_count);
    for (const auto& [name, bits] : all) {
        INFO(name);
        const std::string size = std::to_string(bits);
        CHECK(opening('{' + entry("t", name, "8", "0," + size) + "}", bits).empty());
        const auto dtype = nullm::safetensors_dtype_of(name);
        REQUIRE(dtype);
        CHECK(nullm::name_of(*dtype) == name);
        CHECK(nullm::bits_of(*dtype) == bits);
    }
}

// Use.

TEST_CASE("safetensors: a view is a matrix of the shape that was asked for", "[io]") {
    const auto bytes =
        safetensors_bytes('{' + entry("w", "F32", "2,3", "0,24") + "," + entry("h", "BF16", "4", "24,32") +
                              "," + entry("i", "I32", "1", "32,36") + "}",
                          36);
    const safetensors_file file(bytes, "m");
    const auto w = file.view("w", 2, 3);
    CHECK(w.name == "w");
    CHECK(w.type == nullm::tensor_type::f32);
    CHECK(w.rows == 2);
    CHECK(w.cols == 3);
    CHECK(w.row(1).data() == file.at("w").bytes.data() + 12);
    CHECK(file.view("h", 1, 4).type == nullm::tensor_type::bf16);
    CHECK(refusal([&] { file.view("w", 3, 2); }) == "m: tensor \"w\": expected 3 x 2, found 2 x 3");
    CHECK(contains(refusal([&] { file.view("w", 1, 6); }), "expected 1 x 6"));
    CHECK(contains(refusal([&] { file.view("h", 4, 1); }), "expected 4 x 1, found 4"));
    CHECK(contains(refusal([&] { file.view("i", 1, 1); }), "expected F32, F16 or BF16, found I32"));
    CHECK(contains(refusal([&] { file.view("x", 1, 1); }), "expected a tensor of that name, found none"));
}

TEST_CASE("safetensors: a file on disk reads the same, and views outlive a move", "[io]") {
    const support::scratch_directory directory;
    const auto path = directory.write(
        "m.safetensors",
        safetensors_bytes('{' + entry("w", "U8", "2", "0,2") + R"(,"__metadata__":{"a":"b"}})", 2));
    safetensors_file file(path);
    const auto w = file.at("w");
    const safetensors_file moved = std::move(file);
    CHECK(moved.at("w").bytes.data() == w.bytes.data());
    CHECK(w.name == "w");
    CHECK(w.shape[0] == 2);
    CHECK(moved.find_metadata("a") == "b");
    CHECK(contains(moved.file_name(), "m.safetensors"));
    CHECK_FALSE(refusal([&] { safetensors_file(directory.path() / "absent"); }).empty());
}

TEST_CASE("safetensors: what bitsandbytes saved is read", "[io]") {
    const safetensors_file file(std::string(NULLM_GOLDEN_DIR) + "/nf4_hf.safetensors");
    CHECK(file.tensors().size() == 11);
    CHECK(file.find_metadata("format") == "pt");
    CHECK(file.view("model.plain.bias", 1, 64).bytes.size() == 256);
    CHECK(file.at("model.plain.weight").dtype == safetensors_dtype::u8);
    CHECK(nullm::describe_shape(file.at("model.plain.weight").shape) == "8192 x 1");
    CHECK(file.starting_with("model.nested.").size() == 6);
    CHECK(file.starting_with("model.o").empty());
    const safetensors_file arrays(std::string(NULLM_GOLDEN_DIR) + "/nf4_fixtures.safetensors");
    CHECK(arrays.tensors().size() > 10);
}

TEST_CASE("safetensors: every prefix of a good file is refused", "[io]") {
    const auto good_file = bytes_of_file(std::string(NULLM_GOLDEN_DIR) + "/nf4_hf.safetensors");
    REQUIRE(opening(good_file).empty());
    // Each in memory of its own size, so that a read past its end is seen.
    std::size_t refused = 0;
    std::size_t tried = 0;
    for (std::size_t n = 0; n < good_file.size(); ++n) {
        const std::vector<std::byte> prefix(good_file.begin(),
                                            good_file.begin() + static_cast<std::ptrdiff_t>(n));
        refused += opening(prefix).empty() ? 0 : 1;
        ++tried;
    }
    CHECK(refused == tried);
}

TEST_CASE("safetensors: every mutation of a good file is read or refused in a sentence", "[io]") {
    const std::string json =
        "{\"__metadata__\":{\"format\":\"pt\",\"n\\u00e9\":\"\\ud83d\\ude00\"}," +
        entry("model.a.weight", "F32", "2,3", "0,24") + "," + entry("b\\n", "U8", "5,1", "24,29") + "," +
        entry("empty", "BF16", "0,7", "29,29") + "," + entry("s", "I64", "", "29,37") +
        ",\"x\":{\"u\":[1,{\"a\":null}]," + R"("dtype":"F16","shape":[1],"data_offsets":[37,39]}}   )";
    const auto original = safetensors_bytes(json, 39);
    REQUIRE(opening(original).empty());
    std::mt19937_64 draw(20'000);
    const std::string tokens = "{}[]:,\"\\0123456789eE+-.nulltruefalse \n\t\x01\x7F";
    std::size_t survived = 0;
    for (int i = 0; i < 20'000; ++i) {
        auto bytes = original;
        const auto edits = 1 + draw() % 4;
        for (std::uint64_t e = 0; e < edits && !bytes.empty(); ++e) {
            const std::size_t at = draw() % bytes.size();
            const auto place = bytes.begin() + static_cast<std::ptrdiff_t>(at);
            switch (draw() % 6) {
                case 0:
                    *place = static_cast<std::byte>(draw());
                    break;
                case 1:
                    *place = static_cast<std::byte>(tokens[draw() % tokens.size()]);
                    break;
                case 2:
                    *place ^= static_cast<std::byte>(1U << draw() % 8);
                    break;
                case 3:
                    bytes.erase(place);
                    break;
                case 4:
                    bytes.insert(place, static_cast<std::byte>(tokens[draw() % tokens.size()]));
                    break;
                case 5: {
                    const auto n =
                        static_cast<std::ptrdiff_t>(std::min<std::size_t>(draw() % 40, bytes.size() - at));
                    const std::vector<std::byte> piece(place, place + n);
                    bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(draw() % bytes.size()),
                                 piece.begin(), piece.end());
                }
            }
        }
        if (draw() % 2 == 0 &&
            bytes.size() >= 8) {  // keep the length right, so that more of them reach the parser
            const std::uint64_t length = bytes.size() < 8 + 39 ? 0 : bytes.size() - 8 - 39;
            std::memcpy(bytes.data(), &length, 8);
        }
        bytes.shrink_to_fit();
        try {
            const safetensors_file file(bytes, "m");
            std::size_t sum = 0;
            for (const auto& t : file.tensors()) {
                for (const auto b : t.bytes) sum += std::to_integer<std::size_t>(b);
                sum += t.name.size() + t.shape.size();
            }
            for (const auto& [key, value] : file.metadata()) sum += key.size() + value.size();
            survived += sum > 0 ? 1 : 0;
        } catch (const nullm::error& refused) {
            REQUIRE(std::string(refused.what()).size() < 500);
        }
    }
    CHECK(survived > 500);  // the test would say little if none did
}

TEST_CASE("safetensors: memory is a small multiple of the header", "[io]") {
    const auto cost = [](const std::vector<std::byte>& bytes) {
        support::allocation_counter::reset();
        opening(bytes);
        return support::allocation_counter::total();
    };
    constexpr std::size_t base = 16'384;
    // All that was ever asked for, also what was freed again.
    std::string tensors = "{";
    for (int i = 0; i < 20'000; ++i) tensors += entry(std::to_string(i), "U8", "0", "0,0") + ",";
    tensors.back() = '}';
    CHECK(opening(tensors).empty());
    CHECK(cost(safetensors_bytes(tensors)) < 12 * tensors.size() + base);
    std::string shapes = "{";
    for (int i = 0; i < 5'000; ++i) {
        shapes += entry(std::to_string(i), "U8",
                        "0,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", "0,0") +
                  ",";
    }
    shapes.back() = '}';
    CHECK(opening(shapes).empty());
    CHECK(cost(safetensors_bytes(shapes)) < 16 * shapes.size() + base);
    std::string entries = "{\"__metadata__\":{";
    for (int i = 0; i < 20'000; ++i) entries += '"' + std::to_string(i) + "\":\"\",";
    entries.back() = '}';
    entries += '}';
    CHECK(opening(entries).empty());
    CHECK(cost(safetensors_bytes(entries)) < 12 * entries.size() + base);
    const std::string text = "{\"" + std::string(1'000'000, 'a') + "\":1}";
    CHECK(cost(safetensors_bytes(text)) < 12 * text.size() + base);
    // A length alone allocates nothing.
    auto liar = safetensors_bytes("{}");
    const std::uint64_t length = 99'999'999;
    std::memcpy(liar.data(), &length, 8);
    CHECK(cost(liar) < base);
}
