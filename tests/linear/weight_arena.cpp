#include <nullm/linear/weight_arena.hpp>

#include <support/catch.hpp>

#include <cstdint>
#include <cstring>
#include <vector>

TEST_CASE("an arena hands out aligned pieces that do not overlap and outlive it", "[linear]") {
    std::vector<nullm::weight_bytes> pieces;
    const std::size_t sizes[] = {1, 63, 64, 0, 345600, 5, 9'000'000, 100, 3'000'000};
    {
        nullm::weight_arena arena;
        for (const std::size_t size : sizes) pieces.push_back(arena.allocate(size));
    }
    for (std::size_t i = 0; i < pieces.size(); ++i) {
        REQUIRE(pieces[i].size == sizes[i]);
        REQUIRE(reinterpret_cast<std::uintptr_t>(pieces[i].first.get()) % nullm::cache_line == 0);
        std::memset(pieces[i].first.get(), static_cast<int>(i), sizes[i]);
    }
    for (std::size_t i = 0; i < pieces.size(); ++i) {
        for (std::size_t k = 0; k < sizes[i]; ++k) {
            if (pieces[i].first.get()[k] != static_cast<std::byte>(i))
                FAIL("piece " << i << " was overwritten");
        }
    }
}

TEST_CASE("small pieces share an allocation, large ones start at a huge page", "[linear]") {
    nullm::weight_arena arena;
    const auto a = arena.allocate(1000);
    const auto b = arena.allocate(1000);
    CHECK(b.first.get() - a.first.get() == 1024);
    const auto alone = nullm::allocate_weights(nullm::huge_page);
    CHECK(reinterpret_cast<std::uintptr_t>(alone.first.get()) % nullm::huge_page == 0);
    CHECK(nullm::allocate_weights(0).first != nullptr);
}
