#include <nullm/spike/natural_log.hpp>

#include <cmath>
#include <limits>
#include <support/catch.hpp>

TEST_CASE("the logarithm is within two units in the last place of the larger of 1 and itself", "[spike]") {
    const auto check = [](float x) {
        const double exact = std::log(static_cast<double>(x));
        const double unit = std::max(1.0, std::fabs(exact)) * 0x1p-23;
        CHECK(std::fabs(static_cast<double>(nullm::natural_log(x)) - exact) <= 2 * unit);
    };
    for (float x = std::numeric_limits<float>::min(); x < 1e38F; x *= 1.37F) check(x);
    for (int i = 0; i < 2000; ++i) check(0.5F + 0.001F * static_cast<float>(i));
    check(std::numeric_limits<float>::max());
    check(2.0F / 3.0F);  // where the exponent changes
    check(std::nextafter(2.0F / 3.0F, 0.0F));
}

TEST_CASE("the logarithm of 1 is 0, and it never falls as its argument grows", "[spike]") {
    CHECK(nullm::natural_log(1.0F) == 0.0F);
    float last = nullm::natural_log(0.4F);
    for (float x = 0.4F; x < 3.0F; x = std::nextafter(x, 4.0F) + 1e-5F) {
        const float y = nullm::natural_log(x);
        CHECK(y >= last);
        last = y;
    }
}
