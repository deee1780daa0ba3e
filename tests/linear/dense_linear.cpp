#include <nullm/linear/dense_linear.hpp>

#include "same_floats.hpp"
#include "tensors.hpp"

#include <support/catch.hpp>

#include <limits>
#include <type_traits>

using namespace tensors;
using nullm::bf16;
using nullm::dense_linear;
using nullm::isa;
using nullm::matrix_view;
using nullm::tensor_type;
using nullm::tensor_view;
using nullm::thread_pool;

namespace {

template <class L>
std::vector<float> product(const L& linear, const std::vector<float>& x, thread_pool& pool) {
    const std::size_t m = x.size() / linear.in();
    typename L::input input;
    input.assign({x.data(), m, linear.in()}, pool);
    std::vector<float> y(m * linear.out(), -7.0F);
    linear.apply(input, matrix_view<float>(y.data(), m, linear.out()), pool);
    return y;
}

std::vector<std::size_t> widths_of(tensor_type type) {
    if (is_quantized(type)) return {32, 96, 576};
    return {1, 7, 33, 100, 576};
}

}  // namespace

TEMPLATE_TEST_CASE("a dense matrix is within rounding of a double product", "[linear]", float, bf16) {
    thread_pool pool(2);
    for (const tensor_type type : all_types) {
        for (const std::size_t cols : widths_of(type)) {
            for (const std::size_t rows : {1, 16, 33}) {
                CAPTURE(name_of(type), rows, cols);
                const auto tensor = random_tensor(type, rows, cols, rows + cols);
                auto w = dequantized(tensor.view());
                for (float& v : w) v = nullm::to_float(nullm::from_float<TestType>(v));  // rounded as stored
                const auto x = random_rows(5, cols, cols);
                const auto linear = dense_linear<TestType>::from(std::vector{tensor.view()}, pool);
                REQUIRE(linear.in() == cols);
                REQUIRE(linear.out() == rows);
                const auto y = product(linear, x, pool);
                // Each chain rounds once a product, ceil(cols / 4) times; then two additions. One more for
                // the double reference and the second-order terms.
                const double roundings = static_cast<double>((cols + 3) / 4 + 3);
                for (std::size_t i = 0; i < y.size(); ++i) {
                    double exact = 0, magnitude = 0;
                    for (std::size_t k = 0; k < cols; ++k) {
                        const double p = static_cast<double>(w[i % rows * cols + k]) * x[i / rows * cols + k];
                        exact += p;
                        magnitude += std::fabs(p);
                    }
                    REQUIRE(std::fabs(y[i] - exact) <= roundings * 0x1p-24 * magnitude);
                }
            }
        }
    }
}

TEMPLATE_TEST_CASE("a one-hot row reads a column of the converted weights", "[linear]", float, bf16) {
    thread_pool pool(1);
    const auto tensor = random_tensor(tensor_type::q4_1, 33, 64, 5);
    const auto w = dequantized(tensor.view());
    std::vector<float> x(64 * 64);
    for (std::size_t k = 0; k < 64; ++k) x[k * 64 + k] = 1.0F;
    const auto y = product(dense_linear<TestType>::from(std::vector{tensor.view()}, pool), x, pool);
    for (std::size_t k = 0; k < 64; ++k) {
        for (std::size_t n = 0; n < 33; ++n)
            REQUIRE(y[k * 33 + n] == nullm::to_float(nullm::from_float<TestType>(w[n * 64 + k])));
    }
}

TEMPLATE_TEST_CASE("dense products are the same bits on every instruction set, batch and thread count",
                   "[linear]", float, bf16) {
    thread_pool one(1);
    thread_pool two(2);
    for (const std::size_t cols : {1, 33, 100, 288}) {
        const auto tensor = random_tensor(tensor_type::f32, 33, cols, cols);
        const auto x = random_rows(33, cols, 1);
        const auto scalar = dense_linear<TestType>::from(std::vector{tensor.view()}, one, isa::scalar);
        const auto expected = product(scalar, x, one);
        for (const isa level : {isa::scalar, isa::avx2, isa::avx512, isa::vnni}) {
            const auto linear = dense_linear<TestType>::from(std::vector{tensor.view()}, two, level);
            for (const std::size_t m : {1, 2, 16, 33}) {
                CAPTURE(cols, name_of(level), m);
                const std::vector<float> batch(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(m * cols));
                REQUIRE(
                    same_bits(product(linear, batch, m == 2 ? one : two), std::span(expected).first(m * 33)));
            }
        }
    }
}

TEST_CASE("stacked dense matrices follow one another, in an arena too", "[linear]") {
    thread_pool pool(2);
    const auto a = random_tensor(tensor_type::q8_0, 17, 64, 1);
    const auto b = random_tensor(tensor_type::f16, 20, 64, 2);
    const auto x = random_rows(4, 64, 3);
    nullm::weight_arena arena;
    const auto both = dense_linear<bf16>::from(std::vector{a.view(), b.view()}, pool, arena);
    CHECK(both.out() == 37);
    CHECK(both.reads_floats());
    CHECK(both.bytes() == 4 * 16 * 64 * 2);
    const auto y = product(both, x, pool);
    const auto first = product(dense_linear<bf16>::from(std::vector{a.view()}, pool), x, pool);
    const auto second = product(dense_linear<bf16>::from(std::vector{b.view()}, pool), x, pool);
    for (std::size_t i = 0; i < 4; ++i) {
        CHECK(same_bits(std::span(y).subspan(i * 37, 17), std::span(first).subspan(i * 17, 17)));
        CHECK(same_bits(std::span(y).subspan(i * 37 + 17, 20), std::span(second).subspan(i * 20, 20)));
    }
}

TEST_CASE("tensors and buffers that do not fit a dense matrix are refused", "[linear]") {
    thread_pool pool(1);
    using linear_type = dense_linear<float>;
    const auto a = random_tensor(tensor_type::q4_0, 16, 64, 1);
    const auto b = random_tensor(tensor_type::q4_0, 16, 96, 1);
    CHECK_THROWS_AS(linear_type::from({}, pool), nullm::error);
    CHECK_THROWS_AS(linear_type::from(std::vector{a.view(), b.view()}, pool), nullm::error);
    auto view = a.view();
    view.bytes = view.bytes.first(view.bytes.size() - 1);
    CHECK_THROWS_AS(linear_type::from(std::vector{view}, pool), nullm::error);
    view = a.view();
    view.rows = std::numeric_limits<std::size_t>::max() / 18;
    CHECK_THROWS_AS(linear_type::from(std::vector{view}, pool), nullm::error);
    const auto linear = linear_type::from(std::vector{a.view()}, pool);
    linear_type::input input;
    const std::vector<float> x(96 * 2);
    std::vector<float> y(64);
    input.assign({x.data(), 2, 96}, pool);
    CHECK_THROWS_AS(linear.apply(input, matrix_view<float>(y.data(), 2, 16), pool), nullm::error);
    input.assign({x.data(), 2, 64}, pool);
    CHECK_THROWS_AS(linear.apply(input, matrix_view<float>(y.data(), 2, 17), pool), nullm::error);
    CHECK_NOTHROW(linear.apply(input, matrix_view<float>(y.data(), 2, 16), pool));
}
