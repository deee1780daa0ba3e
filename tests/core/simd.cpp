#include <nullm/core/simd.hpp>

#include <nullm/core/random.hpp>

#include <bit>
#include <cmath>
#include <vector>

#define NULLM_KERNELS <core/lane_operations.inl>
#include <nullm/core/simd/foreach_isa.hpp>

#include <support/catch.hpp>

namespace {

constexpr nullm::isa every_level[] = {nullm::isa::scalar, nullm::isa::avx2, nullm::isa::avx512};

std::vector<std::uint32_t> bits_of(const std::vector<float>& values) {
    std::vector<std::uint32_t> bits(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) bits[i] = std::bit_cast<std::uint32_t>(values[i]);
    return bits;
}

// Magnitudes from subnormal halves to beyond the half range, both signs.
float wide_range(std::uint32_t index) {
    const nullm::draw_key key{.seed = 11};
    const float mantissa = 1.0F + nullm::draw_uniform(key, 2 * index);
    const auto bits = nullm::draw_u32(key, 2 * index + 1);
    const int exponent = static_cast<int>(bits % 44U) - 26;
    return std::ldexp((bits & 0x80000000U) != 0 ? -mantissa : mantissa, exponent);
}

}  // namespace

TEST_CASE("every instruction set computes the bits of the scalar lanes", "[core]") {
    for (std::uint32_t round = 0; round < 200; ++round) {
        float a[16], b[16], c[16];
        std::int32_t m[16], n[16];
        for (std::uint32_t l = 0; l < 16; ++l) {
            a[l] = wide_range(round * 48 + l);
            b[l] = wide_range(round * 48 + 16 + l);
            c[l] = wide_range(round * 48 + 32 + l);
            m[l] = static_cast<std::int32_t>(nullm::draw_u32({.seed = 12}, round * 32 + l));
            n[l] = static_cast<std::int32_t>(nullm::draw_u32({.seed = 12}, round * 32 + 16 + l));
        }
        std::vector<float> twin;
        std::vector<std::int32_t> integer_twin;
        nullm::scalar::all_float_operations(a, b, c, twin);
        nullm::scalar::all_integer_operations(m, n, integer_twin);
        for (const auto level : every_level) {
            if (level > nullm::detected_isa()) continue;
            std::vector<float> got;
            std::vector<std::int32_t> integers;
            NULLM_DISPATCH(level, all_float_operations(a, b, c, got));
            NULLM_DISPATCH(level, all_integer_operations(m, n, integers));
            INFO("level " << nullm::name_of(level) << ", round " << round);
            REQUIRE(bits_of(got) == bits_of(twin));
            REQUIRE(integers == integer_twin);
        }
    }
}

TEST_CASE("a product is rounded before it is added, whatever the compiler may contract", "[core]") {
    float a[16], b[16], c[16];
    for (int l = 0; l < 16; ++l) {
        a[l] = 1.0F + 0x1p-12F;
        b[l] = 1.0F + 0x1p-12F;
        c[l] = -1.0F;
    }
    std::vector<float> out;
    nullm::scalar::all_float_operations(a, b, c, out);
    // (1 + 2^-12)^2 = 1 + 2^-11 + 2^-24: rounded to a float it loses the last term, fused it keeps it.
    CHECK(out[3 * 16] == 0x1p-11F);
    CHECK(out[4 * 16] == 0x1p-11F + 0x1p-24F);
}

TEST_CASE("exp stays within one ulp of the double result and flushes below its range", "[core]") {
    double worst = 0;
    float in[16], out[16];
    for (int i = -8730; i <= 8800; ++i) {
        for (int l = 0; l < 16; ++l) in[l] = static_cast<float>(i) * 0.01F + static_cast<float>(l) * 0.0006F;
        std::vector<float> all;
        nullm::scalar::store(out, nullm::scalar::exp(nullm::scalar::load(in)));
        for (int l = 0; l < 16; ++l) {
            if (in[l] <= -87.3F || in[l] > 88.0F) continue;
            const double exact = std::exp(static_cast<double>(in[l]));
            const double ulp = std::nextafter(static_cast<float>(exact), INFINITY) - static_cast<float>(exact);
            worst = std::max(worst, std::fabs(out[l] - exact) / ulp);
        }
    }
    CHECK(worst < 1.0);
    for (int l = 0; l < 16; ++l) in[l] = l % 2 == 0 ? -88.0F : -INFINITY;
    nullm::scalar::store(out, nullm::scalar::exp(nullm::scalar::load(in)));
    for (int l = 0; l < 16; ++l) CHECK(out[l] == 0.0F);
    in[0] = 1e30F;
    nullm::scalar::store(out, nullm::scalar::exp(nullm::scalar::load(in)));
    CHECK(std::isfinite(out[0]));
}

TEMPLATE_TEST_CASE("16-bit floats convert alike in software and hardware for every pattern", "[core]", nullm::f16,
                   nullm::bf16) {
    for (std::uint32_t first = 0; first < 65536; first += 16) {
        TestType half[16];
        for (std::uint32_t l = 0; l < 16; ++l) half[l].bits = static_cast<std::uint16_t>(first + l);
        for (const auto level : every_level) {
            if (level > nullm::detected_isa()) continue;
            float wide[16];
            TestType back[16];
            NULLM_DISPATCH(level, widen(half, wide));
            NULLM_DISPATCH(level, narrow(wide, back));
            for (int l = 0; l < 16; ++l) {
                REQUIRE(std::bit_cast<std::uint32_t>(wide[l]) ==
                        std::bit_cast<std::uint32_t>(nullm::to_float(half[l])));
                REQUIRE(back[l] == nullm::from_float<TestType>(wide[l]));
                if (!std::isnan(wide[l])) REQUIRE(back[l] == half[l]);
            }
        }
    }
}

TEST_CASE("narrowing rounds to nearest, ties to even", "[core]") {
    CHECK(nullm::to_f16(1.0F + 0x1p-11F).bits == 0x3C00);                 // tie, even stays
    CHECK(nullm::to_f16(1.0F + 0x3p-11F).bits == 0x3C02);                 // tie, odd moves up
    CHECK(nullm::to_f16(65519.0F).bits == 0x7BFF);                        // largest half
    CHECK(nullm::to_f16(65520.0F).bits == 0x7C00);                        // rounds to infinity
    CHECK(nullm::to_f16(0x1p-25F).bits == 0x0000);                        // tie with zero
    CHECK(nullm::to_f16(std::nextafter(0x1p-25F, 1.0F)).bits == 0x0001);  // just above it
    CHECK(nullm::to_bf16(1.0F + 0x1p-8F).bits == 0x3F80);
    CHECK(nullm::to_bf16(1.0F + 0x3p-8F).bits == 0x3F82);
}

TEST_CASE("the environment can lower the instruction set but never raise it", "[core]") {
    CHECK(nullm::active_isa() <= nullm::detected_isa());
}
