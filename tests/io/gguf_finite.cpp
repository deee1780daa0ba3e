#include "refusal.hpp"

#include <nullm/io/gguf_finite.hpp>
#include <support/catch.hpp>
#include <support/gguf_writer.hpp>

#include <cstring>

using nullm::tensor_type;
using support::bytes;
using support::contains;
using support::refusal;

namespace {

constexpr std::size_t rows = 700;
constexpr std::size_t cols = 96;

nullm::tensor_view view_of(tensor_type type, const bytes& data) {
    return {"t", type, rows, cols, data};
}

bytes honest(tensor_type type) {
    std::vector<float> values(rows * cols);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 37) - 18;
    return support::encode(type, values);
}

void verify(tensor_type type, const bytes& data, nullm::thread_pool& pool) {
    const nullm::tensor_view view = view_of(type, data);
    nullm::verify_finite({&view, 1}, pool);
}

/// Offsets of the 16- or 32-bit floats in a block.
std::vector<std::size_t> scales(tensor_type type) {
    return type == tensor_type::q4_1 ? std::vector<std::size_t>{0, 2} : std::vector<std::size_t>{0};
}

}  // namespace

TEST_CASE("finite weights pass, the first infinity or NaN is named by row and byte", "[io]") {
    nullm::thread_pool pool(2);
    for (const auto type : {tensor_type::f32, tensor_type::f16, tensor_type::bf16, tensor_type::q4_0,
                            tensor_type::q4_1, tensor_type::q8_0}) {
        const bytes good = honest(type);
        REQUIRE_NOTHROW(verify(type, good, pool));
        const std::size_t size = nullm::block_bytes(type);
        const std::size_t blocks = good.size() / size;
        for (const std::size_t block : {std::size_t{0}, blocks / 2, blocks - 1}) {
            for (const std::size_t within : scales(type)) {
                bytes bad = good;
                const auto put = [&](std::size_t b, bool infinity) {
                    if (type == tensor_type::f32) {
                        const std::uint32_t bits = infinity ? 0xFF800000U : 0x7FC00000U;
                        std::memcpy(bad.data() + b * size, &bits, 4);
                    } else {
                        const bool wide = type == tensor_type::bf16;
                        const std::uint16_t bits =
                            infinity ? (wide ? 0xFF80 : 0xFC00) : (wide ? 0x7FC0 : 0x7E00);
                        std::memcpy(bad.data() + b * size + within, &bits, 2);
                    }
                };
                put(block, true);
                if (block + 1 < blocks)
                    put(blocks - 1, false);  // a later one, which must not be the one named
                const std::size_t row = block * size / (good.size() / rows);
                const std::string place = "tensor \"t\", row " + std::to_string(row) + ", byte " +
                                          std::to_string(block * size) + ":";
                const auto sentence = refusal([&] { verify(type, bad, pool); });
                REQUIRE(contains(sentence, place));
                REQUIRE(contains(sentence, "expected finite weights"));
                REQUIRE(refusal([&] { nullm::verify_finite(view_of(type, bad)); }) == sentence);
            }
        }
    }
}

TEST_CASE("codes that look like an infinite scale are not taken for one", "[io]") {
    bytes data = honest(tensor_type::q8_0);
    for (std::size_t block = 0; block < data.size() / 34; ++block) {
        for (std::size_t i = 2; i < 34; ++i) data[block * 34 + i] = std::byte{0x7C};
    }
    REQUIRE_NOTHROW(nullm::verify_finite(view_of(tensor_type::q8_0, data)));
}

TEST_CASE("of several bad tensors the first in the file is named", "[io]") {
    nullm::thread_pool pool(3);
    const bytes good = honest(tensor_type::f32);
    bytes bad = good;
    const std::uint32_t infinity = 0x7F800000U;
    std::memcpy(bad.data() + bad.size() - 4, &infinity, 4);
    std::vector<nullm::tensor_view> tensors(20, view_of(tensor_type::f32, good));
    for (std::size_t i = 7; i < tensors.size(); ++i) tensors[i].bytes = bad;
    const std::vector<std::string> names = {"ok", "first", "later"};
    for (std::size_t i = 0; i < tensors.size(); ++i) tensors[i].name = names[i < 7 ? 0 : i == 7 ? 1 : 2];
    for (int repeat = 0; repeat < 50; ++repeat) {
        REQUIRE(contains(refusal([&] { nullm::verify_finite(tensors, pool, "m.gguf: "); }),
                         "m.gguf: tensor \"first\", row 699, byte 268796: expected finite weights"));
    }
}
