#include <nullm/spike/neuron_parameter.hpp>

#include <limits>
#include <support/catch.hpp>

using nullm::neuron_parameter;

TEST_CASE("a shared parameter suits any width, a list only its own", "[spike]") {
    const neuron_parameter shared = 0.5F;
    CHECK_FALSE(shared.per_neuron());
    CHECK(shared.values().size() == 1);
    CHECK_NOTHROW(shared.check_width(1000));
    const neuron_parameter each = std::vector<float>{1.0F, 2.0F};
    CHECK(each.per_neuron());
    CHECK_NOTHROW(each.check_width(2));
    CHECK_THROWS_AS(each.check_width(3), nullm::error);
    CHECK_THROWS_AS(each.check_width(1), nullm::error);
}

TEST_CASE("a parameter that is no number, or a list of none, is refused", "[spike]") {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    CHECK_THROWS_AS(neuron_parameter(nan), nullm::error);
    CHECK_THROWS_AS(neuron_parameter(std::vector<float>{1.0F, nan}), nullm::error);
    CHECK_THROWS_AS(neuron_parameter(std::vector<float>{}), nullm::error);
    CHECK_NOTHROW(neuron_parameter(std::numeric_limits<float>::infinity()));
}
