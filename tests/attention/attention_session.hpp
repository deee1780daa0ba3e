#pragma once
// Sessions of an attention over clustered keys, and what came out of them.

#include <nullm/attention/concepts.hpp>
#include <nullm/attention/exact_attention.hpp>

#include <attention/clustered_keys.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

namespace nullm_test {

inline constexpr std::size_t layers = 2;

inline nullm::attention_shape shape_of(const clustered_keys& p, std::size_t sample_from = 0) {
    return {.heads = p.heads, .cache = p.cache_shape(layers), .sample_from = sample_from};
}

// One session: a cache, an attention's state, and what came out at every position.
template <class A>
struct session {
    using T = typename A::cache_type;
    session(const A& how, const clustered_keys& problem_, unsigned threads = 1, std::size_t sample_from = 0)
        : attention(how),
          problem(&problem_),
          pool(threads),
          cache(nullm::make_cache(how, problem_.cache_shape(layers), problem_.length)),
          state(how, shape_of(problem_, sample_from)),
          o(problem_.length * problem_.width(), std::numeric_limits<float>::quiet_NaN()) {}

    // The next `count` positions in one batch.
    void run(std::size_t count, std::size_t layer = 1) {
        const std::size_t first = cache.length();
        problem->store(cache, first, first + count);
        attention.attend(
            state, layer, problem->rows(first, count), first, cache,
            nullm::matrix_view<float>(o.data() + first * problem->width(), count, problem->width()), pool);
        cache.commit(first + count);
    }
    void run_all(std::size_t batch, std::size_t layer = 1) {
        while (cache.length() < problem->length)
            run(std::min(batch, problem->length - cache.length()), layer);
    }
    void rewind(std::size_t n) {
        cache.truncate(n);
        if constexpr (nullm::KeepsIndex<A>) attention.truncate(state, n);
    }

    A attention;
    const clustered_keys* problem;
    nullm::thread_pool pool;
    nullm::kv_cache<T> cache;
    typename A::state state;
    std::vector<float> o;
};

template <class A>
std::vector<float> output(const A& attention, const clustered_keys& problem, std::size_t batch = 64,
                          unsigned threads = 1, std::size_t sample_from = 0, std::size_t layer = 1) {
    session<A> s(attention, problem, threads, sample_from);
    s.run_all(batch, layer);
    return s.o;
}

inline std::vector<float> exact_output(const clustered_keys& problem) {
    return output(nullm::exact_attention<float>{}, problem);
}

inline bool same_rows(const clustered_keys& p, const std::vector<float>& a, const std::vector<float>& b,
                      std::size_t first, std::size_t last) {
    return std::equal(a.begin() + static_cast<long>(first * p.width()),
                      a.begin() + static_cast<long>(last * p.width()),
                      b.begin() + static_cast<long>(first * p.width()));
}

// Root mean square over the heads of the last `rows` positions of |found - exact| / |exact|.
inline double mean_error(const clustered_keys& p, const std::vector<float>& found,
                         const std::vector<float>& exact, std::size_t rows) {
    double sum = 0;
    for (std::size_t i = (p.length - rows) * p.heads; i < p.length * p.heads; ++i) {
        sum += std::pow(
            relative_error(found.data() + i * p.head_size, exact.data() + i * p.head_size, p.head_size), 2);
    }
    return std::sqrt(sum / static_cast<double>(rows * p.heads));
}

}  // namespace nullm_test
