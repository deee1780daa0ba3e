#include <nullm/linear/native_linear.hpp>
#include <nullm/linear/nf4_linear.hpp>

#include "same_floats.hpp"
#include "tensors.hpp"

#include <support/catch.hpp>
#include <support/golden.hpp>
#include <support/golden_tensors.hpp>
#include <support/sanitized.hpp>

#include <limits>
#include <type_traits>

using namespace tensors;
using nullm::isa;
using nullm::matrix_view;
using nullm::nf4_linear;
using nullm::nf4_matrix;
using nullm::tensor_type;
using nullm::tensor_view;
using nullm::thread_pool;

namespace {

template <class L>
std::vector<float> product(const L& linear, const std::vector<float>& x, thread_pool& pool,
                           isa level = nullm::active_isa()) {
    const std::size_t m = x.size() / linear.in();
    typename L::input input;
    input.level = std::min(level, nullm::detected_isa());
    input.keep_floats = linear.reads_floats();
    input.assign({x.data(), m, linear.in()}, pool);
    std::vector<float> y(m * linear.out(), -7.0F);
    linear.apply(input, matrix_view<float>(y.data(), m, linear.out()), pool);
    return y;
}

owned_tensor float_tensor(std::size_t rows, std::size_t cols, std::uint64_t seed) {
    return random_tensor(tensor_type::f32, rows, cols, seed);
}

template <std::size_t Block, class A>
nf4_linear<Block, A> encoded(const tensor_view& tensor, thread_pool& pool, isa level = nullm::active_isa()) {
    return nf4_linear<Block, A>::from(std::span(&tensor, 1), pool, level);
}

/// What bitsandbytes decodes of the tensor, encoded.
std::vector<float> as_nf4(const tensor_view& tensor, std::size_t block, thread_pool& pool) {
    const auto data = nullm::nf4_encode(dequantized(tensor), block, pool);
    std::vector<float> w(data.elements);
    nullm::nf4_decode(data.view(), w, pool);
    return w;
}

template <class L>
std::vector<float> all_rows(const L& linear) {
    std::vector<float> w(linear.out() * linear.in());
    for (std::size_t r = 0; r < linear.out(); ++r)
        linear.decode_row(r, std::span(w).subspan(r * linear.in(), linear.in()));
    return w;
}

double relative_rms(const std::vector<float>& y, const std::vector<float>& w, const std::vector<float>& x,
                    std::size_t cols) {
    const std::size_t rows = w.size() / cols;
    double error = 0, size = 0;
    for (std::size_t i = 0; i < y.size(); ++i) {
        double exact = 0;
        for (std::size_t k = 0; k < cols; ++k)
            exact += static_cast<double>(w[i % rows * cols + k]) * x[i / rows * cols + k];
        error += (y[i] - exact) * (y[i] - exact);
        size += exact * exact;
    }
    return std::sqrt(error / size);
}

template <std::size_t Block, class A>
struct of {
    static constexpr std::size_t block = Block;
    using arithmetic = A;
    using linear = nf4_linear<Block, A>;
};

// Rows of whole blocks, of whole pieces of 32, and neither; one element, one short, one more.
constexpr std::size_t widths[] = {1, 7, 31, 32, 33, 63, 64, 65, 96, 100, 128, 288, 576};

}  // namespace

#define NF4_CASES                                                                              \
    (of<32, nullm::i16>), (of<64, nullm::i16>), (of<128, nullm::i16>), (of<4096, nullm::i16>), \
        (of<64, nullm::f32>), (of<256, nullm::f32>), (of<64, nullm::i8>), (of<32, nullm::i8>)

TEMPLATE_TEST_CASE("an NF4 matrix holds bit for bit what bitsandbytes decodes", "[linear][nf4]", NF4_CASES) {
    thread_pool pool(2);
    for (const std::size_t cols : widths) {
        for (const std::size_t rows : {1, 16, 33}) {
            CAPTURE(rows, cols);
            const auto tensor = float_tensor(rows, cols, rows * cols);
            const auto linear = encoded<TestType::block, typename TestType::arithmetic>(tensor.view(), pool);
            REQUIRE(same_bits(all_rows(linear), as_nf4(tensor.view(), TestType::block, pool)));
        }
    }
}

TEST_CASE("a row longer than the largest block is held bit for bit", "[linear][nf4]") {
    thread_pool pool(2);
    for (const std::size_t cols : {4096, 8192, 4128, 4099}) {
        const auto tensor = float_tensor(3, cols, cols);
        const auto w = as_nf4(tensor.view(), 4096, pool);
        const auto linear = encoded<4096, nullm::i16>(tensor.view(), pool);
        REQUIRE(same_bits(all_rows(linear), w));
        const auto x = random_rows(2, cols, 1);
        CHECK(relative_rms(product(linear, x, pool), w, x, cols) < 1e-3);
    }
}

TEMPLATE_TEST_CASE("NF4 products err no more than their arithmetic promises", "[linear][nf4]", NF4_CASES) {
    using arithmetic = typename TestType::arithmetic;
    thread_pool pool(2);
    // Research (nf4.md 6.3): float rounds about cols / 4 times a chain, 6e-8 each, mostly cancelling; the
    // integer codebooks are 2e-4 and 4.4e-3 off, activations of 32 share a scale, and random_rows has
    // outliers of twenty times the rest.
    const double gate = std::is_same_v<arithmetic, nullm::f32>   ? 1e-6
                        : std::is_same_v<arithmetic, nullm::i16> ? 1e-3
                                                                 : 2e-2;
    for (const std::size_t cols : {7, 33, 64, 96, 100, 288, 576, 1536}) {
        for (const std::size_t rows : {33, 100}) {
            CAPTURE(rows, cols);
            const auto tensor = float_tensor(rows, cols, 11 + cols);
            const auto x = random_rows(5, cols, 12 + cols);
            const auto linear = encoded<TestType::block, arithmetic>(tensor.view(), pool);
            const double rms =
                relative_rms(product(linear, x, pool), as_nf4(tensor.view(), TestType::block, pool), x, cols);
            CHECK(rms < gate);
            // The integers were used at all.
            if (cols >= 64) CHECK(rms > (std::is_same_v<arithmetic, nullm::f32> ? 0.0 : gate / 20));
        }
    }
}

TEMPLATE_TEST_CASE("a one-hot row reads a column of an NF4 matrix, a zero row zeros", "[linear][nf4]",
                   NF4_CASES) {
    using arithmetic = typename TestType::arithmetic;
    thread_pool pool(1);
    for (const std::size_t cols : {31, 64, 96, 100}) {
        const auto tensor = float_tensor(33, cols, 5);
        const auto data = nullm::nf4_encode(tensor.view(), TestType::block, pool);
        std::vector<float> x((cols + 1) * cols);  // the last row stays zero
        for (std::size_t k = 0; k < cols; ++k) x[k * cols + k] = 1.0F;
        for (const isa level : all_levels) {
            const auto linear = encoded<TestType::block, arithmetic>(tensor.view(), pool, level);
            const auto y = product(linear, x, pool, level);
            for (std::size_t i = 0; i < y.size(); ++i) {
                const std::size_t n = i % 33;
                const std::size_t k = i / 33;
                if (k == cols) {
                    REQUIRE(y[i] == 0.0F);
                    continue;
                }
                const unsigned code = nullm::nf4_code(data.packed, n * cols + k);
                const float scale = data.absmax[(n * cols + k) / TestType::block];
                if constexpr (nullm::IntegerArithmetic<arithmetic>) {
                    // 1 becomes max_code * fl(1 / max_code); with the products by it, by the scale and by the
                    // inverse of the codebook's, and that inverse: five roundings of relative size 2^-24.
                    using integers = nullm::nf4_integers<typename arithmetic::code>;
                    const double exact = static_cast<double>(integers::codes[code]) / integers::scale * scale;
                    REQUIRE(std::fabs(y[i] - exact) <= 6 * 0x1p-24 * std::fabs(exact));
                } else {
                    REQUIRE(y[i] == nullm::nf4_codebook[code] * scale);
                }
            }
        }
    }
}

TEMPLATE_TEST_CASE("NF4 gives the same bits on every instruction set, batch size and thread count",
                   "[linear][nf4]", NF4_CASES) {
    thread_pool one(1);
    thread_pool two(2);
    using arithmetic = typename TestType::arithmetic;
    for (const std::size_t cols : widths) {
        if (support::sanitized && cols > 100) continue;
        for (const std::size_t rows : {1, 15, 33}) {
            CAPTURE(cols, rows);
            const auto tensor = float_tensor(rows, cols, rows * cols);
            const auto x = random_rows(33, cols, rows + cols);
            const auto twin = encoded<TestType::block, arithmetic>(tensor.view(), one, isa::scalar);
            std::vector<float> expected;  // the twin, row by row
            for (std::size_t i = 0; i < 33; ++i) {
                const std::vector<float> row(x.begin() + static_cast<std::ptrdiff_t>(i * cols),
                                             x.begin() + static_cast<std::ptrdiff_t>((i + 1) * cols));
                const auto y = product(twin, row, one, isa::scalar);
                expected.insert(expected.end(), y.begin(), y.end());
            }
            for (const isa level : all_levels) {
                const auto linear = encoded<TestType::block, arithmetic>(tensor.view(), two, level);
                for (const std::size_t m : {1, 2, 3, 4, 5, 8, 9, 16, 33}) {
                    CAPTURE(name_of(level), m);
                    const std::vector<float> batch(x.begin(),
                                                   x.begin() + static_cast<std::ptrdiff_t>(m * cols));
                    REQUIRE(same_bits(product(linear, batch, m % 2 == 0 ? two : one, level),
                                      std::span(expected).first(m * rows)));
                }
            }
        }
    }
}

TEMPLATE_TEST_CASE("stacked NF4 matrices give what they give one by one", "[linear][nf4]",
                   (of<64, nullm::i16>), (of<64, nullm::f32>)) {
    using linear_type = typename TestType::linear;
    thread_pool pool(2);
    for (const std::size_t cols : {64, 96, 70}) {
        std::vector<owned_tensor> tensors;
        std::vector<tensor_view> parts;
        const std::size_t heights[] = {33, 16, 1, 0, 40};
        for (std::size_t i = 0; i < std::size(heights); ++i) {
            tensors.push_back(
                random_tensor(cols % 32 == 0 ? all_types[i + 1] : all_types[i % 3], heights[i], cols, i));
        }
        for (const auto& tensor : tensors) parts.push_back(tensor.view());
        const auto stacked = linear_type::from(parts, pool);
        REQUIRE(stacked.out() == 90);
        const auto x = random_rows(11, cols, 3);
        const auto y = product(stacked, x, pool);
        std::size_t first = 0;
        for (std::size_t p = 0; p < parts.size(); ++p) {
            const auto alone = linear_type::from(std::span(&parts[p], 1), pool);
            const auto expected = product(alone, x, pool);
            for (std::size_t i = 0; i < 11; ++i) {
                REQUIRE(same_bits(std::span(y).subspan(i * 90 + first, heights[p]),
                                  std::span(expected).subspan(i * heights[p], heights[p])));
            }
            std::vector<float> row(cols), same(cols);
            for (std::size_t r = 0; r < heights[p]; ++r) {
                stacked.decode_row(first + r, row);
                alone.decode_row(r, same);
                REQUIRE(same_bits(row, same));
            }
            first += heights[p];
        }
    }
}

TEST_CASE("a bitsandbytes checkpoint multiplies as its double product", "[linear][nf4]") {
    const golden::tensors file("nf4_fixtures.safetensors");
    thread_pool pool(1);
    const auto packed = file.read<std::byte>("normal64x256_bs64.packed");
    const auto absmax = file.read<float>("normal64x256_bs64.absmax");
    const nf4_matrix matrix{"q_proj", 64, 256, {64 * 256, 64, packed, absmax}};
    const auto x = file.read<float>("matvec.x");
    const auto exact = file.read<double>("matvec.y_f64");
    const auto error_of = [&](const auto& linear) {
        CHECK(same_bits(all_rows(linear), file.read<float>("normal64x256_bs64.dequant")));
        const auto y = product(linear, x, pool);
        double error = 0, size = 0;
        for (std::size_t i = 0; i < y.size(); ++i) {
            error += (y[i] - exact[i]) * (y[i] - exact[i]);
            size += exact[i] * exact[i];
        }
        return std::sqrt(error / size);
    };
    const std::span one(&matrix, 1);
    CHECK(error_of(nf4_linear<64, nullm::f32>::from_encoded(one, pool)) < 1e-6);
    CHECK(error_of(nf4_linear<64, nullm::i16>::from_encoded(one, pool)) < 1e-3);
    CHECK(error_of(nf4_linear<64, nullm::i8>::from_encoded(one, pool)) < 2e-2);
}

TEST_CASE("encoded matrices stack, keep negative scales, and equal what from() encodes", "[linear][nf4]") {
    thread_pool pool(2);
    for (const std::size_t cols : {64, 96, 45}) {
        const auto a = float_tensor(20, cols, 1);
        const auto b = float_tensor(17, cols, 2);
        auto first = nullm::nf4_encode(dequantized(a.view()), 64, pool);
        const auto second = nullm::nf4_encode(dequantized(b.view()), 64, pool);
        const auto x = random_rows(3, cols, 3);
        const std::vector<nf4_matrix> matrices = {{"a", 20, cols, first.view()},
                                                  {"b", 17, cols, second.view()}};
        const auto linear = nf4_linear<>::from_encoded(matrices, pool);
        CHECK(same_bits(product(linear, x, pool),
                        product(nf4_linear<>::from(std::vector{a.view(), b.view()}, pool), x, pool)));
        nullm::weight_arena arena;
        CHECK(same_bits(product(nf4_linear<>::from_encoded(matrices, pool, arena), x, pool),
                        product(linear, x, pool)));
        CHECK(same_bits(product(nf4_linear<>::from(std::vector{a.view(), b.view()}, pool, arena), x, pool),
                        product(linear, x, pool)));
        for (float& scale : first.absmax) scale = -scale;
        const std::vector<nf4_matrix> negated = {{"a", 20, cols, first.view()}};
        const auto minus = product(nf4_linear<>::from_encoded(negated, pool), x, pool);
        const auto plus = product(linear, x, pool);
        for (std::size_t i = 0; i < minus.size(); ++i) REQUIRE(minus[i] == -plus[i / 20 * 37 + i % 20]);
    }
}

TEST_CASE("one input serves NF4 and native matrices", "[linear][nf4]") {
    thread_pool pool(1);
    const auto tensor = random_tensor(tensor_type::q4_0, 20, 64, 1);
    const auto native = nullm::native_linear<nullm::i16>::from(std::vector{tensor.view()}, pool);
    const auto nf4 = encoded<64, nullm::i16>(tensor.view(), pool);
    const auto x = random_rows(3, 64, 2);
    nullm::prepared_rows<nullm::i16> input;
    input.assign({x.data(), 3, 64}, pool);
    std::vector<float> y(60);
    native.apply(input, {y.data(), 3, 20}, pool);
    CHECK(same_bits(y, product(native, x, pool)));
    nf4.apply(input, {y.data(), 3, 20}, pool);
    CHECK(same_bits(y, product(nf4, x, pool)));
}

TEMPLATE_TEST_CASE("NF4 integers at the end of their range do not overflow", "[linear][nf4]", nullm::i16,
                   nullm::i8) {
    thread_pool pool(1);
    for (const float weight : {1.0F, -1.0F}) {
        owned_tensor tensor(tensor_type::f32, 16, 64);
        for (std::size_t i = 0; i < 16 * 64; ++i) put(tensor.bytes() + 4 * i, weight);
        for (const float size : {32767.0F, -32767.0F, 127.0F}) {
            const std::vector<float> x(64, size);
            const auto expected = product(encoded<64, TestType>(tensor.view(), pool, isa::scalar), x, pool);
            // Every product is the same: 1722 / 1722.092 or 124 / 124.116 of what it should be.
            for (const float v : expected) REQUIRE(v == Approx(64 * weight * size).epsilon(1e-3));
            for (const isa level : all_levels) {
                REQUIRE(same_bits(product(encoded<64, TestType>(tensor.view(), pool, level), x, pool, level),
                                  expected));
            }
        }
    }
}

TEMPLATE_TEST_CASE("what is not finite spoils its own outputs alone", "[linear][nf4]", nullm::f32, nullm::i16,
                   nullm::i8) {
    thread_pool pool(1);
    for (const std::size_t cols : {128, 96, 70}) {
        for (const float bad :
             {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
              std::numeric_limits<float>::quiet_NaN()}) {
            auto tensor = float_tensor(20, cols, 3);
            auto x = random_rows(3, cols, 4);
            for (const isa level : all_levels) {
                CAPTURE(cols, bad, name_of(level));
                const auto linear = encoded<64, TestType>(tensor.view(), pool, level);
                const auto clean = product(linear, x, pool, level);
                auto spoilt = x;
                spoilt[cols + 40] = bad;
                const auto y = product(linear, spoilt, pool, level);
                for (std::size_t n = 0; n < 20; ++n) {
                    REQUIRE(y[n] == clean[n]);
                    REQUIRE(y[40 + n] == clean[40 + n]);
                    REQUIRE_FALSE(std::isfinite(y[20 + n]));
                }
                // A weight spoils its block, which may lie in two rows.
                auto weights = tensor;
                put(weights.bytes() + 4 * (5 * cols + 33), bad);
                const auto z = product(encoded<64, TestType>(weights.view(), pool, level), x, pool, level);
                const std::size_t block = (5 * cols + 33) / 64;
                for (std::size_t n = 0; n < 20; ++n) {
                    const bool hit = n * cols < (block + 1) * 64 && (n + 1) * cols > block * 64;
                    for (std::size_t i = 0; i < 3; ++i) {
                        if (hit) {
                            REQUIRE_FALSE(std::isfinite(z[i * 20 + n]));
                        } else {
                            REQUIRE(z[i * 20 + n] == clean[i * 20 + n]);
                        }
                    }
                }
            }
        }
    }
}

TEST_CASE("NF4 outputs may have a stride, and what lies between rows is left alone", "[linear][nf4]") {
    thread_pool pool(2);
    const auto tensor = float_tensor(33, 64, 1);
    const auto x = random_rows(10, 64, 2);
    const auto linear = encoded<64, nullm::i16>(tensor.view(), pool);
    const auto expected = product(linear, x, pool);
    nullm::prepared_rows<nullm::i16> input;
    input.assign({x.data(), 10, 64}, pool);
    std::vector<float> y(10 * 40, -7.0F);
    linear.apply(input, matrix_view<float>(y.data(), 10, 33, 40), pool);
    for (std::size_t i = 0; i < 10; ++i) {
        REQUIRE(same_bits(std::span(y).subspan(i * 40, 33), std::span(expected).subspan(i * 33, 33)));
        for (std::size_t n = 33; n < 40; ++n) REQUIRE(y[i * 40 + n] == -7.0F);
    }
}

TEST_CASE("an NF4 matrix takes 4.5 bits a weight", "[linear][nf4]") {
    thread_pool pool(1);
    CHECK(encoded<64, nullm::i16>(float_tensor(32, 576, 1).view(), pool).bytes() == 32 * 576 * 9 / 16);
    CHECK(encoded<128, nullm::i16>(float_tensor(32, 512, 1).view(), pool).bytes() == 32 * 512 * 17 / 32);
    CHECK_FALSE(encoded<64, nullm::i16>(float_tensor(1, 64, 1).view(), pool).reads_floats());
    CHECK(encoded<64, nullm::f32>(float_tensor(1, 64, 1).view(), pool).reads_floats());
}

TEST_CASE("tensors, matrices and buffers that do not fit NF4 are refused", "[linear][nf4]") {
    thread_pool pool(1);
    using linear_type = nf4_linear<64, nullm::i16>;
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
    view = a.view();
    view.cols = 0;
    CHECK_THROWS_AS(linear_type::from(std::vector{view}, pool), nullm::error);
    view = a.view();
    view.type = static_cast<tensor_type>(99);
    CHECK_THROWS_AS(linear_type::from(std::vector{view}, pool), nullm::error);

    const auto data = nullm::nf4_encode(dequantized(a.view()), 64, pool);
    const auto from = [&](nf4_matrix matrix) {
        return linear_type::from_encoded(std::span(&matrix, 1), pool);
    };
    const nf4_matrix good{"w", 16, 64, data.view()};
    CHECK_NOTHROW(from(good));
    CHECK_THROWS_AS(linear_type::from_encoded({}, pool), nullm::error);
    auto matrix = good;
    matrix.rows = 17;
    CHECK_THROWS_AS(from(matrix), nullm::error);
    matrix = good;
    matrix.cols = 0;
    CHECK_THROWS_AS(from(matrix), nullm::error);
    matrix = good;
    matrix.rows = std::size_t{1} << 60;  // times 64 is 2^66, which would come out as 1024 x 0
    matrix.data.elements = 0;
    matrix.data.packed = {};
    matrix.data.absmax = {};
    CHECK_THROWS_AS(from(matrix), nullm::error);
    matrix = good;
    matrix.data.block = 128;
    CHECK_THROWS_AS(from(matrix), nullm::error);
    matrix = good;
    matrix.data.packed = matrix.data.packed.first(511);
    CHECK_THROWS_AS(from(matrix), nullm::error);
    matrix = good;
    matrix.data.absmax = matrix.data.absmax.first(15);
    CHECK_THROWS_AS(from(matrix), nullm::error);
    const std::vector<nf4_matrix> differing = {good, {"v", 32, 32, data.view()}};
    CHECK_THROWS_AS(linear_type::from_encoded(differing, pool), nullm::error);

    const auto linear = from(good);
    std::vector<float> y(64);
    CHECK_THROWS_AS(linear.decode_row(16, std::span(y)), nullm::error);
    CHECK_THROWS_AS(linear.decode_row(0, std::span(y).first(63)), nullm::error);
    linear_type::input input;
    const std::vector<float> x(96 * 2);
    input.assign({x.data(), 2, 96}, pool);
    CHECK_THROWS_AS(linear.apply(input, matrix_view<float>(y.data(), 2, 16), pool), nullm::error);
    input.assign({x.data(), 2, 64}, pool);
    CHECK_THROWS_AS(linear.apply(input, matrix_view<float>(y.data(), 1, 16), pool), nullm::error);
    CHECK_THROWS_AS(linear.apply(input, matrix_view<float>(y.data(), 2, 17), pool), nullm::error);
    CHECK_NOTHROW(linear.apply(input, matrix_view<float>(y.data(), 2, 16), pool));
}
