#include <nullm/linear/native_linear.hpp>
#include <nullm/linear/nf4_linear.hpp>

#include "nf4_tensor.hpp"
#include "tensors.hpp"

#include <support/catch.hpp>
#include <support/same_bits.hpp>

#include <limits>

using namespace tensors;
using nullm::isa;
using nullm::matrix_view;
using nullm::native_linear;
using nullm::tensor_type;
using nullm::tensor_view;
using nullm::thread_pool;
using support::same_bits;

static_assert(nullm::Linear<native_linear<nullm::f32>>);
static_assert(nullm::Linear<native_linear<nullm::i16>>);
static_assert(nullm::Linear<native_linear<nullm::i8>>);

namespace {

template <class A>
std::vector<float> product(std::span<const tensor_view> parts, const std::vector<float>& x, thread_pool& pool,
                           isa level = nullm::active_isa()) {
    const auto linear = native_linear<A>::from(parts, pool, level);
    const std::size_t m = x.size() / linear.in();
    typename native_linear<A>::input input;
    input.level = std::min(level, nullm::detected_isa());
    input.assign({x.data(), m, linear.in()}, pool);
    std::vector<float> y(m * linear.out(), -7.0F);
    linear.apply(input, matrix_view<float>(y.data(), m, linear.out()), pool);
    return y;
}

template <class A>
std::vector<float> product(const tensor_view& tensor, const std::vector<float>& x, thread_pool& pool,
                           isa level = nullm::active_isa()) {
    return product<A>(std::span(&tensor, 1), x, pool, level);
}

/// The product in double, and for each output the sum of |w x|, by which rounding errors are bounded.
struct reference {
    std::vector<double> y, magnitude;
};
reference exact_product(const tensor_view& tensor, const std::vector<float>& x) {
    const auto w = dequantized(tensor);
    const std::size_t m = x.size() / tensor.cols;
    reference r{std::vector<double>(m * tensor.rows), std::vector<double>(m * tensor.rows)};
    for (std::size_t i = 0; i < m; ++i) {
        for (std::size_t n = 0; n < tensor.rows; ++n) {
            for (std::size_t k = 0; k < tensor.cols; ++k) {
                const double p = static_cast<double>(w[n * tensor.cols + k]) * x[i * tensor.cols + k];
                r.y[i * tensor.rows + n] += p;
                r.magnitude[i * tensor.rows + n] += std::fabs(p);
            }
        }
    }
    return r;
}

double relative_rms(const std::vector<float>& y, const std::vector<double>& exact) {
    double error = 0, size = 0;
    for (std::size_t i = 0; i < y.size(); ++i) {
        error += (y[i] - exact[i]) * (y[i] - exact[i]);
        size += exact[i] * exact[i];
    }
    return std::sqrt(error / size);
}

constexpr std::size_t row_counts[] = {1, 15, 16, 17, 33, 100};
constexpr std::size_t batch_sizes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 64};

std::vector<std::size_t> widths_of(tensor_type type) {
    if (is_quantized(type)) return {32, 64, 96, 576, 1536};
    return {1, 7, 31, 32, 33, 64, 576, 1536};
}

}  // namespace

TEMPLATE_TEST_CASE("a one-hot row reads a column of the weights", "[linear]", nullm::f32, nullm::i16,
                   nullm::i8) {
    thread_pool pool(1);
    for (const tensor_type type : all_types) {
        const auto tensor = random_tensor(type, 33, 64, 5);
        const auto w = dequantized(tensor.view());
        std::vector<float> x(64 * 64);
        for (std::size_t k = 0; k < 64; ++k) x[k * 64 + k] = 1.0F;
        const auto y = product<TestType>(tensor.view(), x, pool);
        for (std::size_t k = 0; k < 64; ++k) {
            for (std::size_t n = 0; n < 33; ++n) {
                CAPTURE(name_of(type), k, n);
                // f32 adds zeros to the weight. Otherwise 1 becomes max_code * fl(1 / max_code), at most half
                // a unit from 1; with d * scale, the fma, and m likewise: four roundings of relative size
                // 2^-24, of terms that may cancel (m against d q) but are below 8.
                const float expected = w[n * 64 + k];
                if (std::is_same_v<TestType, nullm::f32> || !is_quantized(type)) {
                    REQUIRE(y[k * 33 + n] == expected);
                } else {
                    REQUIRE(std::fabs(y[k * 33 + n] - expected) <= 8 * 4 * 0x1p-24F);
                }
            }
        }
    }
}

TEMPLATE_TEST_CASE("a zero row gives zeros", "[linear]", nullm::f32, nullm::i16, nullm::i8) {
    thread_pool pool(1);
    for (const tensor_type type : all_types) {
        const auto tensor = random_tensor(type, 17, 96, 6);
        for (const float y : product<TestType>(tensor.view(), std::vector<float>(3 * 96), pool))
            REQUIRE(y == 0.0F);
    }
}

TEMPLATE_TEST_CASE("every instruction set, batch size and thread count gives the same bits", "[linear]",
                   nullm::f32, nullm::i16, nullm::i8) {
    thread_pool one(1);
    thread_pool two(2);
    for (const tensor_type type : all_types) {
        for (const std::size_t cols : widths_of(type)) {
            for (const std::size_t rows : row_counts) {
                CAPTURE(name_of(type), cols, rows);
                const auto tensor = random_tensor(type, rows, cols, rows * cols);
                const auto x = random_rows(64, cols, rows + cols);
                // The twin, one row at a time, for the first 17 rows; the rest follow from batch invariance.
                std::vector<float> expected;
                const auto scalar =
                    native_linear<TestType>::from(std::vector{tensor.view()}, one, isa::scalar);
                typename native_linear<TestType>::input input;
                input.level = isa::scalar;
                expected.resize(17 * rows);
                for (std::size_t i = 0; i < 17; ++i) {
                    input.assign({x.data() + i * cols, 1, cols}, one);
                    scalar.apply(input, {expected.data() + i * rows, 1, rows}, one);
                }
                for (const isa level : all_levels) {
                    for (const std::size_t m : batch_sizes) {
                        if (level == isa::scalar && m > 9) continue;
                        CAPTURE(name_of(level), m);
                        const std::vector<float> batch(x.begin(),
                                                       x.begin() + static_cast<std::ptrdiff_t>(m * cols));
                        const auto y = product<TestType>(tensor.view(), batch, m % 2 == 0 ? two : one, level);
                        const std::size_t shared = std::min<std::size_t>(m, 17) * rows;
                        REQUIRE(same_bits(std::span(y).first(shared), std::span(expected).first(shared)));
                        if (m == 64 && level > isa::avx2) {
                            REQUIRE(same_bits(y, product<TestType>(tensor.view(), batch, one, isa::avx2)));
                        }
                    }
                }
            }
        }
    }
}

TEMPLATE_TEST_CASE("the error against a double product is what the arithmetic promises", "[linear]",
                   nullm::f32, nullm::i16, nullm::i8) {
    thread_pool pool(1);
    for (const tensor_type type : all_types) {
        for (const std::size_t cols : widths_of(type)) {
            CAPTURE(name_of(type), cols);
            const auto tensor = random_tensor(type, 100, cols, 11 + cols);
            const auto x = random_rows(5, cols, 12 + cols);
            const auto exact = exact_product(tensor.view(), x);
            const auto y = product<TestType>(tensor.view(), x, pool);
            if (std::is_same_v<TestType, nullm::f32> || !is_quantized(type)) {
                // Each chain rounds once a product, ceil(cols / 4) times; then two additions. One more for
                // the double reference and the second-order terms.
                const double roundings = static_cast<double>((cols + 3) / 4 + 3);
                for (std::size_t i = 0; i < y.size(); ++i) {
                    REQUIRE(std::fabs(y[i] - exact.y[i]) <= roundings * 0x1p-24 * exact.magnitude[i]);
                }
            } else {
                // An activation is off by at most half a step, max|x| / (2 max_code): for a block whose
                // largest value is 3 times its RMS 3 / (2 sqrt 3 max_code) of it, .7 % at 8 bits and 3e-5 at
                // 16; the twenty-fold outliers of random_rows raise that about threefold where they fall.
                // Lower bounds say that the integers were used at all.
                const double rms = relative_rms(y, exact.y);
                CHECK(rms < (std::is_same_v<TestType, nullm::i16> ? 1e-3 : 3e-2));
                if (cols >= 64) CHECK(rms > (std::is_same_v<TestType, nullm::i16> ? 1e-6 : 1e-3));
            }
        }
    }
}

TEMPLATE_TEST_CASE("stacked tensors give what they give one by one", "[linear]", nullm::f32, nullm::i16,
                   nullm::i8) {
    thread_pool pool(2);
    const std::size_t cols = 96;
    const std::size_t heights[] = {33, 16, 1, 100, 7, 0, 40};
    std::vector<owned_tensor> tensors;
    std::vector<tensor_view> parts;
    for (std::size_t i = 0; i < std::size(heights); ++i) {
        tensors.push_back(random_tensor(all_types[i % std::size(all_types)], heights[i], cols, i));
    }
    for (const auto& tensor : tensors) parts.push_back(tensor.view());
    for (const std::size_t m : {1, 3, 20}) {
        const auto x = random_rows(m, cols, m);
        const auto y = product<TestType>(parts, x, pool);
        const std::size_t out = y.size() / m;
        REQUIRE(out == 197);
        std::size_t first = 0;
        for (std::size_t p = 0; p < parts.size(); ++p) {
            if (heights[p] == 0) continue;
            const auto alone = product<TestType>(parts[p], x, pool);
            for (std::size_t i = 0; i < m; ++i) {
                CAPTURE(m, p, i);
                REQUIRE(same_bits(std::span(y).subspan(i * out + first, heights[p]),
                                  std::span(alone).subspan(i * heights[p], heights[p])));
            }
            first += heights[p];
        }
    }
}

TEMPLATE_TEST_CASE("outputs may have a stride, and what lies between rows is left alone", "[linear]",
                   nullm::f32, nullm::i16, nullm::i8) {
    thread_pool pool(2);
    const auto tensor = random_tensor(tensor_type::q4_1, 33, 64, 1);
    const auto x = random_rows(10, 64, 2);
    const auto expected = product<TestType>(tensor.view(), x, pool);
    const auto linear = native_linear<TestType>::from(std::vector{tensor.view()}, pool);
    typename native_linear<TestType>::input input;
    std::vector<float> spread(10 * 70);  // a strided input, too
    for (std::size_t i = 0; i < 10; ++i)
        std::copy_n(x.begin() + static_cast<std::ptrdiff_t>(i * 64), 64, &spread[i * 70]);
    input.assign({spread.data(), 10, 64, 70}, pool);
    std::vector<float> y(10 * 40, -7.0F);
    linear.apply(input, matrix_view<float>(y.data(), 10, 33, 40), pool);
    for (std::size_t i = 0; i < 10; ++i) {
        REQUIRE(same_bits(std::span(y).subspan(i * 40, 33), std::span(expected).subspan(i * 33, 33)));
        for (std::size_t n = 33; n < 40; ++n) REQUIRE(y[i * 40 + n] == -7.0F);
    }
}

TEMPLATE_TEST_CASE("an input may be reused for batches of any size and width", "[linear]", nullm::f32,
                   nullm::i16, nullm::i8) {
    thread_pool pool(2);
    typename native_linear<TestType>::input input;
    for (const std::size_t cols : {64, 576, 32}) {
        for (const std::size_t m : {9, 1, 4}) {
            const auto tensor = random_tensor(tensor_type::q8_0, 20, cols, cols);
            const auto x = random_rows(m, cols, m);
            const auto linear = native_linear<TestType>::from(std::vector{tensor.view()}, pool);
            input.assign({x.data(), m, cols}, pool);
            std::vector<float> y(m * 20);
            linear.apply(input, matrix_view<float>(y.data(), m, 20), pool);
            CHECK(same_bits(y, product<TestType>(tensor.view(), x, pool)));
        }
    }
}

TEMPLATE_TEST_CASE("a value that is not finite spoils its own row alone", "[linear]", nullm::f32, nullm::i16,
                   nullm::i8) {
    thread_pool pool(1);
    for (const float bad : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                            std::numeric_limits<float>::quiet_NaN()}) {
        for (const tensor_type type : all_types) {
            for (const isa level : all_levels) {
                CAPTURE(bad, name_of(type), name_of(level));
                const auto tensor = random_tensor(type, 20, 96, 3);
                auto x = random_rows(3, 96, 4);
                const auto clean = product<TestType>(tensor.view(), x, pool, level);
                x[96 + 40] = bad;
                const auto y = product<TestType>(tensor.view(), x, pool, level);
                for (std::size_t n = 0; n < 20; ++n) {
                    REQUIRE(y[n] == clean[n]);
                    REQUIRE(y[40 + n] == clean[40 + n]);
                    if (std::is_same_v<TestType, nullm::f32> || !is_quantized(type)) {
                        REQUIRE_FALSE(std::isfinite(y[20 + n]));
                    } else {
                        REQUIRE(std::isnan(y[20 + n]));
                    }
                }
            }
        }
    }
}

TEMPLATE_TEST_CASE("a scale that is not finite spoils its own output alone", "[linear]", nullm::f32,
                   nullm::i16, nullm::i8) {
    thread_pool pool(1);
    for (const tensor_type type : {tensor_type::q4_0, tensor_type::q4_1, tensor_type::q8_0}) {
        for (const std::uint16_t bits :
             std::initializer_list<std::uint16_t>{0x7C00, 0xFC00, 0x7E00, 0x7C01}) {
            for (const isa level : all_levels) {
                auto tensor = random_tensor(type, 20, 96, 3);
                const auto x = random_rows(2, 96, 4);
                const auto clean = product<TestType>(tensor.view(), x, pool, level);
                put(tensor.bytes() + 5 * tensor.view().row_bytes() + nullm::block_bytes(type), bits);
                const auto y = product<TestType>(tensor.view(), x, pool, level);
                for (std::size_t i = 0; i < y.size(); ++i) {
                    if (i % 20 == 5) {
                        REQUIRE_FALSE(std::isfinite(y[i]));
                    } else {
                        REQUIRE(y[i] == clean[i]);
                    }
                }
            }
        }
    }
}

TEMPLATE_TEST_CASE("extreme magnitudes neither overflow the integers nor trap", "[linear]", nullm::f32,
                   nullm::i16, nullm::i8) {
    thread_pool pool(1);
    for (const float size : {3e38F, 1e-30F, 1e-37F, 1e-45F}) {
        for (const tensor_type type : all_types) {
            const auto tensor = random_tensor(type, 17, 64, 8);
            std::vector<float> x(64);
            for (std::size_t k = 0; k < 64; ++k) x[k] = k % 2 == 0 ? size : -size;
            const auto expected = product<TestType>(tensor.view(), x, pool, isa::scalar);
            for (const isa level : all_levels) {
                CAPTURE(size, name_of(type), name_of(level));
                const auto y = product<TestType>(tensor.view(), x, pool, level);
                for (std::size_t i = 0; i < y.size(); ++i) {
                    REQUIRE(((std::isnan(y[i]) && std::isnan(expected[i])) || y[i] == expected[i]));
                }
            }
        }
    }
}

TEST_CASE("integer arithmetic at the end of its range is exact", "[linear]") {
    // All codes and activations at their extremes: the largest dot products there are, and the ones a
    // saturating instruction would get wrong. d = 1 and scale = 1 (max|x| = max_code), so the outputs are
    // integers.
    thread_pool pool(1);
    for (const tensor_type type : {tensor_type::q4_0, tensor_type::q4_1, tensor_type::q8_0}) {
        for (const int code : {0x00, 0xFF, 0x80, 0x7F}) {
            owned_tensor tensor(type, 16, 64);
            for (std::size_t b = 0; b < 32; ++b) {
                std::byte* p = tensor.bytes() + b * nullm::block_bytes(type);
                std::fill_n(p, nullm::block_bytes(type), static_cast<std::byte>(code));
                put(p, nullm::to_f16(1.0F));
                if (type == tensor_type::q4_1) put(p + 2, nullm::to_f16(0.0F));
            }
            const auto w = dequantized(tensor.view());
            for (const float size : {127.0F, -127.0F, 32767.0F, -32767.0F}) {
                const std::vector<float> x(64, size);
                double exact = 0;
                for (std::size_t k = 0; k < 64; ++k) exact += static_cast<double>(w[k]) * size;
                for (const isa level : all_levels) {
                    CAPTURE(name_of(type), code, size, name_of(level));
                    const auto y = std::fabs(size) < 128 ? product<nullm::i8>(tensor.view(), x, pool, level)
                                                         : product<nullm::i16>(tensor.view(), x, pool, level);
                    // One block's sum is below 2^28 and converts to float with one rounding; then one more
                    // sum.
                    for (const float v : y) REQUIRE(std::fabs(v - exact) <= 2 * 0x1p-24 * std::fabs(exact));
                }
            }
        }
    }
}

TEST_CASE("tensors and buffers that do not fit are refused", "[linear]") {
    thread_pool pool(1);
    using linear_type = native_linear<nullm::i8>;
    const auto a = random_tensor(tensor_type::q4_0, 16, 64, 1);
    const auto b = random_tensor(tensor_type::q4_0, 16, 96, 1);
    CHECK_THROWS_AS(linear_type::from({}, pool), nullm::error);
    CHECK_THROWS_AS(linear_type::from(std::vector{a.view(), b.view()}, pool), nullm::error);
    auto view = a.view();
    view.bytes = view.bytes.first(view.bytes.size() - 1);
    CHECK_THROWS_AS(linear_type::from(std::vector{view}, pool), nullm::error);
    view = a.view();
    view.rows = std::numeric_limits<std::size_t>::max() / 18;  // rows * row_bytes overflows
    CHECK_THROWS_AS(linear_type::from(std::vector{view}, pool), nullm::error);
    view = a.view();
    view.cols = 48;
    CHECK_THROWS_AS(linear_type::from(std::vector{view}, pool), nullm::error);
    view = a.view();
    view.cols = 0;
    CHECK_THROWS_AS(linear_type::from(std::vector{view}, pool), nullm::error);
    view = a.view();
    view.type = static_cast<tensor_type>(99);
    CHECK_THROWS_AS(linear_type::from(std::vector{view}, pool), nullm::error);

    const auto linear = linear_type::from(std::vector{a.view()}, pool);
    CHECK(linear.in() == 64);
    CHECK(linear.out() == 16);
    linear_type::input input;
    const std::vector<float> x(96 * 2);
    std::vector<float> y(64);
    CHECK_THROWS_AS(input.assign({x.data(), 0, 64}, pool), nullm::error);
    CHECK_THROWS_AS(linear.apply(input, matrix_view<float>(y.data(), 1, 16), pool),
                    nullm::error);  // nothing assigned
    input.assign({x.data(), 2, 96}, pool);
    CHECK_THROWS_AS(linear.apply(input, matrix_view<float>(y.data(), 2, 16), pool), nullm::error);
    input.assign({x.data(), 2, 64}, pool);
    CHECK_THROWS_AS(linear.apply(input, matrix_view<float>(y.data(), 1, 16), pool), nullm::error);
    CHECK_THROWS_AS(linear.apply(input, matrix_view<float>(y.data(), 2, 17), pool), nullm::error);
    CHECK_NOTHROW(linear.apply(input, matrix_view<float>(y.data(), 2, 16), pool));
}

TEMPLATE_TEST_CASE("NF4 tensors multiply as stored, in the bits of nf4_linear on every instruction set", "[linear]",
                   nullm::f32, nullm::i16, nullm::i8) {
    thread_pool one(1), two(2);
    using nf4_only = nullm::nf4_linear<nullm::nf4_scale_block, TestType>;
    for (const std::size_t cols : {64, 96, 576}) {  // in rows of 96, blocks of scales lie in two rows
        const nf4_tensor tensor(33, cols, cols);
        const auto view = tensor.view();
        const auto x = random_rows(9, cols, cols + 1);
        const auto encoded = nf4_only::from(std::span(&view, 1), one, isa::scalar);
        typename nf4_only::input input;
        input.level = isa::scalar;
        input.assign({x.data(), 9, cols}, one);
        std::vector<float> expected(9 * 33);
        encoded.apply(input, {expected.data(), 9, 33}, one);
        for (const isa level : all_levels) {
            for (const std::size_t m : {1, 2, 9}) {
                CAPTURE(cols, name_of(level), m);
                const std::vector<float> batch(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(m * cols));
                const auto y = product<TestType>(view, batch, m == 2 ? two : one, level);
                REQUIRE(same_bits(y, std::span(expected).first(m * 33)));
            }
        }
    }
}

TEMPLATE_TEST_CASE("the error of an NF4 product is what the arithmetic promises", "[linear]", nullm::f32, nullm::i16,
                   nullm::i8) {
    thread_pool pool(1);
    for (const std::size_t cols : {64, 96, 576, 1536}) {
        CAPTURE(cols);
        const nf4_tensor tensor(100, cols, 11 + cols);
        const auto x = random_rows(5, cols, 12 + cols);
        const auto exact = exact_product(tensor.view(), x);
        const auto y = product<TestType>(tensor.view(), x, pool);
        // As above, and for integers a codebook rounded at its scale.
        if constexpr (std::is_same_v<TestType, nullm::f32>) {
            const double roundings = static_cast<double>((cols + 3) / 4 + 5);  // a block's sum is scaled, and added
            for (std::size_t i = 0; i < y.size(); ++i) {
                REQUIRE(std::fabs(y[i] - exact.y[i]) <= roundings * 0x1p-24 * exact.magnitude[i]);
            }
        } else {
            const double rms = relative_rms(y, exact.y);
            CHECK(rms < (std::is_same_v<TestType, nullm::i16> ? 1e-3 : 3e-2));
            CHECK(rms > (std::is_same_v<TestType, nullm::i16> ? 1e-6 : 1e-3));
        }
    }
}

TEST_CASE("NF4 tensors stack with those of other formats", "[linear]") {
    thread_pool pool(2);
    const auto native = random_tensor(tensor_type::q4_1, 20, 64, 1);
    const nf4_tensor nf4(17, 64, 2);
    const auto x = random_rows(3, 64, 3);
    const auto both = product<nullm::i16>(std::vector{native.view(), nf4.view()}, x, pool);
    const auto first = product<nullm::i16>(native.view(), x, pool);
    const auto second = product<nullm::i16>(nf4.view(), x, pool);
    for (std::size_t m = 0; m < 3; ++m) {
        CHECK(same_bits(std::span(both).subspan(m * 37, 20), std::span(first).subspan(m * 20, 20)));
        CHECK(same_bits(std::span(both).subspan(m * 37 + 20, 17), std::span(second).subspan(m * 17, 17)));
    }
}

TEST_CASE("an NF4 tensor without all of its scales is refused", "[linear]") {
    thread_pool pool(1);
    const nf4_tensor nf4(17, 64, 2);
    auto view = nf4.view();
    view.scales = view.scales.first(16);
    CHECK_THROWS_AS(native_linear<nullm::i16>::from(std::vector{view}, pool), nullm::error);
}

TEST_CASE("an input need not keep floats for quantised matrices, and says so for others", "[linear]") {
    thread_pool pool(1);
    using linear_type = native_linear<nullm::i8>;
    const auto quantized = random_tensor(tensor_type::q4_0, 16, 64, 1);
    const auto floats = random_tensor(tensor_type::f16, 16, 64, 1);
    const auto x = random_rows(1, 64, 2);
    std::vector<float> y(16);
    linear_type::input input;
    input.keep_floats = false;
    input.assign({x.data(), 1, 64}, pool);
    const auto a = linear_type::from(std::vector{quantized.view()}, pool);
    const auto b = linear_type::from(std::vector{floats.view()}, pool);
    CHECK_FALSE(a.reads_floats());
    CHECK(b.reads_floats());
    a.apply(input, matrix_view<float>(y.data(), 1, 16), pool);
    CHECK(same_bits(y, product<nullm::i8>(quantized.view(), x, pool)));
    CHECK_THROWS_AS(b.apply(input, matrix_view<float>(y.data(), 1, 16), pool), nullm::error);
}

TEST_CASE("matrices in an arena multiply the same, and outlive it", "[linear]") {
    thread_pool pool(1);
    const auto tensor = random_tensor(tensor_type::q4_1, 40, 96, 1);
    const auto x = random_rows(3, 96, 2);
    auto linear = [&] {
        nullm::weight_arena arena;
        auto first = native_linear<nullm::i16>::from(std::vector{tensor.view()}, pool, arena);
        return std::pair(std::move(first),
                         native_linear<nullm::i16>::from(std::vector{tensor.view()}, pool, arena));
    }();
    native_linear<nullm::i16>::input input;
    input.assign({x.data(), 3, 96}, pool);
    for (const auto* l : {&linear.first, &linear.second}) {
        std::vector<float> y(3 * 40);
        l->apply(input, matrix_view<float>(y.data(), 3, 40), pool);
        CHECK(same_bits(y, product<nullm::i16>(tensor.view(), x, pool)));
        CHECK(l->bytes() == 3 * 2 * 640);
    }
}
