// The test-only makers of model files are held to their word here, since other tests build on them.

#include <nullm/core/half.hpp>
#include <support/catch.hpp>
#include <support/synthetic_checkpoint.hpp>

#include <cmath>
#include <cstring>
#include <set>

using nullm::tensor_type;
using support::bytes;

namespace {

float half_at(const std::byte* at) {
    nullm::f16 value;
    std::memcpy(&value.bits, at, 2);
    return nullm::to_float(value);
}

/// Element i of a block and the distance between neighbouring codes.
std::pair<float, float> decoded(tensor_type type, const std::byte* block, std::size_t i) {
    const float d = half_at(block);
    const auto nibble = [&](std::size_t header) {
        const auto byte = std::to_integer<unsigned>(block[header + i % 16]);
        return static_cast<float>(i < 16 ? byte & 15U : byte >> 4);
    };
    if (type == tensor_type::q8_0) {
        return {
            d * static_cast<float>(static_cast<signed char>(std::to_integer<unsigned char>(block[2 + i]))),
            d};
    }
    if (type == tensor_type::q4_0) return {d * (nibble(2) - 8), d};
    return {d * nibble(4) + half_at(block + 2), d};
}

std::uint64_t fnv1a(const bytes& content) {
    std::uint64_t hash = 0xcbf29ce484222325U;
    for (const std::byte b : content) hash = (hash ^ std::to_integer<std::uint64_t>(b)) * 0x100000001b3U;
    return hash;
}

}  // namespace

TEST_CASE("quantised blocks hold the nearest codes", "[support]") {
    const auto values = support::synthetic_normal(7, 0, 32 * 500, 0.3F);
    for (const auto type : {tensor_type::q4_0, tensor_type::q4_1, tensor_type::q8_0}) {
        const bytes data = support::encode(type, values);
        REQUIRE(data.size() == 500 * nullm::block_bytes(type));
        for (std::size_t i = 0; i < values.size(); ++i) {
            const auto [value, step] = decoded(type, data.data() + i / 32 * nullm::block_bytes(type), i % 32);
            // Half a step, or for Q4_0 one step at the positive end, which has 7 codes where the other has 8.
            // The scale's own rounding to f16 (2^-11 of it) adds at most 127 * 2^-11 of a step.
            const float bound = std::fabs(step) * ((type == tensor_type::q4_0 ? 1.0F : 0.5F) + 127.0F / 2048);
            REQUIRE(std::fabs(value - values[i]) <= bound);
        }
    }
}

TEST_CASE("the synthetic draws have mean 0 and the asked deviation", "[support]") {
    const std::size_t count = 100000;
    double sum = 0;
    double squares = 0;
    for (const float x : support::synthetic_normal(3, 1, count, 2.0F)) {
        sum += x;
        squares += static_cast<double>(x) * x;
    }
    // Five standard errors: 2 / sqrt(n) for the mean, about 4 * sqrt(2 / n) for the variance.
    REQUIRE(std::fabs(sum / count) < 5 * 2 / std::sqrt(1e5));
    REQUIRE(std::fabs(squares / count - 4) < 5 * 4 * std::sqrt(2 / 1e5));
}

TEST_CASE("a synthetic file is a function of its spec on every compiler", "[support]") {
    REQUIRE(support::synthetic_checkpoint({}) == support::synthetic_checkpoint({}));
    support::synthetic_spec other;
    other.seed = 2;
    REQUIRE(support::synthetic_checkpoint({}) != support::synthetic_checkpoint(other));
    REQUIRE(fnv1a(support::synthetic_checkpoint({})) == 0xc9f8c42d87c75c3fU);
    REQUIRE(fnv1a(support::synthetic_checkpoint(support::odd_spec())) == 0x0e2f6744fb40e67cU);
}

TEST_CASE("a synthetic vocabulary has unique tokens, and every merge makes one of them", "[support]") {
    support::synthetic_spec spec;
    spec.vocabulary = 2500;
    const auto vocabulary = support::synthetic_vocabulary(spec);
    REQUIRE(vocabulary.tokens.size() == 2500);
    REQUIRE(vocabulary.token_types.size() == 2500);
    const std::set<std::string> tokens(vocabulary.tokens.begin(), vocabulary.tokens.end());
    REQUIRE(tokens.size() == 2500);
    for (const auto& merge : vocabulary.merges) {
        const auto space = merge.find(' ');
        REQUIRE(tokens.contains(merge.substr(0, space)));
        REQUIRE(tokens.contains(merge.substr(space + 1)));
        REQUIRE(tokens.contains(merge.substr(0, space) + merge.substr(space + 1)));
    }
    REQUIRE(support::byte_character(' ') == "\xC4\xA0");
    REQUIRE(support::byte_character('\n') == "\xC4\x8A");
    REQUIRE(support::byte_character('A') == "A");
    REQUIRE(support::byte_character(0xFF) == "\xC3\xBF");
    REQUIRE(support::byte_character(0xAD) == "\xC5\x83");
}
