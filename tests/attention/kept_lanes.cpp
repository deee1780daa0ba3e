#include <nullm/attention/kept_lanes.hpp>

#include <support/catch.hpp>

#include <bit>
#include <random>
#include <vector>

namespace {

// Out of memory, as a kernel of the instruction set has them: the lanes of one are no argument to another.
#define NULLM_TEST_KEEP(name)                                                                              \
    std::size_t keep_##name(unsigned mask, const float* u, std::uint32_t* positions, float* chances) {     \
        return nullm::name::keep_lanes(static_cast<nullm::name::mask16>(mask), 1000, nullm::name::load(u), \
                                       positions, chances);                                                \
    }

NULLM_TEST_KEEP(scalar)
#if defined(__x86_64__)
NULLM_BEGIN_AVX2
NULLM_TEST_KEEP(avx2)
NULLM_END_TARGET
NULLM_BEGIN_AVX512
NULLM_TEST_KEEP(avx512)
NULLM_END_TARGET
#endif

using keeper = std::size_t (*)(unsigned, const float*, std::uint32_t*, float*);

void check(keeper keep) {
    float u[16];
    for (std::size_t l = 0; l < 16; ++l) u[l] = 0.5F + static_cast<float>(l) / 64;
    std::mt19937 random(5);
    std::vector<unsigned> masks{0, 0xFFFF, 1, 0x8000};
    for (int i = 0; i < 200; ++i) masks.push_back(random() & 0xFFFFU);
    for (const unsigned mask : masks) {
        std::vector<std::uint32_t> positions(17, 7);
        std::vector<float> chances(17, 7);
        const std::size_t n = keep(mask, u, positions.data(), chances.data());
        REQUIRE(n == static_cast<std::size_t>(std::popcount(mask)));
        std::size_t at = 0;
        for (std::uint32_t l = 0; l < 16; ++l) {
            if ((mask >> l & 1U) == 0) continue;
            REQUIRE(positions[at] == 1000 + l);
            REQUIRE(chances[at++] == u[l]);
        }
        REQUIRE(positions[16] == 7);
        REQUIRE(chances[16] == 7);
    }
}

}  // namespace

TEST_CASE("the lanes a mask keeps are packed in order, and no more than sixteen elements written",
          "[attention]") {
    check(keep_scalar);
#if defined(__x86_64__)
    if (nullm::detected_isa() >= nullm::isa::avx2) check(keep_avx2);
    if (nullm::detected_isa() >= nullm::isa::avx512) check(keep_avx512);
#endif
}
