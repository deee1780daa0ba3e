#include <nullm/attention/concepts.hpp>
#include <nullm/attention/exact_attention.hpp>

#include <support/catch.hpp>

#include <vector>

namespace {

// The smallest attention: every position counts the same. (docs/concepts.md shows it.)
struct mean_attention {
    using cache_type = float;
    struct state {
        state(const mean_attention&, const nullm::attention_shape& shape) : heads(shape.heads) {}
        std::size_t heads;
    };
    void attend(state& s, std::size_t layer, nullm::matrix_view<const float> q, std::size_t first,
                const nullm::kv_cache<float>& cache, nullm::matrix_view<float> o, nullm::thread_pool&) const {
        const std::size_t size = cache.shape().head_size;
        const std::size_t group = s.heads / cache.shape().kv_heads;
        for (std::size_t row = 0; row < q.rows; ++row) {
            for (std::size_t i = 0; i < o.cols; ++i) o[row][i] = 0;
            const float weight = 1.0F / static_cast<float>(first + row + 1);
            for (std::size_t p = 0; p <= first + row; ++p) {
                for (std::size_t i = 0; i < o.cols; ++i) {
                    const float* values = cache.values(p / 256, layer, i / size / group);
                    o[row][i] =
                        __builtin_fmaf(weight, values[p % 256 * cache.value_stride() + i % size], o[row][i]);
                }
            }
        }
    }
};

struct lacks_cache_type : mean_attention {
    using cache_type = void;
};
struct stores_doubles : mean_attention {
    using cache_type = double;
};
struct lacks_state : mean_attention {
    struct state {};
};
struct attends_nothing {
    using cache_type = float;
    struct state {
        state(const attends_nothing&, const nullm::attention_shape&) {}
    };
};
struct attends_by_mutation : mean_attention {
    void attend(state&, std::size_t, nullm::matrix_view<const float>, std::size_t,
                const nullm::kv_cache<float>&, nullm::matrix_view<float>, nullm::thread_pool&) {}
};

static_assert(nullm::Attention<mean_attention>);
static_assert(nullm::Attention<nullm::exact_attention<float>>);
static_assert(nullm::Attention<nullm::exact_attention<nullm::f16>>);
static_assert(nullm::Attention<nullm::exact_attention<nullm::bf16>>);
static_assert(!nullm::Attention<int>);
static_assert(!nullm::HasCacheType<lacks_cache_type> && !nullm::Attention<lacks_cache_type>);
static_assert(!nullm::HasCacheType<stores_doubles>);
static_assert(nullm::Attends<mean_attention> && !nullm::HasAttentionState<lacks_state>);
static_assert(nullm::HasAttentionState<attends_nothing> && !nullm::Attends<attends_nothing>);
static_assert(!nullm::Attends<attends_by_mutation>);

}  // namespace

TEST_CASE("exact attention over equal keys is the mean of the values", "[attention]") {
    const nullm::attention_shape shape{.heads = 4, .cache = {.layers = 1, .kv_heads = 2, .head_size = 6}};
    nullm::kv_cache<float> cache(shape.cache, 300);
    nullm::thread_pool pool(1);
    cache.prepare(300);
    const std::vector<float> key(12, 0.5F);
    std::vector<float> value(12);
    for (std::size_t p = 0; p < 300; ++p) {
        for (std::size_t i = 0; i < 12; ++i) value[i] = static_cast<float>(p * (i + 1) % 7);
        cache.store(0, p, key, value);
    }
    cache.commit(300);
    const std::vector<float> q(2 * 24, 1.0F);
    std::vector<float> expected(q.size());
    std::vector<float> found(q.size());
    mean_attention::state simple({}, shape);
    nullm::exact_attention<float>::state state({}, shape);
    mean_attention{}.attend(simple, 0, {q.data(), 2, 24}, 298, cache, {expected.data(), 2, 24}, pool);
    nullm::exact_attention<float>{}.attend(state, 0, {q.data(), 2, 24}, 298, cache, {found.data(), 2, 24},
                                           pool);
    for (std::size_t i = 0; i < q.size(); ++i) {
        // Sums of 300 terms in two orders: each errs below 300 u of a sum of values up to 6.
        CHECK(found[i] == Approx(expected[i]).margin(2 * 300 * 6 * 6e-8));
    }
}
