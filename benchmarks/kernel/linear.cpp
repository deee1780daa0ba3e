// Linear layers at SmolLM2-135M's shapes: GB/s of weights read and GMAC/s, beside the machine's plain read
// bandwidth.
//
//   linear_benchmark --benchmark_repetitions=5 --benchmark_report_aggregates_only=true
//
// "layers" is one token's way through all 30 layers (qkv, output, gate and up, down), each with weights of
// its own, so that they come from memory as they do in a model; "head" is the 49152 x 576 output layer. NF4
// is encoded from the Q8_0 tensors. "nf4_encode" is the time to encode 28 M floats, the head's, and the
// tensor's.

#include <nullm/linear/native_linear.hpp>
#include <nullm/linear/nf4_linear.hpp>

#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <tuple>
#include <vector>

namespace {

using nullm::tensor_type;

/// The bar: adding up 90 MB, on ordinary and on huge pages.
void read_memory(benchmark::State& state, bool huge) {
    const std::size_t size = std::size_t{90} << 20;
    const std::size_t words = size / sizeof(std::uint64_t);
    static const std::vector<std::uint64_t> ordinary(words, 1);
    static const nullm::weight_bytes pages = nullm::allocate_weights(size);
    static const auto* large = static_cast<const std::uint64_t*>(std::memset(pages.first.get(), 1, size));
    const std::uint64_t* const buffer = huge ? large : ordinary.data();
    nullm::thread_pool pool(static_cast<unsigned>(state.range(0)));
    for (auto _ : state) {
        std::vector<std::uint64_t> sums(words / 8192 + 1);
        pool.for_each_range(words, 8192, [&](std::size_t begin, std::size_t end) {
            std::uint64_t sum[8] = {};  // eight chains: one would be bound by the adder
            for (std::size_t i = begin; i + 8 <= end; i += 8) {
                for (std::size_t j = 0; j < 8; ++j) sum[j] += buffer[i + j];
            }
            sums[begin / 8192] = std::accumulate(sum, sum + 8, std::uint64_t{0});
        });
        benchmark::DoNotOptimize(sums.data());
    }
    state.counters["GB/s"] = benchmark::Counter(static_cast<double>(words * 8) * 1e-9,
                                                benchmark::Counter::kIsIterationInvariantRate);
}

/// A tensor of any codes, with scales of about 1/16.
std::vector<std::byte> random_bytes(tensor_type type, std::size_t rows, std::size_t cols, int copy) {
    std::vector<std::byte> bytes(rows * cols / nullm::block_elements(type) * nullm::block_bytes(type));
    std::uint32_t seed = static_cast<std::uint32_t>(rows * 31 + cols + static_cast<std::size_t>(copy));
    for (auto& b : bytes) b = static_cast<std::byte>((seed = seed * 1664525U + 1013904223U) >> 24);
    for (std::size_t i = 0; i < bytes.size(); i += nullm::block_bytes(type)) {
        for (std::size_t j = 0; j < (type == tensor_type::q4_1 ? 4U : 2U); j += 2)
            bytes[i + j + 1] = std::byte{0x2C};
    }
    return bytes;
}

/// Matrices of one kind, made on first use.
template <class Linear>
const Linear& matrix(tensor_type type, std::size_t rows, std::size_t cols, int copy, nullm::isa level) {
    static std::map<std::tuple<tensor_type, std::size_t, std::size_t, int, nullm::isa>, Linear> made;
    static nullm::weight_arena arena;
    const auto key = std::tuple(type, rows, cols, copy, level);
    auto found = made.find(key);
    if (found == made.end()) {
        const auto bytes = random_bytes(type, rows, cols, copy);
        const nullm::tensor_view view{"random", type, rows, cols, bytes};
        nullm::thread_pool pool(2);
        found = made.emplace(key, Linear::from(std::span(&view, 1), pool, arena, level)).first;
    }
    return found->second;
}

struct shape {
    std::size_t rows, cols;
};
constexpr shape layer_shapes[] = {{960, 576}, {576, 576}, {3072, 576}, {576, 1536}};

template <class Linear>
void multiply(benchmark::State& state, tensor_type type, bool head, nullm::isa level) {
    const auto m = static_cast<std::size_t>(state.range(0));
    nullm::thread_pool pool(static_cast<unsigned>(state.range(1)));
    std::vector<const Linear*> matrices;
    if (head) {
        matrices.push_back(&matrix<Linear>(type, 49152, 576, 0, level));
    } else {
        for (int layer = 0; layer < 30; ++layer) {
            for (const shape s : layer_shapes)
                matrices.push_back(&matrix<Linear>(type, s.rows, s.cols, layer, level));
        }
    }
    std::vector<float> x(m * 1536);
    for (std::size_t i = 0; i < x.size(); ++i)
        x[i] = static_cast<float>(static_cast<int>(i * 7919 % 2001) - 1000) * 1e-3F;
    std::vector<float> y(m * 49152);
    typename Linear::input input;
    input.keep_floats = false;
    double bytes = 0;
    double products = 0;
    for (const auto* w : matrices) {
        bytes += static_cast<double>(w->bytes());
        products += static_cast<double>(w->in() * w->out() * m);
    }
    for (auto _ : state) {
        for (const auto* w : matrices) {
            input.assign({x.data(), m, w->in()}, pool);
            w->apply(input, {y.data(), m, w->out()}, pool);
        }
        benchmark::DoNotOptimize(y.data());
        benchmark::ClobberMemory();
    }
    using benchmark::Counter;
    state.counters["GB/s"] = Counter(bytes * 1e-9, Counter::kIsIterationInvariantRate);
    state.counters["GMAC/s"] = Counter(products * 1e-9, Counter::kIsIterationInvariantRate);
}

/// Encodes `elements` floats, or the rows of a Q4_1 tensor, to NF4.
void encode(benchmark::State& state, bool tensor, nullm::isa level) {
    constexpr std::size_t rows = 49152;
    constexpr std::size_t cols = 576;
    nullm::thread_pool pool(static_cast<unsigned>(state.range(0)));
    const auto bytes = random_bytes(tensor_type::q4_1, rows, cols, 1);
    const nullm::tensor_view view{"random", tensor_type::q4_1, rows, cols, bytes};
    std::vector<float> w;
    if (!tensor) {
        w.resize(rows * cols);
        std::uint32_t seed = 1;
        for (float& v : w) {
            v = static_cast<float>(static_cast<std::int32_t>(seed = seed * 1664525U + 1013904223U)) *
                0x1p-31F;
        }
    }
    for (auto _ : state) {
        const auto data =
            tensor ? nullm::nf4_encode(view, 64, pool, level) : nullm::nf4_encode(w, 64, pool, level);
        benchmark::DoNotOptimize(data.packed.data());
    }
    state.counters["Gweights/s"] = benchmark::Counter(static_cast<double>(rows * cols) * 1e-9,
                                                      benchmark::Counter::kIsIterationInvariantRate);
}

template <class Linear>
void add_as(const std::string& format, std::string_view arithmetic, tensor_type type, bool head,
            nullm::isa level, std::vector<std::int64_t> batches) {
    const std::string name = std::string(head ? "head" : "layers") + "/" + format + "/" +
                             std::string(arithmetic) + "/" + std::string(name_of(level));
    benchmark::RegisterBenchmark(name.c_str(), multiply<Linear>, type, head, level)
        ->ArgNames({"m", "threads"})
        ->ArgsProduct({std::move(batches), {1, 2}})
        ->UseRealTime()
        ->Unit(benchmark::kMicrosecond);
}

template <class A>
void add(tensor_type type, bool head, nullm::isa level, std::vector<std::int64_t> batches) {
    add_as<nullm::native_linear<A>>(std::string(name_of(type)), A::name, type, head, level,
                                    std::move(batches));
}

template <class A>
void add_nf4(bool head, nullm::isa level, std::vector<std::int64_t> batches) {
    add_as<nullm::nf4_linear<64, A>>("NF4", A::name, tensor_type::q8_0, head, level, std::move(batches));
}

}  // namespace

int main(int argc, char** argv) {
    for (const bool huge : {false, true}) {
        benchmark::RegisterBenchmark(huge ? "read/huge_pages" : "read/pages", read_memory, huge)
            ->ArgName("threads")
            ->Arg(1)
            ->Arg(2)
            ->UseRealTime();
    }
    const nullm::isa best = nullm::active_isa();
    for (const bool head : {false, true}) {
        for (const tensor_type type : {tensor_type::q4_0, tensor_type::q4_1, tensor_type::q8_0}) {
            const std::vector<std::int64_t> batches =
                head ? std::vector<std::int64_t>{1, 2, 4, 8}
                     : std::vector<std::int64_t>{1, 2, 3, 4, 5, 8, 16, 512};
            add<nullm::i8>(type, head, best, batches);
            add<nullm::i16>(type, head, best, batches);
            add<nullm::f32>(type, head, best, batches);
        }
        add_nf4<nullm::i16>(head, best, {1, 4, 16});
        add_nf4<nullm::f32>(head, best, {1, 4, 16});
        add_nf4<nullm::i8>(head, best, {1, 4, 16});
    }
    for (const nullm::isa level : {nullm::isa::scalar, nullm::isa::avx2, nullm::isa::avx512}) {
        if (level >= best) break;
        add<nullm::i8>(tensor_type::q4_1, false, level, {1, 4});
        add<nullm::i16>(tensor_type::q4_1, false, level, {1, 4});
        add<nullm::f32>(tensor_type::q4_1, false, level, {1, 4});
        add_nf4<nullm::i16>(false, level, {1, 4, 16});
        add_nf4<nullm::f32>(false, level, {1, 4, 16});
    }
    for (const nullm::isa level : {nullm::isa::scalar, nullm::isa::avx2, best}) {
        if (level > best) continue;
        for (const bool tensor : {false, true}) {
            const std::string name =
                std::string("nf4_encode/") + (tensor ? "Q4_1/" : "F32/") + std::string(name_of(level));
            benchmark::RegisterBenchmark(name.c_str(), encode, tensor, level)
                ->ArgName("threads")
                ->Arg(1)
                ->Arg(2)
                ->UseRealTime()
                ->Unit(benchmark::kMillisecond);
        }
    }
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
