#include "refusal.hpp"
#include "scratch_directory.hpp"

#include <nullm/io/gguf.hpp>
#include <support/catch.hpp>
#include <support/gguf_writer.hpp>

#include <cstring>

using nullm::tensor_type;
using support::bytes;
using support::contains;
using support::refusal;

namespace {

std::string opening(const bytes& content) {
    return refusal([&] { const nullm::gguf_file file(content, "m.gguf"); });
}
std::string opening(const support::gguf_writer& writer) {
    return opening(writer.file());
}

std::vector<float> counting(std::size_t n) {
    std::vector<float> values(n);
    for (std::size_t i = 0; i < n; ++i) values[i] = static_cast<float>(i) - 3;
    return values;
}

support::gguf_writer two_tensors() {
    support::gguf_writer out;
    out.set_tensor("matrix", tensor_type::f32, 3, 5, counting(15));
    out.set_tensor("vector", tensor_type::q8_0, 1, 64, counting(64));
    return out;
}

template <class T>
void overwrite(bytes& content, std::size_t at, T value) {
    std::memcpy(content.data() + at, &value, sizeof(value));
}

constexpr std::size_t version_at = 4;
constexpr std::size_t tensor_count_at = 8;
constexpr std::size_t entry_count_at = 16;

}  // namespace

TEST_CASE("tensors are views into the file with rows and columns in reading order", "[io]") {
    const bytes content = two_tensors().file();
    const nullm::gguf_file file(content, "m.gguf");
    REQUIRE(file.tensors().size() == 2);
    const auto matrix = file.find("matrix");
    REQUIRE(matrix);
    REQUIRE(matrix->name == "matrix");
    REQUIRE(matrix->type == tensor_type::f32);
    REQUIRE(matrix->rows == 3);
    REQUIRE(matrix->cols == 5);
    float value = 0;
    std::memcpy(&value, matrix->row(2).data() + 4 * sizeof(float), sizeof(value));
    REQUIRE(value == 14 - 3);
    const auto vector = file.find("vector");
    REQUIRE(vector->rows == 1);
    REQUIRE(vector->cols == 64);
    REQUIRE(vector->bytes.size() == 2 * 34);
    REQUIRE(vector->bytes.data() + vector->bytes.size() == content.data() + content.size());
    REQUIRE_FALSE(file.find("absent"));
}

TEST_CASE("a file on disk reads the same, and views outlive a move", "[io]") {
    const support::scratch_directory directory;
    nullm::gguf_file file(directory.write("m.gguf", two_tensors().file()));
    const auto before = *file.find("matrix");
    const nullm::gguf_file moved = std::move(file);
    REQUIRE(moved.find("matrix")->bytes.data() == before.bytes.data());
    REQUIRE(moved.find("matrix")->name == "matrix");
    REQUIRE(contains(moved.file_name(), "m.gguf"));
}

TEST_CASE("versions 2 and 3 are read, others and other files refused", "[io]") {
    support::gguf_writer writer = two_tensors();
    writer.version = 2;
    REQUIRE(opening(writer).empty());
    for (const std::uint32_t version : {0U, 1U, 4U, 0xFFFFFFFFU}) {
        bytes content = writer.file();
        overwrite(content, version_at, version);
        REQUIRE(opening(content) == "m.gguf: expected GGUF version 2 or 3, found " + std::to_string(version));
    }
    writer.version = 0x03000000;
    REQUIRE(contains(opening(writer), "found a big-endian file"));
    writer.version = 3;
    writer.magic = "GGML";
    REQUIRE(contains(opening(writer), "a GGUF file (first bytes \"GGUF\"), found \"GGML\""));
    REQUIRE(contains(opening(bytes(3)), "bytes to the end of the file"));
}

TEST_CASE("an empty model is a valid file", "[io]") {
    const bytes content = support::gguf_writer().file();
    const nullm::gguf_file file(content, "m.gguf");
    REQUIRE(file.tensors().empty());
    REQUIRE(file.entries().empty());
}

TEST_CASE("counts in the header are bounded by the file", "[io]") {
    for (const std::uint64_t count : {100ULL, 1ULL << 31, 1ULL << 60, 1ULL << 63, ~0ULL}) {
        bytes content = two_tensors().file();
        overwrite(content, tensor_count_at, count);
        REQUIRE_FALSE(opening(content).empty());
        content = two_tensors().file();
        overwrite(content, entry_count_at, count);
        REQUIRE(contains(opening(content), "metadata entries"));
    }
    // Room enough in the file, but more than any model has.
    bytes content = two_tensors().file();
    content.resize(65537 * 40);
    overwrite(content, tensor_count_at, std::uint64_t{65537});
    REQUIRE(contains(opening(content), "at most 65536 tensors, found 65537"));
}

TEST_CASE("tensors of a type without arithmetic here are refused by ggml's name", "[io]") {
    const auto opening_with = [](std::uint32_t number) {
        support::gguf_writer writer;
        writer.set_raw_tensor("blk.0.ffn_up.weight", number, {256, 4}, bytes(4096));
        return opening(writer);
    };
    REQUIRE(opening_with(12) ==
            "m.gguf: tensor blk.0.ffn_up.weight: expected F32, F16, BF16, Q4_0, Q4_1 or Q8_0, found Q4_K");
    REQUIRE(contains(opening_with(14), "found Q6_K"));
    REQUIRE(contains(opening_with(39), "found MXFP4"));
    REQUIRE(contains(opening_with(4), "found Q4_2"));
    REQUIRE(contains(opening_with(77), "found the unknown type number 77"));
    REQUIRE(contains(opening_with(0xFFFFFFFFU), "found the unknown type number 4294967295"));
    for (const std::uint32_t number : {0U, 1U, 2U, 3U, 8U, 30U}) REQUIRE(opening_with(number).empty());
}

TEST_CASE("dimensions must be one to four, positive, and their product must fit", "[io]") {
    const auto opening_with = [](std::vector<std::uint64_t> size, std::uint32_t type = 0) {
        support::gguf_writer writer;
        writer.set_raw_tensor("t", type, std::move(size), bytes(64));
        return opening(writer);
    };
    REQUIRE(contains(opening_with({}), "1 to 4 dimensions, found 0"));
    REQUIRE(contains(opening_with({1, 1, 1, 1, 1}), "1 to 4 dimensions, found 5"));
    REQUIRE(contains(opening_with(std::vector<std::uint64_t>(1000, 1)), "found 1000"));
    const std::uint64_t half = 1ULL << 63;
    for (const auto& size : std::vector<std::vector<std::uint64_t>>{{0},
                                                                    {4, 0},
                                                                    {4, 4, 0, 1},
                                                                    {~0ULL},
                                                                    {half, 2},
                                                                    {1ULL << 32, 1ULL << 32},
                                                                    {1ULL << 31, 1ULL << 31},
                                                                    {1ULL << 62, 1, 1, 4},
                                                                    {2, half, half, 2}}) {
        REQUIRE(contains(opening_with(size), "positive dimensions whose product fits 64 bits"));
    }
    REQUIRE(contains(opening_with({1ULL << 40}), "a data section of at least"));
    REQUIRE(contains(opening_with({33}, 8), "rows of a multiple of 32 elements for Q8_0, found 33"));
    REQUIRE(contains(opening_with({1, 32}, 3), "rows of a multiple of 32 elements for Q4_1, found 1"));
}

TEST_CASE("a tensor of three dimensions is refused when used, with trailing ones it is a matrix", "[io]") {
    support::gguf_writer writer;
    writer.set_raw_tensor("deep", 0, {2, 2, 2}, bytes(32));
    writer.set_raw_tensor("flat", 0, {2, 4, 1, 1}, bytes(32));
    const bytes content = writer.file();
    const nullm::gguf_file file(content, "m.gguf");
    REQUIRE(file.tensors().size() == 1);
    REQUIRE(file.deep_tensors().size() == 1);
    REQUIRE(file.find("flat")->rows == 4);
    REQUIRE(refusal([&] { file.find("deep"); }) ==
            "m.gguf: tensor deep: expected one or two dimensions, found three or more");
}

TEST_CASE("tensor data must lie in the file, aligned, each in bytes of its own", "[io]") {
    const auto opening_at = [](std::uint64_t offset) {
        support::gguf_writer writer = two_tensors();
        writer.set_raw_tensor("vector", 0, {16}, bytes(64), offset);
        return opening(writer);
    };
    REQUIRE(opening_at(64).empty());
    REQUIRE(contains(opening_at(65), "an offset that is a multiple of 32, found 65"));
    REQUIRE(contains(opening_at(96), "a data section of at least 160 bytes, found 128 bytes"));
    REQUIRE(contains(opening_at(32),
                     "tensor vector: expected bytes of its own, found bytes shared with \"matrix\""));
    REQUIRE(contains(opening_at(1ULL << 63), "a data section of at least"));
    REQUIRE(contains(opening_at(~0ULL - 31), "fits 64 bits"));
    REQUIRE(contains(opening_at(0), "bytes shared with"));
}

TEST_CASE("alignment is a power of two from 8 to 1 MiB", "[io]") {
    support::gguf_writer writer = two_tensors();
    for (const std::uint32_t alignment : {8U, 32U, 64U, 4096U, 1U << 20}) {
        writer.alignment = alignment;
        writer.set_u32("general.alignment", alignment);
        REQUIRE(opening(writer).empty());
    }
    for (const std::uint32_t alignment :
         {0U, 1U, 4U, 24U, 33U, (1U << 20) + 1, 1U << 21, 1U << 31, 0xFFFFFFFFU}) {
        writer.set_u32("general.alignment", alignment);
        REQUIRE(contains(opening(writer),
                         "a power of two from 8 to 1048576, found " + std::to_string(alignment)));
    }
    writer.set_i32("general.alignment", 32);
    REQUIRE(contains(opening(writer), "general.alignment: expected the type u32, found i32"));
}

TEST_CASE("tensor names are unique, not empty, short enough and UTF-8", "[io]") {
    support::gguf_writer twice = two_tensors();
    twice.add_raw_tensor("matrix", 0, {1}, bytes(4));
    REQUIRE(contains(opening(twice), "\"matrix\" twice"));
    for (const std::string& name : {std::string(), std::string(65537, 'n')}) {
        support::gguf_writer writer;
        writer.set_raw_tensor(name, 0, {1}, bytes(4));
        REQUIRE(contains(opening(writer), "a tensor name of 1 to 65536 bytes"));
    }
    support::gguf_writer latin1;
    latin1.set_raw_tensor("caf\xE9", 0, {1}, bytes(4));
    REQUIRE(contains(opening(latin1), "a tensor name in UTF-8"));
}
