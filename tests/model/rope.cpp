#include <nullm/model/rope.hpp>

#include <model/random_values.hpp>
#include <support/catch.hpp>

#include <cmath>
#include <vector>

using model_test::random_values;

namespace {

std::vector<float> rotated(const nullm::rope& rope, std::vector<float> x, std::size_t head_size,
                           std::size_t position, nullm::isa level = nullm::active_isa()) {
    std::vector<float> cosine(rope.size());
    std::vector<float> sine(rope.size());
    rope.angles(position, cosine, sine);
    rope.rotate(x, head_size, cosine, sine, level);
    return x;
}

}  // namespace

TEST_CASE("rope turns neighbouring elements by position times frequency", "[model]") {
    const std::size_t head_size = 12;
    const nullm::rope rope(8, 10000);
    const auto x = random_values(3 * head_size, 1);
    const auto y = rotated(rope, x, head_size, 5);
    for (std::size_t head = 0; head < 3; ++head) {
        for (std::size_t i = 0; i < head_size; ++i) {
            const std::size_t at = head * head_size + i;
            if (i >= 8) {
                CHECK(y[at] == x[at]);  // past the rotated part
                continue;
            }
            const double angle = 5 * std::pow(10000.0, -static_cast<double>(i / 2 * 2) / 8);
            const double a = x[at / 2 * 2];
            const double b = x[at / 2 * 2 + 1];
            const double expected = i % 2 == 0 ? a * std::cos(angle) - b * std::sin(angle)
                                               : a * std::sin(angle) + b * std::cos(angle);
            // Four roundings, each of at most |a| + |b|.
            CHECK(std::fabs(y[at] - expected) <= 4 * std::ldexp(1.0, -24) * (std::fabs(a) + std::fabs(b)));
        }
    }
}

TEST_CASE("position 0 turns nothing", "[model]") {
    const auto x = random_values(64, 2);
    CHECK(rotated(nullm::rope(64, 100000), x, 64, 0) == x);
}

TEST_CASE("the product of rotated vectors depends on their distance alone", "[model]") {
    const nullm::rope rope(64, 10000);
    const auto q = random_values(64, 3);
    const auto k = random_values(64, 4);
    const auto product = [&](std::size_t a, std::size_t b) {
        const auto x = rotated(rope, q, 64, a);
        const auto y = rotated(rope, k, 64, b);
        double sum = 0;
        for (std::size_t i = 0; i < 64; ++i) sum += static_cast<double>(x[i]) * y[i];
        return sum;
    };
    // 64 products of magnitude below 10, each with six roundings.
    CHECK(product(9, 2) == Approx(product(8007, 8000)).margin(64 * 10 * 6 * std::ldexp(1.0, -24)));
}

TEST_CASE("rope gives the same bits on every instruction set", "[model]") {
    for (const std::size_t head_size : {2, 10, 16, 18, 20, 64, 80}) {
        for (const std::size_t size : {head_size, head_size / 4 * 2}) {
            if (size == 0) continue;
            const nullm::rope rope(size, 10000);
            const auto x = random_values(2 * head_size, 5);
            const auto expected = rotated(rope, x, head_size, 77, nullm::isa::scalar);
            for (const nullm::isa level : {nullm::isa::avx2, nullm::isa::avx512}) {
                if (level > nullm::detected_isa()) continue;
                CHECK(rotated(rope, x, head_size, 77, level) == expected);
            }
        }
    }
}
