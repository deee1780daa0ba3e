#include "refusal.hpp"
#include "safetensors_parts.hpp"

#include <nullm/io/bitsandbytes.hpp>
#include <nullm/io/safetensors_writer.hpp>
#include <support/catch.hpp>

#include <functional>
#include <map>
#include <random>

using nullm::safetensors_dtype;
using support::contains;
using support::refusal;

namespace {

std::vector<std::byte> bytes_of(std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
    return {bytes.begin(), bytes.end()};
}
std::vector<std::byte> floats(std::size_t n) {
    std::vector<float> values(n);
    for (std::size_t i = 0; i < n; ++i) values[i] = static_cast<float>(i) + 0.5F;
    const auto bytes = std::as_bytes(std::span(values));
    return {bytes.begin(), bytes.end()};
}

/// A file of one layer "q" that a test may spoil: tensors by name.
struct layer_file {
    struct tensor {
        safetensors_dtype dtype;
        std::vector<std::uint64_t> shape;
        std::vector<std::byte> bytes;
    };
    std::map<std::string, tensor> tensors;

    tensor& operator[](const std::string& name) { return tensors[name]; }
    void state(const std::string& json) {
        tensors["q.weight.quant_state.bitsandbytes__nf4"] = {
            safetensors_dtype::u8, {json.size()}, bytes_of(json)};
    }
    std::vector<std::byte> file() const {
        nullm::safetensors_writer writer;
        for (const auto& [name, t] : tensors) writer.add(name, t.dtype, t.shape, t.bytes);
        return writer.file();
    }
    std::string gathering() const {
        const auto bytes = file();
        return refusal([&] { nullm::gather_nf4(nullm::safetensors_file(bytes, "m"), "q"); });
    }
};

const std::string plain_state =
    R"({"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [3, 37]})";
const std::string nested_fields =
    R"(, "nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": 0.25})";

/// 3 x 37 = 111 elements: 56 bytes of codes, 2 blocks, a bias.
layer_file plain() {
    layer_file out;
    out["q.weight"] = {safetensors_dtype::u8, {56, 1}, std::vector<std::byte>(56, std::byte{0x7A})};
    out["q.weight.absmax"] = {safetensors_dtype::f32, {2}, floats(2)};
    const auto map = std::as_bytes(std::span(nullm::nf4_codebook_bits));
    out["q.weight.quant_map"] = {safetensors_dtype::f32, {16}, {map.begin(), map.end()}};
    out["q.bias"] = {safetensors_dtype::bf16, {3}, bytes_of(std::string("\x80\x3F\x00\x40\x40\x40", 6))};
    out.state(plain_state);
    return out;
}
layer_file nested() {
    layer_file out = plain();
    out["q.weight.absmax"] = {safetensors_dtype::u8, {2}, std::vector<std::byte>(2, std::byte{9})};
    out["q.weight.nested_absmax"] = {safetensors_dtype::f32, {1}, floats(1)};
    out["q.weight.nested_quant_map"] = {safetensors_dtype::f32, {256}, floats(256)};
    out.state(plain_state.substr(0, plain_state.size() - 1) + nested_fields);
    return out;
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
    return text.replace(text.find(what), what.size(), by);
}

}  // namespace

TEST_CASE("NF4 weights that bitsandbytes saved are gathered", "[io]") {
    const nullm::safetensors_file file(std::string(NULLM_GOLDEN_DIR) + "/nf4_hf.safetensors");
    const auto whole = nullm::gather_nf4(file, "model.plain");
    CHECK(whole.rows == 64);
    CHECK(whole.cols == 256);
    CHECK(whole.block == 64);
    CHECK(whole.blocks() == 256);
    CHECK(whole.dtype == "float32");
    CHECK(whole.packed.size() == 8192);
    CHECK(whole.absmax.size() == 256);
    CHECK_FALSE(whole.nested);
    CHECK(whole.bias.size() == 64);
    const auto half = nullm::gather_nf4(file, "model.nested");
    CHECK(half.dtype == "bfloat16");
    CHECK(half.absmax.empty());
    REQUIRE(half.nested);
    CHECK(half.nested->codes.size() == 256);
    CHECK(half.nested->absmax.size() == 1);
    CHECK(half.nested->map[127] == 0.0F);
    CHECK(half.nested->map[255] == 1.0F);
    CHECK(half.nested->offset > 0.0F);
    CHECK(half.bias.empty());
    CHECK(half.packed.data() == file.at("model.nested.weight").bytes.data());
}

TEST_CASE("odd sizes, other storage types and nested scales are gathered", "[io]") {
    const auto bytes = plain().file();
    const nullm::safetensors_file file(bytes, "m");
    const auto weight = nullm::gather_nf4(file, "q");
    CHECK(weight.rows == 3);
    CHECK(weight.cols == 37);
    CHECK(weight.blocks() == 2);
    CHECK(weight.absmax == std::vector<float>{0.5F, 1.5F});
    CHECK(weight.bias == std::vector<float>{1.0F, 2.0F, 3.0F});

    auto stored = plain();
    stored["q.weight"].dtype = safetensors_dtype::f32;  // bnb_4bit_quant_storage
    stored["q.weight"].shape = {14, 1};
    CHECK(stored.gathering().empty());
    stored.tensors.erase("q.bias");
    CHECK(stored.gathering().empty());

    const auto twice = nested().file();
    const nullm::safetensors_file nested_file(twice, "m");
    const auto scales = nullm::gather_nf4(nested_file, "q").nested;
    REQUIRE(scales);
    CHECK(scales->offset == 0.25F);
    CHECK(scales->absmax == std::vector<float>{0.5F});
    CHECK(scales->map[255] == 255.5F);
    CHECK(scales->codes.size() == 2);
}

TEST_CASE("an NF4 weight with a part missing, wrong or too many is refused", "[io]") {
    for (const auto& make : {&plain, &nested}) {
        const auto names = make().tensors;
        for (const auto& [name, tensor] : names) {
            INFO(name);
            auto without = make();
            without.tensors.erase(name);
            CHECK(without.gathering().empty() == (name == "q.bias"));
            auto other = make();
            other[name].dtype =
                other[name].dtype == safetensors_dtype::f32 ? safetensors_dtype::i32 : safetensors_dtype::i8;
            if (other[name].dtype == safetensors_dtype::i8) other[name].shape = {other[name].bytes.size()};
            CHECK(other.gathering().empty() == (name == "q.weight"));  // whose type does not matter
            auto longer = make();
            longer[name].bytes.resize(longer[name].bytes.size() + 4);
            longer[name].dtype = safetensors_dtype::u8;
            longer[name].shape = {longer[name].bytes.size()};
            CHECK_FALSE(longer.gathering().empty());
            auto folded = make();
            folded[name].shape.push_back(1);
            CHECK(folded.gathering().empty() == (name == "q.weight"));
        }
        auto more = make();
        more["q.weight.scale"] = {safetensors_dtype::f32, {1}, floats(1)};
        CHECK(contains(more.gathering(), "no further tensor of this weight"));
        auto another = make();
        another["q.weight.quant_state.bitsandbytes__fp4"] = {safetensors_dtype::u8, {2}, bytes_of("{}")};
        CHECK(contains(another.gathering(), "found 2"));
    }
    auto with_nested = plain();
    with_nested["q.weight.nested_absmax"] = {safetensors_dtype::f32, {1}, floats(1)};
    CHECK(contains(with_nested.gathering(), "no further tensor"));
    auto codebook = plain();
    codebook["q.weight.quant_map"].bytes[5] ^= std::byte{1};
    CHECK(contains(codebook.gathering(), "the codebook of NF4"));
    auto fp4 = plain();
    auto state = fp4.tensors.extract("q.weight.quant_state.bitsandbytes__nf4");
    state.key() = "q.weight.quant_state.bitsandbytes__fp4";
    fp4.tensors.insert(std::move(state));
    CHECK(contains(fp4.gathering(), "expected the format nf4, found \"fp4\""));
    CHECK(contains(layer_file().gathering(), "expected a tensor of that name"));
}

TEST_CASE("an NF4 quant_state that says too little, too much or nonsense is refused", "[io]") {
    const auto with = [](const std::string& json) {
        auto file = plain();
        file.state(json);
        return file.gathering();
    };
    const auto change = [&](const std::string& what, const std::string& by) {
        return with(replaced(plain_state, what, by));
    };
    CHECK(with(plain_state).empty());
    CHECK(with(plain_state + " \n").empty());
    CHECK(contains(change("\"nf4\"", "\"fp4\""), "quant_type nf4"));
    CHECK(contains(change("\"nf4\"", "4"), "another quant_type"));
    CHECK(contains(change("bfloat16", "float64"), "dtype float32, bfloat16 or float16"));
    for (const char* size : {"0", "16", "48", "8192", "18446744073709551615"}) {
        CHECK(contains(change("64", size), "a power of two from 32 to 4096"));
    }
    CHECK(contains(change("64", "-64"), "another blocksize"));
    CHECK(contains(change("64", "64.0"), "another blocksize"));
    CHECK(contains(change("64", "\"64\""), "another blocksize"));
    CHECK(contains(change("64", "32"), "one dimension of 4"));
    CHECK(contains(change("37", "38"), "57 bytes of codes"));
    CHECK(contains(change("[3, 37]", "[111]"), "a shape of two numbers"));
    CHECK(contains(change("[3, 37]", "[3, 37, 1]"), "another shape"));
    CHECK(contains(change("[3, 37]", "[[3, 37]]"), "another shape"));
    CHECK(contains(change("[3, 37]", "111"), "another shape"));
    CHECK(contains(change("[3, 37]", "[0, 37]"), "a shape whose product"));
    CHECK(contains(change("[3, 37]", "[4294967296, 4294967296]"), "a shape whose product"));
    CHECK(contains(change("[3, 37]", "[9223372036854775807, 2]"), "9223372036854775807 bytes of codes"));
    CHECK(contains(change("[3, 37]", "[-3, 37]"), "another shape"));
    CHECK(contains(change("\"shape\"", "\"size\""), "the fields of a quant_state, found \"size\""));
    CHECK(contains(change("\"shape\": [3, 37]", "\"dtype\": \"float16\""), "every field once"));
    CHECK(contains(with(R"({"quant_type": "nf4"})"), "all or none of the nested_ fields"));
    CHECK(contains(with("{}"), "all or none of the nested_ fields"));
    CHECK(contains(with(plain_state + "{}"), "JSON"));
    CHECK(contains(with("{}" + std::string(1, '\0')), "JSON that starts with {"));
    CHECK(contains(with("[]"), "JSON that starts with {"));
    CHECK(contains(with(""), "JSON that starts with {"));
    CHECK(contains(with(plain_state + std::string(5000, ' ')), "at most 4096 bytes"));

    const auto nested_with = [](const std::string& what, const std::string& by) {
        auto file = nested();
        file.state(replaced(plain_state.substr(0, plain_state.size() - 1) + nested_fields, what, by));
        return file.gathering();
    };
    CHECK(nested_with("0.25", "2.6112060546875").empty());
    CHECK(nested_with("0.25", "0").empty());
    CHECK(nested_with("0.25", "-1").empty());
    CHECK(contains(nested_with("0.25", "NaN"), "JSON"));
    CHECK(contains(nested_with("0.25", "Infinity"), "JSON"));
    CHECK(contains(nested_with("0.25", "1e300"), "a finite nested_offset"));
    CHECK(contains(nested_with("0.25", "\"1\""), "another nested_offset"));
    CHECK(contains(nested_with("256", "128"), "nested_blocksize 256"));
    CHECK(contains(nested_with("\"float32\"", "\"float16\""), "nested_dtype float32"));
    CHECK(contains(nested_with(", \"nested_offset\": 0.25", ""), "all or none"));
}

TEST_CASE("mutated NF4 files are gathered or refused", "[io]") {
    const auto original = nested().file();
    std::mt19937 draw(5);
    std::size_t gathered = 0;
    for (int i = 0; i < 4000; ++i) {
        auto bytes = original;
        for (auto e = 1 + draw() % 2; e > 0; --e)
            bytes[8 + draw() % (bytes.size() - 8)] = static_cast<std::byte>(0x20 + draw() % 0x60);
        try {
            gathered += nullm::gather_nf4(nullm::safetensors_file(bytes, "m"), "q").rows == 3 ? 1 : 0;
        } catch (const nullm::error&) {
        }
    }
    CHECK(gathered > 100);
}
