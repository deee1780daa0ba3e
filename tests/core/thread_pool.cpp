#include <nullm/core/thread_pool.hpp>

#include <support/catch.hpp>

#include <numeric>
#include <stdexcept>

TEST_CASE("ranges cover every index once and respect the grain", "[core]") {
    for (const unsigned threads : {1U, 2U, 5U}) {
        nullm::thread_pool pool(threads);
        CHECK(pool.size() == threads);
        for (const std::size_t count : {0UL, 1UL, 6UL, 7UL, 8UL, 1000UL}) {
            std::vector<std::atomic<int>> seen(count);
            std::atomic<bool> sized{true};  // Catch2's assertions are not for several threads
            pool.for_each_range(count, 7, [&](std::size_t begin, std::size_t end) {
                if (begin >= end || end - begin > 7) sized = false;
                for (std::size_t i = begin; i < end; ++i) seen[i].fetch_add(1);
            });
            CHECK(sized);
            for (const auto& times : seen) REQUIRE(times == 1);
        }
    }
}

TEST_CASE("a pool runs thousands of short jobs in a row", "[core]") {
    nullm::thread_pool pool(2);
    std::atomic<std::size_t> total{0};
    for (int job = 0; job < 5000; ++job) {
        pool.for_each_range(16, 1, [&](std::size_t begin, std::size_t end) { total += end - begin; });
    }
    CHECK(total == 5000 * 16);
}

TEST_CASE("an exception in a range reaches the caller and the pool goes on working", "[core]") {
    nullm::thread_pool pool(3);
    for (int round = 0; round < 50; ++round) {
        CHECK_THROWS_AS(pool.for_each_range(100, 1,
                                            [](std::size_t begin, std::size_t) {
                                                if (begin == 13) throw std::runtime_error("range 13");
                                            }),
                        std::runtime_error);
        std::atomic<int> after{0};
        pool.for_each_range(10, 1, [&](std::size_t, std::size_t) { ++after; });
        CHECK(after == 10);
    }
}
