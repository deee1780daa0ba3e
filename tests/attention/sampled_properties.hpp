#pragma once
// What sampled attention keeps whatever its sampler. `attention` samples layer 1 from position 105 on.

#include <attention/attention_session.hpp>
#include <attention/clustered_keys.hpp>
#include <support/catch.hpp>
#include <support/same_bits.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <random>

namespace nullm_test {

/// Runs all of p in steps of many lengths, with other tokens for a while and back in between: mostly not far,
/// sometimes below the range of the mean.
template <class A>
void there_and_back(session<A>& s, const clustered_keys& p, const clustered_keys& wrong) {
    std::mt19937 random(5);
    while (s.cache.length() < p.length) {
        s.run(std::min<std::size_t>(1 + random() % 40, p.length - s.cache.length()));
        if (random() % 3 == 0 && s.cache.length() < p.length) {
            const std::size_t back = s.cache.length();
            s.problem = &wrong;
            const std::size_t n =
                random() % 4 == 0 ? random() % back : back - std::min<std::size_t>(back, random() % 20);
            s.rewind(n);
            s.run(std::min<std::size_t>(1 + random() % 60, p.length - n));
            s.problem = &p;
            s.rewind(n);
        }
    }
}

/// A snapshot of 220 positions, taken over by the session it was taken of and by another.
template <class A>
void check_snapshot(const A& attention, const clustered_keys& p, const clustered_keys& wrong) {
    const auto expected = output(attention, p);
    session s(attention, p);
    s.run(220);
    const auto cache = s.cache;
    const auto saved = s.attention.save(s.state);
    s.problem = &wrong;
    s.rewind(150);
    s.run(200);
    s.problem = &p;
    s.cache.adopt(cache);
    s.attention.restore(s.state, saved);
    s.run_all(30);
    CHECK(same_rows(p, s.o, expected, 220, p.length));

    session other(attention, p, 2);
    other.cache.adopt(cache);
    other.attention.restore(other.state, saved);
    std::copy_n(expected.begin(), 220 * p.width(), other.o.begin());
    other.run_all(64);
    CHECK(support::same_bits(other.o, expected));
}

/// Outputs stay within the range of the values below them; where keys or queries have no direction, every key
/// is read.
template <class A>
void check_extreme_inputs(const A& attention) {
    enum { zero_query, equal_keys, large_scores, huge_scores, parallel, zero_keys, tiny_keys };
    for (const int what :
         {zero_query, equal_keys, large_scores, huge_scores, parallel, zero_keys, tiny_keys}) {
        clustered_keys p(4, 2, 16, 260);
        if (what == zero_query) std::fill(p.q.begin(), p.q.end(), 0.0F);
        if (what == zero_keys) std::fill(p.k.begin(), p.k.end(), 0.0F);
        for (std::size_t i = 0; i < p.k.size(); ++i) {
            if (what == equal_keys) p.k[i] = static_cast<float>(i % 32);
            if (what == tiny_keys) p.k[i] *= 1e-25F;
            if (what == large_scores) p.k[i] *= 100;
            if (what == huge_scores) p.k[i] *= 1000;
            if (what == parallel) p.k[i] = static_cast<float>(i / 32 % 7);
        }
        for (auto& x : p.q) {
            if (what == large_scores) x *= 100;
            if (what == huge_scores) x *= 1000;
            if (what == parallel) x = 0.37F;
        }
        const auto found = output(attention, p, 64, 2);
        INFO("case " << what);
        for (std::size_t i = 0; i < p.width(); ++i) {
            const std::size_t at = i / 32 * 16 + i % 16;
            float low = std::numeric_limits<float>::infinity();
            float high = -low;
            for (std::size_t position = 0; position < p.length; ++position) {
                low = std::min(low, p.v[position * 32 + at]);
                high = std::max(high, p.v[position * 32 + at]);
                const float x = found[position * p.width() + i];
                const float slack = 1e-4F * (1 + std::max(std::fabs(low), std::fabs(high)));
                REQUIRE(x >= low - slack);
                REQUIRE(x <= high + slack);
            }
        }
        if (what == zero_query || what == equal_keys || what == zero_keys)
            CHECK(mean_error(p, found, exact_output(p), 200) < 1e-5);
    }
}

}  // namespace nullm_test
