// The small vocabulary types: error, step, tensor_view, matrix_view, aligned storage.
#include <nullm/core/aligned.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/matrix_view.hpp>
#include <nullm/core/step.hpp>
#include <nullm/core/tensor.hpp>

#include <support/catch.hpp>

#include <vector>

TEST_CASE("an error is one sentence of where, expected and found", "[core]") {
    const nullm::error failure("model.gguf, tensor output_norm.weight", "576 values", "575");
    CHECK(std::string(failure.what()) == "model.gguf, tensor output_norm.weight: expected 576 values, found 575");
}

TEST_CASE("a step without a token is a NULL and has a reason with a name", "[core]") {
    const nullm::step silent{};
    CHECK_FALSE(silent.token.has_value());
    CHECK(nullm::name_of(silent.reason) == "none");
    CHECK(nullm::name_of(nullm::wake_reason::context) == "context");
    CHECK(nullm::name_of(nullm::wake_reason::max_pending) == "max_pending");
}

TEST_CASE("a tensor view cuts rows at block boundaries", "[core]") {
    std::vector<std::byte> bytes(2 * 3 * 20);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
    const nullm::tensor_view tensor{"w", nullm::tensor_type::q4_1, 2, 96, bytes};
    CHECK(tensor.row_bytes() == 60);
    CHECK(tensor.row(1).size() == 60);
    CHECK(tensor.row(1)[0] == static_cast<std::byte>(60));
}

TEST_CASE("a matrix view steps rows by its stride", "[core]") {
    float values[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    const nullm::matrix_view<float> m(values, 3, 2, 4);
    CHECK(m[2][1] == 9.0F);
    CHECK(m.row(1).size() == 2);
    CHECK(m.subrows(1, 2)[1][0] == 8.0F);
    const nullm::matrix_view<const float> c = m;
    CHECK(c[0][1] == 1.0F);
}

TEST_CASE("aligned vectors start at a cache line", "[core]") {
    for (std::size_t n : {1UL, 3UL, 1000UL}) {
        const nullm::aligned_vector<float> v(n);
        CHECK(reinterpret_cast<std::uintptr_t>(v.data()) % nullm::cache_line == 0);
    }
    CHECK(nullm::round_up(17, 16) == 32);
    CHECK(nullm::round_up(32, 16) == 32);
}
