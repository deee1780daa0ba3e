// Attention and the work on single rows at SmolLM2-135M's shapes, by instruction set.
//
//   nullm_bench_attention --benchmark_repetitions=5 --benchmark_report_aggregates_only=true
//
// "attend" is one pass of m rows through the attention of all 30 layers at a depth, each layer with keys and
// values of its own: GB/s of the cache it reads once, and GFLOP/s of the products. "sketch" is the same row
// attended by sketches of the keys, every layer sampled, and the key that leaves the window added to the
// index each time. The others are one row of one layer, on one thread, in cache: what a pass does between its
// matrices.

#include <nullm/attention/exact_attention.hpp>
#include <nullm/attention/sketch_attention.hpp>
#include <nullm/linear/prepared_rows.hpp>
#include <nullm/model/rms_norm.hpp>
#include <nullm/model/rope.hpp>
#include <nullm/model/swiglu.hpp>

#include <benchmark/benchmark.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace {

constexpr nullm::kv_shape shape{.layers = 30, .kv_heads = 3, .head_size = 64};
constexpr std::size_t heads = 9;

std::vector<float> waves(std::size_t n) {
    std::vector<float> values(n);
    for (std::size_t i = 0; i < n; ++i) values[i] = std::sin(static_cast<float>(i) * 0.7F);
    return values;
}

/// A cache of `length` positions as the attention wants it, kept until another is asked for: some take a
/// gigabyte.
template <class A>
const nullm::kv_cache<nullm::f16>& cache_of(const A& attention, std::size_t length) {
    static std::unique_ptr<nullm::kv_cache<nullm::f16>> cache;
    if (!cache || cache->length() != length) {
        cache.reset();
        cache = std::make_unique<nullm::kv_cache<nullm::f16>>(nullm::make_cache(attention, shape, length));
        cache->prepare(length);
        const std::vector<float> row = waves(2 * shape.kv_heads * shape.head_size + length);
        const std::size_t width = shape.kv_heads * shape.head_size;
        for (std::size_t p = 0; p < length; ++p) {
            const std::span<const float> key(row.data() + p, width);
            for (std::size_t layer = 0; layer < shape.layers; ++layer) cache->store(layer, p, key, key);
        }
        cache->commit(length);
    }
    return *cache;
}

void attend(benchmark::State& state, nullm::isa level) {
    const auto depth = static_cast<std::size_t>(state.range(0));
    const auto m = static_cast<std::size_t>(state.range(1));
    nullm::thread_pool pool(static_cast<unsigned>(state.range(2)));
    const nullm::exact_attention<nullm::f16> attention{.level = level};
    const auto& cache = cache_of(attention, depth + 16);
    nullm::exact_attention<nullm::f16>::state scratch(attention, {.heads = heads, .cache = shape});
    const std::size_t width = heads * shape.head_size;
    const std::vector<float> q = waves(m * width);
    std::vector<float> o(m * width);
    for (auto _ : state) {
        for (std::size_t layer = 0; layer < shape.layers; ++layer)
            attention.attend(scratch, layer, {q.data(), m, width}, depth, cache, {o.data(), m, width}, pool);
        benchmark::DoNotOptimize(o.data());
    }
    using benchmark::Counter;
    const double keys = static_cast<double>(depth * shape.layers * shape.head_size);
    state.counters["GB/s"] = Counter(keys * shape.kv_heads * 4e-9, Counter::kIsIterationInvariantRate);
    state.counters["GFLOP/s"] =
        Counter(keys * heads * static_cast<double>(m) * 4e-9, Counter::kIsIterationInvariantRate);
}

template <int bits>
void attend_sketch(benchmark::State& state) {
    const auto depth = static_cast<std::size_t>(state.range(0));
    nullm::thread_pool pool(static_cast<unsigned>(state.range(1)));
    const nullm::sketch_attention<bits> attention{.dense_every = 0};
    const auto& cache = cache_of(attention, depth + 16);
    typename nullm::sketch_attention<bits>::state scratch(
        attention, {.heads = heads, .cache = shape, .sample_from = depth - 1});
    const std::size_t width = heads * shape.head_size;
    const std::vector<float> q = waves(width);
    std::vector<float> o(width);
    const auto pass = [&] {
        for (std::size_t layer = 0; layer < shape.layers; ++layer)
            attention.attend(scratch, layer, {q.data(), 1, width}, depth, cache, {o.data(), 1, width}, pool);
    };
    pass();  // builds the index
    for (auto _ : state) {
        attention.truncate(scratch, depth - attention.window);
        pass();
        benchmark::DoNotOptimize(o.data());
    }
    const auto counts = attention.counts(scratch);
    state.counters["keys %"] = 100 * counts.share_read();
    state.counters["B a key"] = static_cast<double>(attention.index(scratch).bytes()) /
                                static_cast<double>(shape.layers * shape.kv_heads * depth);
}

void add_part(const std::string& name, std::size_t elements, std::function<void(nullm::isa)> work) {
    for (const nullm::isa level : {nullm::isa::scalar, nullm::isa::avx2, nullm::isa::avx512}) {
        if (level > nullm::active_isa()) continue;
        const std::string full = name + "/" + std::string(name_of(level));
        benchmark::RegisterBenchmark(full.c_str(), [=](benchmark::State& state) {
            for (auto _ : state) work(level);
            state.counters["Gelements/s"] = benchmark::Counter(static_cast<double>(elements) * 1e-9,
                                                               benchmark::Counter::kIsIterationInvariantRate);
        });
    }
}

}  // namespace

int main(int argc, char** argv) {
    for (const nullm::isa level : {nullm::isa::scalar, nullm::isa::avx2, nullm::isa::avx512}) {
        if (level > nullm::active_isa()) continue;
        const std::vector<std::int64_t> depths = level == nullm::isa::scalar
                                                     ? std::vector<std::int64_t>{256}
                                                     : std::vector<std::int64_t>{256, 1024, 7900, 32768};
        benchmark::RegisterBenchmark(("attend/" + std::string(name_of(level))).c_str(), attend, level)
            ->ArgNames({"depth", "m", "threads"})
            ->ArgsProduct({depths, {1, 4}, {1, 2}})
            ->UseRealTime()
            ->Unit(benchmark::kMicrosecond);
    }
    const auto add_sketch = [](const char* name, void (*run)(benchmark::State&)) {
        benchmark::RegisterBenchmark(name, run)
            ->ArgNames({"depth", "threads"})
            ->ArgsProduct({{2048, 7900, 32768}, {1, 2}})
            ->UseRealTime()
            ->Unit(benchmark::kMicrosecond);
    };
    add_sketch("sketch/1", attend_sketch<1>);
    add_sketch("sketch/2", attend_sketch<2>);
    add_sketch("sketch/4", attend_sketch<4>);
    static std::vector<float> x = waves(3072), y = waves(3072), z(3072);
    static nullm::thread_pool one(1);
    static const nullm::rope turn(64, 1e5);
    static std::vector<float> cosine(64), sine(64);
    turn.angles(100, cosine, sine);
    add_part("rms_norm/576", 576, [](nullm::isa level) {
        nullm::rms_norm(std::span<const float>(x).first(576), std::span<const float>(y).first(576), 1e-5F,
                        std::span(z).first(576), level);
        benchmark::DoNotOptimize(z.data());
    });
    add_part("rope/768", 768, [](nullm::isa level) {
        turn.rotate(std::span(z).first(768), 64, cosine, sine, level);
        benchmark::DoNotOptimize(z.data());
    });
    add_part("swiglu/1536", 1536, [](nullm::isa level) {
        nullm::swiglu(std::span<const float>(x).first(1536), std::span<const float>(y).first(1536),
                      std::span(z).first(1536), level);
        benchmark::DoNotOptimize(z.data());
    });
    static nullm::prepared_rows<nullm::i8> bytes;
    static nullm::prepared_rows<nullm::i16> words;
    bytes.keep_floats = words.keep_floats = false;
    add_part("quantise_i8/1536", 1536, [](nullm::isa level) {
        bytes.level = level;
        bytes.assign({x.data(), 1, 1536}, one);
    });
    add_part("quantise_i16/1536", 1536, [](nullm::isa level) {
        words.level = level;
        words.assign({x.data(), 1, 1536}, one);
    });
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
