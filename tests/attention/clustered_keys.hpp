#pragma once
// Queries, keys and values as attention meets them: keys in a narrow cone around a common mean, in clusters,
// with queries that look for one of these.

#include <nullm/attention/kv_cache.hpp>
#include <nullm/core/matrix_view.hpp>
#include <nullm/core/thread_pool.hpp>

#include <cmath>
#include <cstddef>
#include <random>
#include <vector>

namespace nullm_test {

struct clustered_keys {
    clustered_keys(std::size_t heads_, std::size_t kv_heads_, std::size_t head_size_, std::size_t length_,
                   unsigned seed = 1, double focus = 1.0)
        : heads(heads_),
          kv_heads(kv_heads_),
          head_size(head_size_),
          length(length_),
          q(length * heads * head_size),
          k(length * kv_heads * head_size),
          v(k.size()) {
        std::mt19937 random(seed);
        std::normal_distribution<float> normal;
        constexpr std::size_t clusters = 24;
        std::vector<float> mean(kv_heads * head_size);
        std::vector<float> centre(clusters * kv_heads * head_size);
        for (auto& x : mean) x = 2 * normal(random);
        for (auto& x : centre) x = normal(random);
        const std::size_t width = kv_heads * head_size;
        for (std::size_t p = 0; p < length; ++p) {
            const std::size_t c = random() % clusters;
            for (std::size_t i = 0; i < width; ++i) {
                k[p * width + i] = mean[i] + centre[c * width + i] + 0.6F * normal(random);
                v[p * width + i] = normal(random) + centre[c * width + i];
            }
            for (std::size_t h = 0; h < heads; ++h) {
                const std::size_t wanted = random() % clusters;
                const std::size_t at = wanted * width + h / (heads / kv_heads) * head_size;
                for (std::size_t d = 0; d < head_size; ++d) {
                    q[(p * heads + h) * head_size + d] =
                        static_cast<float>(focus) * centre[at + d] + 0.8F * normal(random);
                }
            }
        }
    }

    nullm::kv_shape cache_shape(std::size_t layers) const { return {layers, kv_heads, head_size}; }
    std::size_t width() const { return heads * head_size; }
    nullm::matrix_view<const float> rows(std::size_t first, std::size_t count) const {
        return {q.data() + first * width(), count, width()};
    }

    /// Stores positions [first, last) in every layer of the cache.
    template <class T>
    void store(nullm::kv_cache<T>& cache, std::size_t first, std::size_t last) const {
        const std::size_t size = kv_heads * head_size;
        cache.prepare(last);
        for (std::size_t layer = 0; layer < cache.shape().layers; ++layer) {
            for (std::size_t p = first; p < last; ++p) {
                cache.store(layer, p, {k.data() + p * size, size}, {v.data() + p * size, size});
            }
        }
    }

    std::size_t heads, kv_heads, head_size, length;
    std::vector<float> q, k, v;
};

/// |a - b| / |b|.
inline double relative_error(const float* a, const float* b, std::size_t n) {
    double difference = 0;
    double length = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const double x = static_cast<double>(a[i]) - static_cast<double>(b[i]);
        difference += x * x;
        length += static_cast<double>(b[i]) * static_cast<double>(b[i]);
    }
    return std::sqrt(difference / length);
}

}  // namespace nullm_test
