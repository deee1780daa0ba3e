#include <nullm/linear/prepared_rows.hpp>

#include "tensors.hpp"

#include <support/catch.hpp>

#include <limits>

using namespace tensors;
using nullm::isa;

namespace {

/// Position of element e of a block among its stored codes.
template <class Code>
std::size_t stored_at(std::size_t e) {
    constexpr std::size_t order[] = {0, 2, 1, 3};
    return sizeof(Code) == 1 ? e : e / 4 * 4 + order[e % 4];
}

}  // namespace

TEMPLATE_TEST_CASE("a block's scale, codes and sums are what their definition says", "[linear]", nullm::i16,
                   nullm::i8) {
    using code = typename TestType::code;
    nullm::thread_pool pool(1);
    for (const std::size_t cols : {1, 31, 32, 33, 64, 100, 530, 1040}) {
        for (const std::size_t m : {1, 7, 8, 9, 20}) {
            const auto x = random_rows(m, cols, m * cols);
            nullm::prepared_rows<TestType> rows;
            rows.level = isa::scalar;
            rows.assign({x.data(), m, cols}, pool);
            for (std::size_t i = 0; i < m; ++i) {
                const std::size_t in_panel = nullm::rows_in_panel(i / 8, m);
                for (std::size_t b = 0; b < rows.blocks(); ++b) {
                    const auto& block = rows.codes(i / 8)[b * in_panel + i % 8];
                    const auto& copy = rows.floats(i / 8)[b * in_panel + i % 8];
                    float largest = 0;
                    int sum = 0;
                    for (std::size_t e = 0; e < 32; ++e) {
                        const float v = b * 32 + e < cols ? x[i * cols + b * 32 + e] : 0.0F;
                        REQUIRE(copy.values[e] == v);
                        largest = std::max(largest, std::fabs(v));
                        sum += block.codes[e];
                    }
                    REQUIRE(block.scale == largest / TestType::max_code);
                    REQUIRE(block.minus_8_sum == -8 * sum);
                    REQUIRE(block.minus_128_sum == -128 * sum);
                    REQUIRE(block.scaled_sum == block.scale * static_cast<float>(sum));
                    int most = 0;
                    for (std::size_t e = 0; e < 32; ++e) {
                        const float v = copy.values[e];
                        const code c = block.codes[stored_at<code>(e)];
                        most = std::max(most, std::abs(c));
                        // Half a step, and the roundings of scale, inverse and product (three, of max_code at
                        // most).
                        REQUIRE(std::fabs(static_cast<double>(block.scale) * c - v) <=
                                block.scale * (0.5 + 4 * 0x1p-24 * TestType::max_code));
                    }
                    if (largest > 0) REQUIRE(most == TestType::max_code);
                }
            }
        }
    }
}

TEMPLATE_TEST_CASE("every instruction set and thread count prepares the same bytes", "[linear]", nullm::i16,
                   nullm::i8) {
    nullm::thread_pool one(1);
    nullm::thread_pool two(2);
    for (const std::size_t cols : {1, 15, 16, 17, 31, 33, 64, 100, 530, 576, 1040}) {
        for (const std::size_t m : {1, 5, 17, 40}) {
            auto x = random_rows(m, cols, m + cols);
            x[x.size() / 2] = std::numeric_limits<float>::infinity();
            for (std::size_t i = 0; i < x.size(); i += 5)
                x[i] = std::nearbyint(x[i]);  // exact ties and zeros
            nullm::prepared_rows<TestType> expected;
            expected.level = isa::scalar;
            expected.assign({x.data(), m, cols}, one);
            for (const isa level : {isa::avx2, isa::avx512, isa::vnni}) {
                if (level > nullm::detected_isa()) continue;
                nullm::prepared_rows<TestType> rows;
                rows.level = level;
                rows.assign({x.data(), m, cols}, m > 8 ? two : one);
                CAPTURE(name_of(level), cols, m);
                const std::size_t n = m * rows.blocks();
                REQUIRE(std::memcmp(rows.codes(0), expected.codes(0), n * sizeof(*rows.codes(0))) == 0);
                REQUIRE(std::memcmp(rows.floats(0), expected.floats(0), n * sizeof(nullm::float_block)) == 0);
            }
        }
    }
}

TEMPLATE_TEST_CASE("values that are not finite give a scale of NaN, tiny ones a scale of zero", "[linear]",
                   nullm::i16, nullm::i8) {
    nullm::thread_pool pool(1);
    // Twice the width of a piece, so that the second one has its own.
    const std::size_t piece = 512;
    std::vector<float> x(2 * piece, 1.0F);
    x[piece + 3] = x[3] = std::numeric_limits<float>::quiet_NaN();
    x[piece + 40] = x[40] = -std::numeric_limits<float>::infinity();
    for (std::size_t i = 64; i < 96; ++i) x[piece + i] = x[i] = 1e-38F;
    for (const isa level : {isa::scalar, nullm::detected_isa()}) {
        nullm::prepared_rows<TestType> rows;
        rows.level = level;
        rows.assign({x.data(), 1, 2 * piece}, pool);
        for (const std::size_t first : {std::size_t{0}, piece / 32}) {
            const auto* blocks = rows.codes(0) + first;
            CHECK(std::isnan(blocks[0].scale));
            CHECK(std::isnan(blocks[1].scale));
            CHECK(blocks[2].scale == 0.0F);
            CHECK(blocks[3].scale == 1.0F / TestType::max_code);
            for (const auto c : blocks[0].codes) CHECK(c == 0);
        }
    }
}

TEST_CASE("a warm input allocates nothing, and f32 keeps floats whatever is asked", "[linear]") {
    nullm::thread_pool pool(1);
    const auto x = random_rows(9, 64, 1);
    nullm::prepared_rows<nullm::f32> rows;
    rows.keep_floats = false;
    rows.assign({x.data(), 9, 64}, pool);
    CHECK(rows.has_floats());
    const auto* before = rows.floats(0);
    rows.assign({x.data(), 3, 64}, pool);
    CHECK(rows.floats(0) == before);
    rows.assign({x.data(), 9, 64}, pool);
    CHECK(rows.floats(0) == before);
}
