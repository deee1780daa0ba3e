#include <nullm/attention/key_mean.hpp>

#include <attention/clustered_keys.hpp>
#include <support/catch.hpp>

#include <limits>
#include <vector>

TEMPLATE_TEST_CASE("the mean is that of the stored keys of a range", "[attention]", float, nullm::f16,
                   nullm::bf16) {
    const nullm_test::clustered_keys problem(2, 2, 20, 600);
    const bool in_rows = GENERATE(false, true);
    nullm::kv_cache<TestType> cache(problem.cache_shape(2), 600, {false, in_rows});
    problem.store(cache, 0, 600);
    std::vector<float> mean(20);
    std::vector<float> centred(20);
    nullm::mean_key(cache, 1, 1, 3, 517, mean);
    for (std::size_t d = 0; d < 20; ++d) {
        double expected = 0;
        for (std::size_t p = 3; p < 517; ++p) {
            expected += nullm::to_float(nullm::from_float<TestType>(problem.k[p * 40 + 20 + d]));
        }
        CHECK(mean[d] == static_cast<float>(expected / 514));
    }
    nullm::centred_key(cache, 1, 1, 300, mean, centred);
    for (std::size_t d = 0; d < 20; ++d) {
        CHECK(centred[d] ==
              nullm::to_float(nullm::from_float<TestType>(problem.k[300 * 40 + 20 + d])) - mean[d]);
    }
}

TEST_CASE("a key that is the mean, or not finite, has no direction", "[attention]") {
    nullm::kv_cache<float> cache({1, 1, 4}, 4);
    cache.prepare(4);
    const std::vector<float> value(4);
    cache.store(0, 0, std::vector<float>{1, 2, 3, 4}, value);
    cache.store(0, 1, std::vector<float>{1, 2, 3, 4.001F}, value);
    cache.store(0, 2, std::vector<float>{1, 2, 3, std::numeric_limits<float>::infinity()}, value);
    cache.store(0, 3, std::vector<float>{1, 2, 3, 4.1F}, value);
    const std::vector<float> mean{1, 2, 3, 4};
    std::vector<float> centred(4);
    for (const std::size_t p : {0, 1, 2}) {
        nullm::centred_key(cache, 0, 0, p, mean, centred);
        CHECK(centred == std::vector<float>(4, 0.0F));
    }
    nullm::centred_key(cache, 0, 0, 3, mean, centred);
    CHECK(centred[3] == 4.1F - 4.0F);
}
