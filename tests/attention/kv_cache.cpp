#include <nullm/attention/kv_cache.hpp>

#include <support/catch.hpp>

#include <limits>
#include <random>
#include <vector>

namespace {

using nullm::kv_cache;

constexpr nullm::kv_shape shape{.layers = 2, .kv_heads = 3, .head_size = 20};
constexpr std::size_t width = shape.kv_heads * shape.head_size;

// What position p holds: a number that names layer, position and element exactly in all three types (8 bits).
float element(std::size_t layer, std::size_t position, std::size_t i, int version) {
    return static_cast<float>((layer * 7 + position * 3 + i * 5 + static_cast<std::size_t>(version) * 31) %
                              251);
}

template <class T>
void append(kv_cache<T>& cache, std::size_t count, int version = 0, nullm::isa level = nullm::active_isa()) {
    const std::size_t first = cache.length();
    cache.prepare(first + count);
    std::vector<float> key(width);
    std::vector<float> value(width);
    for (std::size_t layer = 0; layer < shape.layers; ++layer) {
        for (std::size_t p = first; p < first + count; ++p) {
            for (std::size_t i = 0; i < width; ++i) {
                key[i] = element(layer, p, i, version);
                value[i] = -element(layer, p, i, version);
            }
            cache.store(layer, p, key, value, level);
        }
    }
    cache.commit(first + count);
}

template <class T>
bool holds(const kv_cache<T>& cache, std::size_t first, std::size_t last, int version = 0) {
    for (std::size_t layer = 0; layer < shape.layers; ++layer) {
        for (std::size_t p = first; p < last; ++p) {
            for (std::size_t i = 0; i < width; ++i) {
                const std::size_t head = i / shape.head_size;
                const std::size_t d = i % shape.head_size;
                const std::size_t at = p % 256;
                const T* keys = cache.keys(p / 256, layer, head);
                const T* values = cache.values(p / 256, layer, head);
                const float expected = element(layer, p, i, version);
                const std::size_t place = cache.keys_in_rows(layer)
                                              ? at * cache.value_stride() + d
                                              : (at / 16 * shape.head_size + d) * 16 + at % 16;
                if (nullm::to_float(keys[place]) != expected) return false;
                if (nullm::to_float(values[at * cache.value_stride() + d]) != -expected) return false;
            }
        }
    }
    return true;
}

}  // namespace

TEMPLATE_TEST_CASE("a cache holds what was appended, chunk after chunk", "[attention]", float, nullm::f16,
                   nullm::bf16) {
    kv_cache<TestType> cache(shape, 1000);
    CHECK(cache.length() == 0);
    CHECK(cache.allocated_bytes() == 0);
    append(cache, 250);
    append(cache, 1);
    append(cache, 300);
    CHECK(cache.length() == 551);
    CHECK(holds(cache, 0, 551));
    // Three chunks of 2 layers x 3 heads x 256 x (a key and a value of 20 elements, padded to 32).
    CHECK(cache.allocated_bytes() == 3 * 2 * 3 * 256 * (32 + 32) * sizeof(TestType));
}

TEMPLATE_TEST_CASE("a layer may have its keys in rows, padded with zeros as its values are", "[attention]",
                   float, nullm::f16, nullm::bf16) {
    for (const std::vector<bool>& rows : {std::vector<bool>{false, true}, {true}, {true, true, true}}) {
        for (const auto level : {nullm::isa::scalar, nullm::isa::avx2, nullm::isa::avx512}) {
            if (level > nullm::detected_isa()) continue;
            kv_cache<TestType> cache(shape, 1000, rows);
            CHECK(cache.keys_in_rows(0) == rows[0]);
            CHECK(cache.keys_in_rows(1) == (rows.size() > 1));
            append(cache, 551, 0, level);
            const kv_cache<TestType> saved = cache;
            cache.truncate(300);
            append(cache, 100, 1, level);
            CHECK(holds(saved, 0, 551));
            CHECK(holds(cache, 0, 300));
            CHECK(holds(cache, 300, 400, 1));
            const std::size_t layer = rows[0] ? 0 : 1;
            for (std::size_t d = 20; d < 32; ++d)
                CHECK(nullm::to_float(saved.keys(1, layer, 2)[17 * saved.value_stride() + d]) == 0.0F);
        }
    }
}

TEST_CASE("a cache takes over no keys that lie in another way", "[attention]") {
    kv_cache<float> in_rows(shape, 100, {false, true});
    kv_cache<float> interleaved(shape, 100);
    append(in_rows, 20);
    append(interleaved, 10, 1);
    CHECK_THROWS_WITH(interleaved.adopt(in_rows), Catch::Contains("a snapshot of the same attention"));
    CHECK(holds(interleaved, 0, 10, 1));
    kv_cache<float> same(shape, 100, {false, true, true});  // there is no third layer
    same.adopt(in_rows);
    CHECK(holds(same, 0, 20));
}

TEMPLATE_TEST_CASE("every instruction set stores the same bits", "[attention]", float, nullm::f16,
                   nullm::bf16) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal(0.0F, 3.0F);
    std::vector<float> key(width);
    std::vector<float> value(width);
    for (auto& x : key) x = normal(random);
    for (auto& x : value) x = normal(random);
    key[0] = std::numeric_limits<float>::infinity();
    value[1] = 1e-8F;
    value[2] = 1e30F;
    kv_cache<TestType> expected(shape, 16);
    expected.prepare(16);
    expected.store(1, 5, key, value, nullm::isa::scalar);
    for (const nullm::isa level : {nullm::isa::avx2, nullm::isa::avx512}) {
        if (level > nullm::detected_isa()) continue;
        kv_cache<TestType> cache(shape, 16);
        cache.prepare(16);
        cache.store(1, 5, key, value, level);
        for (std::size_t head = 0; head < shape.kv_heads; ++head) {
            const TestType* a = expected.keys(0, 1, head);
            const TestType* b = cache.keys(0, 1, head);
            CHECK(std::equal(a, a + 256 * (20 + 32), b));
        }
    }
}

TEST_CASE("truncating forgets the tail and lets it be written anew", "[attention]") {
    kv_cache<nullm::f16> cache(shape, 1000);
    append(cache, 600);
    cache.truncate(700);
    CHECK(cache.length() == 600);
    cache.truncate(255);
    CHECK(cache.length() == 255);
    CHECK(holds(cache, 0, 255));
    append(cache, 300, 1);
    CHECK(holds(cache, 0, 255, 0));
    CHECK(holds(cache, 255, 555, 1));
}

TEST_CASE("truncating frees chunks but one", "[attention]") {
    kv_cache<nullm::f16> cache(shape, 2000);
    append(cache, 1);
    const std::size_t chunk = cache.allocated_bytes();
    append(cache, 1500);
    CHECK(cache.allocated_bytes() == 6 * chunk);
    cache.truncate(300);
    CHECK(cache.allocated_bytes() == 3 * chunk);
    cache.truncate(0);
    CHECK(cache.allocated_bytes() == 1 * chunk);
}

TEST_CASE("a copy shares chunks, and neither side sees what the other writes", "[attention]") {
    kv_cache<float> cache(shape, 1000);
    append(cache, 400);
    const kv_cache<float> saved = cache;
    CHECK(saved.keys(0, 0, 0) == cache.keys(0, 0, 0));
    CHECK(saved.keys(1, 0, 0) == cache.keys(1, 0, 0));

    append(cache, 10, 1);
    CHECK(saved.keys(0, 0, 0) == cache.keys(0, 0, 0));  // full chunks stay shared
    CHECK(saved.keys(1, 0, 0) != cache.keys(1, 0, 0));
    CHECK(saved.length() == 400);
    CHECK(holds(saved, 0, 400));
    CHECK(holds(cache, 0, 400));
    CHECK(holds(cache, 400, 410, 1));

    cache.truncate(100);
    append(cache, 310, 2);
    CHECK(holds(saved, 0, 400));
    CHECK(holds(cache, 100, 410, 2));

    cache.adopt(saved);
    CHECK(cache.length() == 400);
    CHECK(holds(cache, 0, 400));
    kv_cache<float> other(shape, 500);
    other.adopt(saved);
    append(other, 50, 3);
    append(cache, 50, 4);
    CHECK(holds(other, 400, 450, 3));
    CHECK(holds(cache, 400, 450, 4));
    CHECK(holds(saved, 0, 400));
}

TEST_CASE("a cache refuses what it cannot hold, unchanged", "[attention]") {
    kv_cache<nullm::bf16> cache(shape, 300);
    append(cache, 300);
    CHECK_THROWS_WITH(cache.prepare(301), "kv cache: expected at most 300 positions, found 301");
    CHECK(cache.length() == 300);
    kv_cache<nullm::bf16> small(shape, 299);
    CHECK_THROWS_WITH(small.adopt(cache),
                      "kv cache: expected a snapshot of at most 299 positions, found 300");
    CHECK(small.length() == 0);
    kv_cache<nullm::bf16> other({.layers = 2, .kv_heads = 3, .head_size = 21}, 300);
    CHECK_THROWS_AS(other.adopt(cache), nullm::error);
    CHECK_THROWS_AS(kv_cache<float>({.layers = 0, .kv_heads = 1, .head_size = 1}, 1), nullm::error);
    CHECK_THROWS_AS(kv_cache<float>({.layers = 1U << 20U, .kv_heads = 1U << 20U, .head_size = 64}, 1),
                    nullm::error);
}
