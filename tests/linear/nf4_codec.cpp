#include <nullm/linear/nf4_codec.hpp>
#include <nullm/linear/nf4_nested.hpp>

#include "same_floats.hpp"
#include "tensors.hpp"

#include <support/catch.hpp>
#include <support/golden.hpp>
#include <support/golden_tensors.hpp>

#include <limits>

using namespace tensors;
using nullm::isa;
using nullm::thread_pool;

namespace {

constexpr const char* arrays[] = {"normal64x256_bs64", "normal64x256_bs128", "bf16_160x384_bs64"};

std::size_t block_of(const golden::tensors& file, const std::string& name) {
    return static_cast<std::size_t>(file.read<std::int32_t>(name + ".blocksize")[0]);
}

std::vector<float> decoded(const nullm::nf4_view& data, thread_pool& pool) {
    std::vector<float> out(data.elements);
    nullm::nf4_decode(data, out, pool);
    return out;
}

bool same(const nullm::nf4_data& a, const nullm::nf4_data& b) {
    return a.elements == b.elements && a.packed == b.packed && same_floats(a.absmax, b.absmax);
}

/// The rule of nf4.md 1.2, element by element, from the definition.
nullm::nf4_data by_definition(std::span<const float> w, std::size_t block) {
    nullm::nf4_data data{w.size(), block, std::vector<std::byte>(nullm::nf4_packed_bytes(w.size())), {}};
    std::vector<unsigned> codes;
    for (std::size_t from = 0; from < w.size(); from += block) {
        const auto part = w.subspan(from, std::min(block, w.size() - from));
        float largest = 0;
        bool nan = false;
        for (const float v : part) {
            nan = nan || std::isnan(v);
            largest = std::max(largest, std::fabs(v));
        }
        if (nan) largest = std::numeric_limits<float>::quiet_NaN();
        const bool whole = part.size() == block;
        const float divisor = largest < 1e-38F ? 1e-38F : largest;
        const float inverse = 1.0F / divisor;
        data.absmax.push_back(whole ? largest : divisor);
        for (const float v : part) {
            float s = whole ? v * inverse : v / divisor;
            if (s > 1.0F) s = 1.0F;
            if (s < -1.0F) s = -1.0F;
            unsigned code = 0;
            while (code < 15 && !(s <= (nullm::nf4_codebook[code] + nullm::nf4_codebook[code + 1]) / 2))
                ++code;
            codes.push_back(code);
        }
    }
    if (codes.size() % 2 != 0) codes.push_back(7);
    for (std::size_t i = 0; i < data.packed.size(); ++i)
        data.packed[i] = static_cast<std::byte>(codes[2 * i] << 4 | codes[2 * i + 1]);
    return data;
}

}  // namespace

TEST_CASE("the codebook and its boundaries are bitsandbytes'", "[linear][nf4]") {
    const auto tables = golden::read_json("nf4_tables.json");
    CHECK(same_bits(nullm::nf4_codebook, golden::floats_of(tables["nf4"])));
    CHECK(same_bits(nullm::nf4_boundaries, golden::floats_of(tables["bound_cpu"])));
}

TEST_CASE("the integer codebooks are the values times their scale, rounded", "[linear][nf4]") {
    using wide = nullm::nf4_integers<std::int16_t>;
    using narrow = nullm::nf4_integers<std::int8_t>;
    for (std::size_t i = 0; i < 16; ++i) {
        CHECK(wide::codes[i] == std::lround(nullm::nf4_codebook[i] * wide::scale));
        CHECK(narrow::codes[i] == std::lround(nullm::nf4_codebook[i] * narrow::scale));
        // A dot product of 32 with 16-bit activations fits in 32 bits.
        CHECK(std::int64_t{32} * std::abs(wide::codes[i]) * 32767 < std::int64_t{1} << 31);
    }
}

TEST_CASE("encoding and decoding equal bitsandbytes bit for bit", "[linear][nf4]") {
    const golden::tensors file("nf4_fixtures.safetensors");
    thread_pool pool(2);
    for (const std::string name : arrays) {
        const auto w = file.read<float>(name + ".w");
        const auto packed = file.read<std::byte>(name + ".packed");
        const auto absmax = file.read<float>(name + ".absmax");
        for (const isa level : all_levels) {
            CAPTURE(name, name_of(level));
            const auto data = nullm::nf4_encode(w, block_of(file, name), pool, level);
            CHECK(data.packed == packed);
            CHECK(same_bits(data.absmax, absmax));
            CHECK(same_bits(decoded(data.view(), pool), file.read<float>(name + ".dequant")));
        }
    }
}

TEST_CASE("double quantisation equals bitsandbytes bit for bit, given its offset", "[linear][nf4]") {
    const golden::tensors file("nf4_fixtures.safetensors");
    thread_pool pool(1);
    for (const std::string name : arrays) {
        CAPTURE(name);
        const auto w = file.read<float>(name + ".w");
        const std::size_t block = block_of(file, name);
        const float offset = file.read<float>(name + ".nested_offset")[0];
        const auto data = nullm::nf4_encode_nested(w, block, pool, offset);
        CHECK(data.packed == file.read<std::byte>(name + ".packed"));
        CHECK(data.absmax.codes == file.read<std::byte>(name + ".absmax_u8"));
        CHECK(same_bits(data.absmax.absmax, file.read<float>(name + ".nested_absmax")));
        const auto plain = nullm::nf4_unnest(data);
        CHECK(same_bits(plain.absmax, file.read<float>(name + ".absmax_from_nested")));
        CHECK(same_bits(decoded(plain.view(), pool), file.read<float>(name + ".dequant_nested")));
        // The default offset is theirs but for the order of a float sum: at most sqrt(blocks) roundings here.
        const auto free = nullm::nf4_encode_nested(w, block, pool);
        CHECK(free.offset == Approx(offset).epsilon(1e-6));
        CHECK(free.packed == data.packed);
    }
}

TEST_CASE("the edge cases of bitsandbytes are kept", "[linear][nf4]") {
    thread_pool pool(2);
    const auto cases = golden::read_json("nf4_edge.json");
    CHECK(cases.size() == 26);
    for (const auto& edge : cases) {
        const auto w = golden::floats_of(edge["input"]);
        for (const isa level : all_levels) {
            CAPTURE(edge["name"].get<std::string>(), name_of(level));
            const auto data = nullm::nf4_encode(w, edge["blocksize"].get<std::size_t>(), pool, level);
            CHECK(data.packed == golden::bytes_of(edge["packed"].get<std::string>()));
            CHECK(same_floats(data.absmax, golden::floats_of(edge["absmax"])));
            CHECK(same_floats(decoded(data.view(), pool), golden::floats_of(edge["dequant_rule"])));
        }
    }
}

TEST_CASE("every instruction set and thread count encodes what the definition says", "[linear][nf4]") {
    thread_pool one(1);
    thread_pool three(3);
    for (std::size_t block = 32; block <= 4096; block *= 2) {
        for (const std::size_t n : {std::size_t{0}, std::size_t{1}, block - 1, block, block + 1,
                                    3 * block + 17, std::size_t{140001}}) {
            generator random(block + n);
            std::vector<float> w(n);
            for (auto& v : w) v = random.normal();
            if (n > 40) {  // magnitudes far apart, zeros, and what is not finite
                for (std::size_t i = n / 2; i < std::min(n, n / 2 + block); ++i) w[i] *= 1e-38F;
                w[n / 3] = std::numeric_limits<float>::infinity();
                w[n / 5] = std::numeric_limits<float>::quiet_NaN();
                w[7] = -0.0F;
            }
            const auto expected = by_definition(w, block);
            for (const isa level : all_levels) {
                CAPTURE(block, n, name_of(level));
                const auto data = nullm::nf4_encode(w, block, n % 2 == 0 ? one : three, level);
                REQUIRE(same(data, expected));
                REQUIRE(same(nullm::nf4_encode(w, block, three, level), expected));
            }
        }
    }
}

TEST_CASE("values within rounding of a boundary fall to the right side, in whole blocks and the last",
          "[linear][nf4]") {
    // Whole blocks multiply by a rounded inverse, a last block that is not full divides: here they differ.
    thread_pool pool(1);
    generator random(7);
    std::size_t differ = 0;
    for (int i = 0; i < 200; ++i) {
        std::vector<float> w(32 + 31);
        const float largest = random.uniform(1.0F, 2.0F);
        w[0] = w[32] = largest;
        for (std::size_t k = 1; k < 31; ++k) {
            float v = nullm::nf4_boundaries[k % 15] * largest;
            for (std::uint32_t ulps = random.bits() % 4; ulps > 0; --ulps)
                v = std::nextafter(v, k < 15 ? 4.0F : -4.0F);
            w[k] = w[32 + k] = v;
            differ += (v * (1.0F / largest) <= nullm::nf4_boundaries[k % 15]) !=
                      (v / largest <= nullm::nf4_boundaries[k % 15]);
        }
        const auto expected = by_definition(w, 32);
        for (const isa level : all_levels) REQUIRE(same(nullm::nf4_encode(w, 32, pool, level), expected));
    }
    CHECK(differ > 100);
}

TEST_CASE("any 32-bit pattern is encoded alike by every instruction set", "[linear][nf4]") {
    thread_pool pool(1);
    generator random(99);
    std::vector<float> w(1 << 16);
    for (std::size_t i = 0; i < w.size(); ++i) {
        std::uint32_t bits = random.bits();
        if (i % 2048 != 0) bits &= 0xBFFFFFFFU;  // few NaN and infinities: they leave nothing to compare
        std::memcpy(&w[i], &bits, 4);
    }
    const auto expected = by_definition(w, 64);
    for (const isa level : all_levels) REQUIRE(same(nullm::nf4_encode(w, 64, pool, level), expected));
}

TEST_CASE("a tensor of any format is encoded as the flat array of its rows", "[linear][nf4]") {
    thread_pool one(1);
    thread_pool two(2);
    for (const auto type : all_types) {
        for (const std::size_t cols : {32, 96, 288}) {
            for (const std::size_t rows : {0, 1, 33, 700}) {
                CAPTURE(name_of(type), rows, cols);
                const auto tensor = random_tensor(type, rows, cols, rows + cols);
                for (const std::size_t block : {64, 1024}) {
                    const auto expected = nullm::nf4_encode(dequantized(tensor.view()), block, one);
                    REQUIRE(same(nullm::nf4_encode(tensor.view(), block, two), expected));
                }
            }
        }
    }
    const auto odd = random_tensor(nullm::tensor_type::f32, 2100, 67, 1);  // blocks straddle rows and ranges
    REQUIRE(
        same(nullm::nf4_encode(odd.view(), 64, two), nullm::nf4_encode(dequantized(odd.view()), 64, one)));
    const auto wide = random_tensor(nullm::tensor_type::f32, 1, 200003, 1);
    REQUIRE(same(nullm::nf4_encode(wide.view(), 128, two),
                 nullm::nf4_encode(dequantized(wide.view()), 128, one)));
}

TEST_CASE("block sizes and lengths that do not fit are refused", "[linear][nf4]") {
    thread_pool pool(1);
    const std::vector<float> w(100, 1.0F);
    std::vector<float> out(100);
    for (const std::size_t block : {0, 1, 16, 48, 65, 8192}) {
        CHECK_THROWS_AS(nullm::nf4_encode(w, block, pool), nullm::error);
        auto data = nullm::nf4_encode(w, 64, pool);
        data.block = block;
        CHECK_THROWS_AS(nullm::nf4_decode(data.view(), out, pool), nullm::error);
    }
    const auto data = nullm::nf4_encode(w, 64, pool);
    CHECK(data.packed.size() == 50);
    CHECK(data.absmax.size() == 2);
    auto view = data.view();
    view.packed = view.packed.first(49);
    CHECK_THROWS_AS(nullm::nf4_decode(view, out, pool), nullm::error);
    view = data.view();
    view.absmax = view.absmax.first(1);
    CHECK_THROWS_AS(nullm::nf4_decode(view, out, pool), nullm::error);
    view = data.view();
    view.elements = std::numeric_limits<std::size_t>::max();  // halves and blocks round up without overflow
    CHECK_THROWS_AS(nullm::nf4_decode(view, out, pool), nullm::error);
    CHECK_THROWS_AS(nullm::nf4_decode(data.view(), std::span(out).first(99), pool), nullm::error);
    auto tensor = random_tensor(nullm::tensor_type::q4_0, 4, 64, 1);
    auto hostile = tensor.view();
    hostile.rows = std::numeric_limits<std::size_t>::max() / 18;
    CHECK_THROWS_AS(nullm::nf4_encode(hostile, 64, pool), nullm::error);
    auto nested = nullm::nf4_encode_nested(w, 64, pool);
    nested.elements = 300;
    CHECK_THROWS_AS(nullm::nf4_unnest(nested), nullm::error);
    nested.absmax.codes.resize(300);
    CHECK_THROWS_AS(nullm::nf4_unnest(nested), nullm::error);
    auto bad = w;
    bad[3] = std::numeric_limits<float>::infinity();
    CHECK_THROWS_AS(nullm::nf4_encode_nested(bad, 64, pool), nullm::error);
}
