#include <nullm/core/random.hpp>

#include <support/catch.hpp>

TEST_CASE("philox gives the Random123 known answers", "[core]") {
    using block = std::array<std::uint32_t, 4>;
    CHECK(nullm::philox4x32({0, 0, 0, 0}, {0, 0}) == block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    CHECK(nullm::philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) ==
          block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    CHECK(nullm::philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
          block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("draws depend on every part of their key", "[core]") {
    const nullm::draw_key key{.seed = 7, .stream = nullm::draw_stream::encoder, .position = 3};
    auto other = key;
    CHECK(nullm::draw_u32(key) == nullm::draw_u32(other));
    other.seed = 8;
    CHECK(nullm::draw_u32(key) != nullm::draw_u32(other));
    other = key;
    other.stream = nullm::draw_stream::sampler;
    CHECK(nullm::draw_u32(key) != nullm::draw_u32(other));
    other = key;
    other.position = std::int64_t{3} << 32;
    CHECK(nullm::draw_u32(key) != nullm::draw_u32(other));
    other = key;
    other.repeat = 1;
    CHECK(nullm::draw_u32(key) != nullm::draw_u32(other));
    CHECK(nullm::draw_u32(key, 0) != nullm::draw_u32(key, 1));
}

TEST_CASE("uniform draws lie in the unit interval", "[core]") {
    const nullm::draw_key key{.seed = 1};
    double sum = 0;
    for (std::uint32_t i = 0; i < 4096; ++i) {
        const float u = nullm::draw_uniform(key, i);
        const double d = nullm::draw_uniform_double(key, i);
        REQUIRE((u >= 0.0F && u < 1.0F));
        REQUIRE((d >= 0.0 && d < 1.0));
        sum += u;
    }
    CHECK(sum / 4096 == Approx(0.5).margin(5 * 0.2887 / 64));  // five standard errors of a uniform mean
}
