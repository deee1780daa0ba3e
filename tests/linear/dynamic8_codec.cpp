#include <nullm/linear/dynamic8_codec.hpp>

#include "same_floats.hpp"

#include <support/catch.hpp>
#include <support/golden.hpp>
#include <support/golden_tensors.hpp>

#include <cmath>
#include <limits>
#include <vector>

using namespace tensors;

namespace {

std::vector<unsigned> numbers(const nullm::dynamic8_data& data) {
    std::vector<unsigned> codes;
    for (const std::byte c : data.codes) codes.push_back(std::to_integer<unsigned>(c));
    return codes;
}

}  // namespace

TEST_CASE("the dynamic map is bitsandbytes'", "[linear][nf4]") {
    const auto tables = golden::read_json("nf4_tables.json");
    const auto map = nullm::dynamic8_map();
    CHECK(same_bits(map, golden::floats_of(tables["dynamic_map"])));
    CHECK(map[127] == 0.0F);
    CHECK(map[255] == 1.0F);
}

TEST_CASE("8-bit codes, scales and decoded numbers equal bitsandbytes bit for bit", "[linear][nf4]") {
    const nullm::dynamic8_encoder encoder;
    for (const auto& edge : golden::read_json("nf4_dynamic8.json")) {
        CAPTURE(edge["name"].get<std::string>());
        const auto data = encoder.encode(golden::floats_of(edge["input"]));
        CHECK(numbers(data) == edge["q"].get<std::vector<unsigned>>());
        CHECK(same_bits(data.absmax, golden::floats_of(edge["absmax"])));
        std::vector<float> out(data.codes.size());
        nullm::dynamic8_decode(data.view(), -0.0F, out);  // adds nothing, not even to -0
        CHECK(same_bits(out, golden::floats_of(edge["dequant"])));
    }
}

TEST_CASE("the encoder's table steps where bitsandbytes' does", "[linear][nf4]") {
    const auto changes = golden::read_json("nf4_tables.json")["lut8_changes"];
    std::vector<unsigned> table(65536);
    for (std::size_t i = 0; i < changes.size(); ++i) {
        const auto from = changes[i][0].get<std::size_t>();
        const auto to = i + 1 < changes.size() ? changes[i + 1][0].get<std::size_t>() : table.size();
        std::fill(table.begin() + static_cast<std::ptrdiff_t>(from),
                  table.begin() + static_cast<std::ptrdiff_t>(to), changes[i][1].get<unsigned>());
    }
    // The numbers around every step, and between: in a block whose largest is 1 nothing else is rounded.
    std::vector<float> x = {1.0F};
    for (std::size_t k = 0; k < table.size(); ++k) {
        const bool step = k > 0 && table[k] != table[k - 1];
        float v = static_cast<float>((static_cast<double>(k) - 0.5) / 65535.0 * 2.0 - 1.0);
        for (int i = 0; i < 20; ++i) v = std::nextafter(v, -2.0F);
        for (int i = 0; i < (step ? 40 : 1); ++i, v = std::nextafter(v, 2.0F))
            x.push_back(std::max(v, -1.0F));
    }
    std::size_t block = 1;
    while (block < x.size()) block *= 2;
    const auto codes = numbers(nullm::dynamic8_encoder().encode(x, block));
    for (std::size_t i = 0; i < x.size(); ++i) {
        const float half = (x[i] + 1.0F) * 0.5F;
        // Exact in double, so rounded once: what a fused multiply-add gives.
        const auto index =
            static_cast<std::size_t>(static_cast<float>(static_cast<double>(half) * 65535.0 + 0.5));
        if (codes[i] != table[index]) FAIL(x[i] << " became " << codes[i] << ", not " << table[index]);
    }
}

TEST_CASE("numbers too small to invert are encoded without a trap", "[linear][nf4]") {
    const std::vector<float> x = {1e-45F, -1e-45F, 0.0F, 2e-39F};
    const auto data = nullm::dynamic8_encoder().encode(x);
    CHECK(numbers(data) == std::vector<unsigned>{255, 0, 0, 255});
    CHECK(data.absmax == std::vector<float>{2e-39F});
}

TEST_CASE("8-bit sizes that do not fit, and numbers that are not finite, are refused", "[linear][nf4]") {
    const nullm::dynamic8_encoder encoder;
    std::vector<float> x(300, 0.5F);
    std::vector<float> out(300);
    auto data = encoder.encode(x);
    CHECK(data.absmax.size() == 2);
    nullm::dynamic8_decode(data.view(), 0.25F, out);
    CHECK(out[299] == 0.75F);
    CHECK_THROWS_AS(nullm::dynamic8_decode(data.view(), 0.0F, std::span(out).first(299)), nullm::error);
    auto view = data.view();
    view.map = view.map.first(255);
    CHECK_THROWS_AS(nullm::dynamic8_decode(view, 0.0F, out), nullm::error);
    view = data.view();
    view.absmax = view.absmax.first(1);
    CHECK_THROWS_AS(nullm::dynamic8_decode(view, 0.0F, out), nullm::error);
    view = data.view();
    view.block = 0;
    CHECK_THROWS_AS(nullm::dynamic8_decode(view, 0.0F, out), nullm::error);
    CHECK_THROWS_AS(encoder.encode(x, 100), nullm::error);
    for (const float bad :
         {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
        x[270] = bad;
        CHECK_THROWS_AS(encoder.encode(x), nullm::error);
    }
}
