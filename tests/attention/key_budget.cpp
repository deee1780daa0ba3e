#include <nullm/attention/key_budget.hpp>

#include <support/catch.hpp>

TEST_CASE("a budget is a share of the keys, or its least", "[attention]") {
    const nullm::key_budget budget{.share = 0.25F, .least = 100};
    CHECK(budget.of(4000) == 1000);
    CHECK(budget.of(40) == 100);
}

TEST_CASE("far beyond what a share is meant for, a budget grows with the root of the keys", "[attention]") {
    const nullm::key_budget budget{.share = 0.25F, .least = 100, .linear_until = 4000};
    CHECK(budget.of(4000) == 1000);
    CHECK(budget.of(16000) == 2000);
    CHECK(budget.of(400) == 100);
}
