#include <nullm/linear/dequantize.hpp>

#include "nf4_tensor.hpp"
#include "tensors.hpp"

#include <support/catch.hpp>

using namespace tensors;
using nullm::tensor_type;

namespace {

std::vector<float> only_row(const owned_tensor& tensor) {
    std::vector<float> w(tensor.cols);
    nullm::dequantize_row(tensor.view(), 0, w);
    return w;
}

}  // namespace

TEST_CASE("float formats are read as they are", "[linear]") {
    owned_tensor a(tensor_type::f32, 1, 3);
    owned_tensor b(tensor_type::f16, 1, 3);
    owned_tensor c(tensor_type::bf16, 1, 3);
    const float values[] = {1.5F, -0.25F, 1024.0F};
    for (std::size_t k = 0; k < 3; ++k) {
        put(a.bytes() + 4 * k, values[k]);
        put(b.bytes() + 2 * k, nullm::to_f16(values[k]));
        put(c.bytes() + 2 * k, nullm::to_bf16(values[k]));
    }
    const std::vector<float> expected(values, values + 3);
    CHECK(only_row(a) == expected);
    CHECK(only_row(b) == expected);
    CHECK(only_row(c) == expected);
}

TEST_CASE("a Q4_0 block holds elements 0 to 15 in its low and 16 to 31 in its high nibbles", "[linear]") {
    owned_tensor tensor(tensor_type::q4_0, 1, 32);
    put(tensor.bytes(), nullm::to_f16(0.5F));
    for (unsigned i = 0; i < 16; ++i) tensor.bytes()[2 + i] = static_cast<std::byte>(i | ((15 - i) << 4));
    const auto w = only_row(tensor);
    for (int i = 0; i < 16; ++i) {
        CHECK(w[static_cast<std::size_t>(i)] == 0.5F * static_cast<float>(i - 8));
        CHECK(w[static_cast<std::size_t>(i + 16)] == 0.5F * static_cast<float>(7 - i));
    }
}

TEST_CASE("a Q4_1 block adds its minimum with one rounding", "[linear]") {
    owned_tensor tensor(tensor_type::q4_1, 1, 32);
    const float d = nullm::to_float(nullm::to_f16(0.1F));
    const float m = nullm::to_float(nullm::to_f16(-37.3F));
    put(tensor.bytes(), nullm::to_f16(d));
    put(tensor.bytes() + 2, nullm::to_f16(m));
    for (unsigned i = 0; i < 16; ++i) tensor.bytes()[4 + i] = static_cast<std::byte>(i | ((15 - i) << 4));
    const auto w = only_row(tensor);
    for (int i = 0; i < 16; ++i) {  // d q + m is exact in double
        CHECK(w[static_cast<std::size_t>(i)] == static_cast<float>(static_cast<double>(d) * i + m));
        CHECK(w[static_cast<std::size_t>(i + 16)] ==
              static_cast<float>(static_cast<double>(d) * (15 - i) + m));
    }
}

TEST_CASE("a Q8_0 block holds signed bytes, -128 included", "[linear]") {
    owned_tensor tensor(tensor_type::q8_0, 1, 32);
    put(tensor.bytes(), nullm::to_f16(0.25F));
    for (int i = 0; i < 32; ++i)
        tensor.bytes()[2 + i] = static_cast<std::byte>(static_cast<std::int8_t>(i * 8 - 128));
    const auto w = only_row(tensor);
    for (int i = 0; i < 32; ++i)
        CHECK(w[static_cast<std::size_t>(i)] == 0.25F * static_cast<float>(i * 8 - 128));
}

TEST_CASE("an NF4 byte holds two codes, the first in its high half, and a scale of either sign", "[linear]") {
    nf4_tensor tensor(1, 64, 1);
    for (unsigned i = 0; i < 32; ++i) tensor.data().packed[i] = static_cast<std::byte>(i % 16 << 4 | (15 - i % 16));
    for (const float scale : {0.3F, -0.7F}) {
        tensor.data().absmax = {scale};
        std::vector<float> w(64);
        nullm::dequantize_row(tensor.view(), 0, w);
        for (std::size_t i = 0; i < 32; ++i) {
            CHECK(w[2 * i] == nullm::nf4_codebook[i % 16] * scale);
            CHECK(w[2 * i + 1] == nullm::nf4_codebook[15 - i % 16] * scale);
        }
    }
}

TEST_CASE("NF4 rows are what the codec decodes, also where a block of scales lies in two of them", "[linear]") {
    nullm::thread_pool one(1);
    for (const std::size_t cols : {64, 576, 96, 42, 2}) {
        CAPTURE(cols);
        nf4_tensor tensor(7, cols, cols);
        std::vector<float> expected(7 * cols);
        nullm::nf4_decode(tensor.data().view(), expected, one);
        CHECK(dequantized(tensor.view()) == expected);
    }
}

TEST_CASE("an NF4 row whose scales or bytes are missing is refused, the rows in front of it are read", "[linear]") {
    const nf4_tensor tensor(2, 96, 4);  // three blocks; row 1 lies in the second and third
    std::vector<float> row(96);
    auto view = tensor.view();
    view.scales = view.scales.first(2);
    CHECK_NOTHROW(nullm::dequantize_row(view, 0, row));
    CHECK_THROWS_AS(nullm::dequantize_row(view, 1, row), nullm::error);
    view = tensor.view();
    view.bytes = view.bytes.first(view.bytes.size() - 1);
    CHECK_NOTHROW(nullm::dequantize_row(view, 0, row));
    CHECK_THROWS_AS(nullm::dequantize_row(view, 1, row), nullm::error);
}

TEST_CASE("each row is read from its own bytes", "[linear]") {
    for (const tensor_type type : all_types) {
        const auto tensor = random_tensor(type, 3, 64, 1);
        std::vector<float> row(64);
        for (std::size_t r = 0; r < 3; ++r) {
            nullm::dequantize_row(tensor.view(), r, row);
            auto alone = tensor.view();
            alone.bytes = alone.row(r);
            alone.rows = 1;
            std::vector<float> expected(64);
            nullm::dequantize_row(alone, 0, expected);
            CHECK(row == expected);
        }
    }
}

TEST_CASE("rows, lengths and bytes that do not fit are refused", "[linear]") {
    const auto tensor = random_tensor(tensor_type::q4_0, 2, 64, 1);
    std::vector<float> row(64);
    std::vector<float> wrong(63);
    CHECK_THROWS_AS(nullm::dequantize_row(tensor.view(), 2, row), nullm::error);
    CHECK_THROWS_AS(nullm::dequantize_row(tensor.view(), 0, wrong), nullm::error);
    auto view = tensor.view();
    view.bytes = view.bytes.first(view.bytes.size() - 1);
    CHECK_THROWS_AS(nullm::dequantize_row(view, 1, row), nullm::error);
    view = tensor.view();
    view.type = static_cast<tensor_type>(77);
    CHECK_THROWS_AS(nullm::dequantize_row(view, 0, row), nullm::error);
}
