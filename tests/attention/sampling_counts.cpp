#include <nullm/attention/sampling_counts.hpp>

#include <support/catch.hpp>

TEST_CASE("counts add up, and tell the share of the keys that was read", "[attention]") {
    nullm::sampling_counts sum;
    CHECK(sum.share_read() == 0);
    sum += {.queries = 1, .candidates = 90, .chosen = 5, .always = 10, .bytes = 5000, .floored = 1};
    sum += {.queries = 2, .candidates = 290, .chosen = 15, .always = 10, .bytes = 700, .floored = 0};
    CHECK(sum ==
          nullm::sampling_counts{
              .queries = 3, .candidates = 380, .chosen = 20, .always = 20, .bytes = 5700, .floored = 1});
    CHECK(sum.share_read() == 0.1);
}
