#include "refusal.hpp"
#include "safetensors_parts.hpp"
#include "scratch_directory.hpp"

#include <nullm/io/safetensors.hpp>
#include <nullm/io/safetensors_writer.hpp>
#include <support/catch.hpp>

#include <random>

using nullm::safetensors_dtype;
using nullm::safetensors_file;
using nullm::safetensors_writer;
using support::bytes_of_file;
using support::contains;
using support::refusal;

TEST_CASE("safetensors: what was read and written again is the same file, byte for byte", "[io]") {
    // Written by the reference implementation.
    const auto original = bytes_of_file(std::string(NULLM_GOLDEN_DIR) + "/nf4_hf.safetensors");
    const safetensors_file file(original, "m");
    safetensors_writer writer;
    for (const auto& [key, value] : file.metadata())
        writer.set_metadata(std::string(key), std::string(value));
    for (auto t = file.tensors().rbegin(); t != file.tensors().rend(); ++t) {
        writer.add(std::string(t->name), t->dtype, {t->shape.begin(), t->shape.end()}, t->bytes);
    }
    CHECK(writer.file() == original);
    const support::scratch_directory directory;
    writer.write(directory.path() / "again.safetensors");
    CHECK(bytes_of_file((directory.path() / "again.safetensors").string()) == original);
}

TEST_CASE("safetensors: names and metadata of any text come back", "[io]") {
    std::mt19937 draw(3);
    const std::string pieces[] = {"a",        "\"",
                                  "\\",       "/",
                                  "\n",       "\x01",
                                  "\x1F",     "\x7F",
                                  "\xC3\xA9", "\xF0\x9F\x98\x80",
                                  "{",        std::string(1, '\0')};
    for (int round = 0; round < 200; ++round) {
        const auto text = [&] {
            std::string out;
            for (auto n = draw() % 6; n > 0; --n) out += pieces[draw() % std::size(pieces)];
            return out;
        };
        safetensors_writer writer;
        const std::string name = text();
        const std::string key = text();
        const std::string value = text();
        const std::vector<std::byte> bytes(draw() % 5, std::byte{7});
        writer.add(name, safetensors_dtype::u8, {bytes.size()}, bytes);
        writer.set_metadata(key, value);
        const auto written = writer.file();
        const safetensors_file file(written, "m");
        REQUIRE(file.tensors().size() == 1);
        CHECK(file.tensors()[0].name == name);
        CHECK(file.find_metadata(key) == value);
    }
}

TEST_CASE("safetensors: tensors are stored by dtype, widest first, then by name", "[io]") {
    safetensors_writer writer;
    const std::vector<std::byte> bytes(4);
    writer.add("a", safetensors_dtype::f16, {2}, bytes);
    writer.add("b", safetensors_dtype::bf16, {2}, bytes);
    writer.add("d", safetensors_dtype::f32, {1}, bytes);
    writer.add("c", safetensors_dtype::f32, {1}, bytes);
    writer.add("empty", safetensors_dtype::f32, {std::uint64_t{1} << 61, 0}, {});
    const auto file = writer.file();
    const nullm::safetensors_file read(file, "m");
    const auto at = [&](const char* name) { return read.at(name).bytes.data(); };
    CHECK(at("c") < at("d"));
    CHECK(at("d") < at("b"));
    CHECK(at("b") < at("a"));
}

TEST_CASE("safetensors: tensors of every dtype come back, aligned", "[io]") {
    safetensors_writer writer;
    std::vector<std::byte> bytes(1024);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 31);
    for (std::size_t i = 0; i < nullm::safetensors_dtype_count; ++i) {
        const auto dtype = static_cast<safetensors_dtype>(i);
        const std::size_t size = nullm::bits_of(dtype) * (8 + 8 * (i % 3)) / 8;
        writer.add('t' + std::to_string(i * 7 % 22), dtype, {8, 1 + i % 3},
                   std::span(bytes).subspan(i, size));
    }
    writer.add("scalar", safetensors_dtype::f64, {}, std::span(bytes).first(8));
    writer.add("none", safetensors_dtype::f64, {4, 0}, {});
    const auto written = writer.file();
    const safetensors_file file(written, "m");
    CHECK(file.tensors().size() == nullm::safetensors_dtype_count + 2);
    for (const auto& t : file.tensors()) {
        const auto offset = static_cast<std::size_t>(t.bytes.data() - written.data());
        const std::size_t alignment = nullm::bits_of(t.dtype) / 8;
        if (alignment > 1) CHECK(offset % alignment == 0);
    }
    for (std::size_t i = 0; i < nullm::safetensors_dtype_count; ++i) {
        const auto& t = file.at('t' + std::to_string(i * 7 % 22));
        CHECK(t.dtype == static_cast<safetensors_dtype>(i));
        CHECK(std::equal(t.bytes.begin(), t.bytes.end(), bytes.begin() + static_cast<std::ptrdiff_t>(i)));
    }
    CHECK(safetensors_file(safetensors_writer().file(), "m").tensors().empty());
}

TEST_CASE("safetensors: what cannot be stored is refused before anything is written", "[io]") {
    const std::vector<std::byte> four(4);
    safetensors_writer writer;
    writer.add("a", safetensors_dtype::f32, {1}, four);
    const auto adding = [&](const std::string& name, safetensors_dtype dtype,
                            std::vector<std::uint64_t> shape) {
        return refusal([&] { writer.add(name, dtype, shape, four); });
    };
    CHECK(contains(adding("a", safetensors_dtype::f32, {1}), "every tensor once"));
    CHECK(contains(adding("\xFF", safetensors_dtype::f32, {1}), "a name in UTF-8"));
    CHECK(contains(adding("__metadata__", safetensors_dtype::f32, {1}), "does not use itself"));
    CHECK(contains(adding("b", safetensors_dtype::f32, {2}), "64 bits for its shape of F32, found 4 bytes"));
    CHECK(contains(adding("b", safetensors_dtype::f4, {9}), "36 bits"));
    CHECK(contains(adding("b", safetensors_dtype::u8, {1ULL << 62, 4}), "a size that fits 64 bits"));
    CHECK(contains(adding("b", safetensors_dtype::u8, std::vector<std::uint64_t>(65, 1)),
                   "at most 64 dimensions"));
    CHECK(contains(refusal([&] { writer.set_metadata("k", "\xFF"); }), "UTF-8"));
    CHECK(adding("b", safetensors_dtype::u8, {2, 2}).empty());
}
