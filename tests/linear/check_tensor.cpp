#include <nullm/linear/check_tensor.hpp>

#include "nf4_tensor.hpp"

#include <support/catch.hpp>

#include <limits>

using nullm::check_tensor;
using nullm::tensor_type;

TEST_CASE("a tensor of every type passes with the columns it has, and with no others", "[linear]") {
    for (const tensor_type type : tensors::all_types) {
        CAPTURE(name_of(type));
        const auto tensor = tensors::random_tensor(type, 3, 64, 1);
        CHECK_NOTHROW(check_tensor(tensor.view(), 64));
        CHECK_THROWS_AS(check_tensor(tensor.view(), 96), nullm::error);
    }
    const tensors::nf4_tensor nf4(3, 64, 1);
    CHECK_NOTHROW(check_tensor(nf4.view(), 64));
    CHECK_THROWS_AS(check_tensor(nf4.view(), 96), nullm::error);
}

TEST_CASE("no columns, half a block, missing bytes, and a type that is none are refused", "[linear]") {
    const auto tensor = tensors::random_tensor(tensor_type::q4_0, 2, 64, 1);
    auto view = tensor.view();
    view.cols = 0;
    CHECK_THROWS_AS(check_tensor(view, 0), nullm::error);
    view.cols = 48;
    CHECK_THROWS_AS(check_tensor(view, 48), nullm::error);
    view = tensor.view();
    view.bytes = view.bytes.first(view.bytes.size() - 1);
    CHECK_THROWS_AS(check_tensor(view, 64), nullm::error);
    view = tensor.view();
    view.rows = std::numeric_limits<std::size_t>::max() / 18;  // rows * row_bytes overflows
    CHECK_THROWS_AS(check_tensor(view, 64), nullm::error);
    view = tensor.view();
    view.type = static_cast<tensor_type>(static_cast<int>(tensor_type::nf4) + 1);
    CHECK_THROWS_AS(check_tensor(view, 64), nullm::error);
}

TEST_CASE("an NF4 tensor needs a scale for every block of 64 of the flat array, and for the last one begun",
          "[linear]") {
    // 3 x 42 elements: two blocks, the second one not full.
    const tensors::nf4_tensor tensor(3, 42, 2);
    REQUIRE(tensor.view().scales.size() == 2);
    CHECK_NOTHROW(check_tensor(tensor.view(), 42));
    auto view = tensor.view();
    view.scales = view.scales.first(1);
    CHECK_THROWS_AS(check_tensor(view, 42), nullm::error);
    const std::vector<float> three(3, 1.0F);
    view.scales = three;
    CHECK_THROWS_AS(check_tensor(view, 42), nullm::error);
    view = tensor.view();
    view.bytes = view.bytes.first(view.bytes.size() - 1);
    CHECK_THROWS_AS(check_tensor(view, 42), nullm::error);
}

TEST_CASE("an NF4 row of an odd number of columns, which would begin inside a byte, is refused", "[linear]") {
    const tensors::nf4_tensor tensor(2, 33, 3);
    CHECK_THROWS_AS(check_tensor(tensor.view(), 33), nullm::error);
}
