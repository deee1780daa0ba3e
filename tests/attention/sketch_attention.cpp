#include <nullm/attention/sketch_attention.hpp>

#include <attention/attention_session.hpp>
#include <attention/clustered_keys.hpp>
#include <attention/sampled_properties.hpp>
#include <support/catch.hpp>
#include <support/same_bits.hpp>

#include <vector>

namespace {

using nullm::isa;
using nullm::sketch_attention;
using nullm_test::clustered_keys;
using nullm_test::exact_output;
using nullm_test::mean_error;
using nullm_test::output;
using nullm_test::session;
using support::same_bits;

// Samples layer 1 from position 105 on, layer 0 never.
template <int bits = 2, class T = float>
sketch_attention<bits, T> sampled(isa level = nullm::active_isa(), std::size_t least = 40) {
    return {
        .sampler = {.seed = 11, .budget = {.share = 0.1F, .least = least}, .min_indexed = 90, .level = level},
        .sinks = 3,
        .window = 13,
        .dense_every = 2,
        .level = level};
}

template <int bits>
void check_any_batch(const clustered_keys& p) {
    const auto expected = output(sampled<bits>(isa::scalar), p, 1, 1);
    REQUIRE(!same_bits(expected, exact_output(p)));
    for (const isa level : {isa::scalar, isa::avx2, isa::avx512, isa::vnni}) {
        if (level > nullm::detected_isa()) continue;
        for (const auto& [m, threads] : {std::pair{1, 2U}, {7, 5U}, {64, 1U}, {500, 2U}}) {
            INFO(bits << " bits, " << name_of(level) << ", batches of " << m << ", " << threads
                      << " threads");
            CHECK(same_bits(output(sampled<bits>(level), p, static_cast<std::size_t>(m), threads), expected));
        }
    }
}

}  // namespace

TEST_CASE("sketch attention gives the same bits in any batch, on any threads and instruction set",
          "[attention]") {
    for (const auto& p :
         {clustered_keys(6, 2, 20, 430), clustered_keys(5, 1, 16, 300), clustered_keys(3, 3, 64, 300)}) {
        check_any_batch<1>(p);
        check_any_batch<2>(p);
        check_any_batch<4>(p);
    }
}

TEST_CASE("with a limit to the error, sketch attention gives the same bits in any batch, too",
          "[attention]") {
    const clustered_keys p(6, 2, 20, 430);
    auto how = sampled(isa::scalar, 20);
    how.error_limit = 0.25F;
    session one(how, p);
    one.run_all(1);
    const auto& counts = how.counts(one.state);
    CHECK(counts.refined > 20);
    CHECK(counts.dense > 5);
    CHECK(counts.dense < counts.refined);
    CHECK(counts.refined < counts.queries);
    for (const isa level : {isa::avx2, isa::avx512, isa::vnni}) {
        if (level > nullm::detected_isa()) continue;
        how.level = how.sampler.level = level;
        session other(how, p, 3);
        other.run_all(100);
        CHECK(same_bits(other.o, one.o));
        CHECK(how.counts(other.state) == counts);
    }
}

TEST_CASE("a floor of 1 gives exact attention", "[attention]") {
    const clustered_keys p(6, 2, 20, 400);
    auto all = sampled();
    all.sampler.floor = 1;
    const auto found = output(all, p);
    const auto exact = exact_output(p);
    CHECK(!same_bits(found, exact));  // other order of sums
    for (std::size_t i = 0; i < found.size(); ++i) REQUIRE(found[i] == Approx(exact[i]).margin(1e-5));
}

TEST_CASE("the error falls with the budget and with the bits of a sketch", "[attention]") {
    const clustered_keys p(4, 2, 64, 600);
    const auto exact = exact_output(p);
    const auto error = [&](auto how, std::size_t least) {
        double sum = 0;
        for (std::uint64_t seed = 0; seed < 5; ++seed) {
            how.sampler.seed = seed;
            how.sampler.budget.least = least;
            sum += mean_error(p, output(how, p, 600, 2, 560), exact, 40);
        }
        return sum / 5;
    };
    const double few = error(sampled<2>(), 30);
    const double some = error(sampled<2>(), 80);
    const double many = error(sampled<2>(), 300);
    INFO(few << ' ' << some << ' ' << many);
    CHECK(some < few);
    CHECK(many < some);
    CHECK(many < 0.1);
    // More bits also find fewer keys worth reading, so that two and four come out alike here.
    const double signs = error(sampled<1>(), 80);
    CHECK(signs > some);
    CHECK(error(sampled<4>(), 80) < signs);
}

TEST_CASE("a sketch session that went back, or took over a snapshot, gives the bits of one that did not",
          "[attention]") {
    const clustered_keys p(4, 2, 16, 420);
    const clustered_keys wrong(4, 2, 16, 420, 2);
    session s(sampled(), p, 2);
    nullm_test::there_and_back(s, p, wrong);
    CHECK(same_bits(s.o, output(sampled(), p)));
    nullm_test::check_snapshot(sampled(), p, wrong);
}

TEST_CASE("a cache that interleaves its keys gives the same bits, only slower", "[attention]") {
    const clustered_keys p(6, 2, 20, 300);
    const auto how = sampled<2, nullm::f16>();
    session in_rows(how, p);
    REQUIRE(in_rows.cache.keys_in_rows(1));
    REQUIRE(!in_rows.cache.keys_in_rows(0));
    session interleaved(how, p);
    interleaved.cache = nullm::kv_cache<nullm::f16>(p.cache_shape(2), p.length);
    in_rows.run_all(50);
    interleaved.run_all(50);
    CHECK(same_bits(in_rows.o, interleaved.o));
}

TEST_CASE("what the certificate lets pass is within its limit, for all but one query in twenty",
          "[attention]") {
    // Held out: nothing was fitted to these. Groups of one head, so that an estimate is of one error.
    constexpr float limit = 0.1F;
    const clustered_keys p(4, 4, 64, 1400, 9);
    const auto exact = exact_output(p);
    auto how = sampled<2>(nullm::active_isa(), 60);
    how.sampler.floor = 0x1p-7F;
    how.error_limit = limit;
    session s(how, p, 2);
    s.run_all(200);
    std::size_t above = 0;
    std::size_t queries = 0;
    for (std::size_t i = 300 * p.heads; i < p.length * p.heads; ++i, ++queries) {
        const double error = nullm_test::relative_error(s.o.data() + i * 64, exact.data() + i * 64, 64);
        above += error > static_cast<double>(limit) ? 1 : 0;
    }
    const auto& counts = how.counts(s.state);
    INFO(above << " of " << queries << " above the limit; " << counts.refined << " read more, "
               << counts.dense << " all");
    CHECK(static_cast<double>(above) <= 0.05 * static_cast<double>(queries));
    CHECK(counts.refined > 0);
    CHECK(counts.dense < counts.queries);  // or it would say nothing
    CHECK(counts.effective > counts.queries);
}

TEST_CASE("the estimated error is that which is seen, in the mean square", "[attention]") {
    const clustered_keys p(4, 4, 64, 900, 3);
    const auto exact = exact_output(p);
    auto how = sampled<2>(nullm::active_isa(), 120);
    how.error_limit = 100;  // an estimate, and no consequence
    session s(how, p, 2);
    s.run_all(200);
    const auto& counts = how.counts(s.state);
    const double estimated = static_cast<double>(counts.error) * 1e-6 / static_cast<double>(counts.queries);
    double seen = 0;
    for (std::size_t i = 105 * p.heads; i < p.length * p.heads; ++i)
        seen += nullm_test::relative_error(s.o.data() + i * 64, exact.data() + i * 64, 64);
    seen /= static_cast<double>((p.length - 105) * p.heads);
    INFO("estimated " << estimated << ", seen " << seen);
    CHECK(counts.refined == 0);
    CHECK(estimated > 0.7 * seen);
    CHECK(estimated < 1.4 * seen);
}

TEST_CASE("extreme inputs leave sketch attention finite and inside the hull of the values", "[attention]") {
    nullm_test::check_extreme_inputs(sampled());
}
