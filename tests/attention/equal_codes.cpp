#include <nullm/attention/equal_codes.hpp>
#include <nullm/core/simd.hpp>

#include <support/catch.hpp>

#include <random>
#include <vector>

TEST_CASE("equal codes are found at every place, on every instruction set", "[attention]") {
    std::mt19937 random(1);
    for (int round = 0; round < 200; ++round) {
        std::vector<std::uint16_t> codes(64);
        for (auto& c : codes) c = static_cast<std::uint16_t>(random() % 3 + (random() % 2) * 0x7F00U);
        const auto wanted = static_cast<std::uint16_t>(random() % 3);
        std::uint64_t expected = 0;
        for (std::size_t i = 0; i < 64; ++i) expected |= std::uint64_t{codes[i] == wanted} << i;
        for (const auto level : {nullm::isa::scalar, nullm::isa::avx2, nullm::isa::avx512}) {
            if (level > nullm::detected_isa()) continue;
            CHECK(NULLM_DISPATCH(level, equal_codes(codes.data(), wanted)) == expected);
        }
    }
}
