#include <nullm/core/thread_pool.hpp>

#include <support/catch.hpp>

#include <support/sanitized.hpp>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <atomic>
#include <stdexcept>
#include <system_error>
#include <vector>

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

TEST_CASE("a pool the system has no threads for is refused, not waited for", "[core]") {
    if (support::sanitized) return;  // AddressSanitizer itself needs more memory than is left here
    const pid_t child = fork();
    if (child == 0) {
        alarm(20);  // a child that hangs is ended, and so seen
        const rlimit little{300U << 20, 300U << 20};
        setrlimit(RLIMIT_AS, &little);
        try {
            nullm::thread_pool pool(200);
        } catch (const std::system_error&) {
            _exit(7);
        } catch (const std::bad_alloc&) {
            _exit(7);
        }
        _exit(0);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 7);
}
