#pragma once
// Keys without structure, and indexes over them that took detours.

#include <nullm/attention/concepts.hpp>
#include <nullm/core/matrix_view.hpp>
#include <nullm/core/thread_pool.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <cstddef>
#include <random>
#include <vector>

namespace nullm_test {

/// n positions' keys of independent normal numbers, 16 a KV head.
struct cloud {
    static constexpr std::size_t size = 16;

    cloud(std::size_t n, std::size_t kv_heads, unsigned seed)
        : rows(n), width(kv_heads * size), keys(n * width) {
        std::mt19937 random(seed);
        std::normal_distribution<float> normal;
        for (auto& x : keys) x = normal(random);
    }
    nullm::matrix_view<const float> part(std::size_t first, std::size_t count) const {
        return {keys.data() + first * width, count, width};
    }
    static nullm::attention_shape shape_of(std::size_t heads, std::size_t kv_heads,
                                           std::size_t layer_count = 1) {
        return {.heads = heads, .cache = {.layers = layer_count, .kv_heads = kv_heads, .head_size = size}};
    }

    std::size_t rows, width;
    std::vector<float> keys;
};

/// Appends 350 of the keys and 100 others to layer 1, returns a copy of that, forgets the others, and appends
/// what is left of the keys, so many at a time.
template <class Sampler>
typename Sampler::index append_with_detour(const Sampler& sampler, typename Sampler::index& index,
                                           const cloud& keys, const cloud& others, std::size_t batch,
                                           nullm::thread_pool& pool) {
    const std::size_t first = index.end(1);
    sampler.append(index, 1, keys.part(0, 350), pool);
    sampler.append(index, 1, others.part(350, 100), pool);
    auto copy = index;
    index.truncate(first + 350);
    CHECK(index.end(1) == first + 350);
    for (std::size_t at = 350; at < keys.rows; at = index.end(1) - first)
        sampler.append(index, 1, keys.part(at, std::min(batch, keys.rows - at)), pool);
    return copy;
}

}  // namespace nullm_test
