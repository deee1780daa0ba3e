// The spike kernels: neuron, encoder and one whole gate step. The rows of one kernel and size stand together,
// scalar twin first; updates/s are neurons a second, of the gate positions a second.
//
//   nullm_bench_spike --benchmark_repetitions=5 --benchmark_report_aggregates_only=true
//
// "plain_update" adds one array to another: the traffic of a LIF step (12 bytes a neuron) and nothing else,
// so the limit of a layer that no cache holds. "quiet_gate_step" is all a gate costs at a position. It is to
// stay under 1 % of a pass: the 135 M model's weights in four bits are 70 to 97 MB, and memory gives 20 to 34
// GB/s, so a fast pass takes 3 ms and 1 % of it is 30 us. Seen: 0.5 us with 576 neurons, 0.02 %.
#include <nullm/spike/drives/function_words.hpp>
#include <nullm/spike/lif.hpp>
#include <nullm/spike/poisson_encoder.hpp>
#include <nullm/spike/quiet_gate.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace {

using nullm::isa;

std::vector<float> noise(std::size_t n, float scale) {
    std::vector<float> values(n);
    for (std::size_t i = 0; i < n; ++i)
        values[i] = scale * nullm::draw_uniform({.seed = 1}, static_cast<std::uint32_t>(i));
    return values;
}

using benchmark::Counter;

void count_updates(benchmark::State& bench, std::int64_t each) {
    bench.counters["updates/s"] = Counter(static_cast<double>(each), Counter::kIsIterationInvariantRate);
}
/// Of a layer's step: input read, membrane read and written.
void count_traffic(benchmark::State& bench) {
    bench.counters["GB/s"] =
        Counter(static_cast<double>(bench.range(0)) * 12e-9, Counter::kIsIterationInvariantRate);
}

template <nullm::reset Reset, nullm::timing Timing>
void lif_step(benchmark::State& bench, isa level) {
    const auto n = static_cast<std::size_t>(bench.range(0));
    const nullm::lif<Reset, Timing> neuron{.beta = 0.9F, .threshold = 1.0F};
    typename nullm::lif<Reset, Timing>::state layer(n);
    const auto input = noise(n, 0.5F);
    nullm::spike_bits spikes(n);
    for (auto _ : bench) {
        neuron.step(layer, input, spikes, level);
        benchmark::DoNotOptimize(spikes.words().data());
        benchmark::ClobberMemory();
    }
    count_updates(bench, bench.range(0));
    count_traffic(bench);
}

void plain_update(benchmark::State& bench) {
    const auto n = static_cast<std::size_t>(bench.range(0));
    const auto input = noise(n, 1e-6F);
    auto membrane = noise(n, 0.5F);
    for (auto _ : bench) {
        for (std::size_t i = 0; i < n; ++i) membrane[i] += input[i];
        benchmark::DoNotOptimize(membrane.data());
        benchmark::ClobberMemory();
    }
    count_updates(bench, bench.range(0));
    count_traffic(bench);
}

void encode(benchmark::State& bench, isa level) {
    const auto n = static_cast<std::size_t>(bench.range(0));
    const auto intensities = noise(n, 1.0F);
    nullm::spike_bits spikes(n);
    nullm::draw_key key{.seed = 1, .stream = nullm::draw_stream::encoder};
    for (auto _ : bench) {
        nullm::poisson_encoder{}.encode(intensities, key, 0, spikes, level);
        ++key.position;
        benchmark::DoNotOptimize(spikes.words().data());
        benchmark::ClobberMemory();
    }
    count_updates(bench, bench.range(0));
}

// 49152 x 576 in place of a model: embeddings that overlap in one table of noise, real function words.
struct synthetic_vocabulary {
    std::vector<float> table = noise(49152 * 8, 1.0F);
    std::vector<std::string> pieces;

    synthetic_vocabulary() {
        for (std::size_t t = 0; t < 49152; ++t) {
            pieces.push_back(t < nullm::function_words.size() ? std::string(nullm::function_words[t])
                                                              : std::to_string(t));
        }
    }
    nullm::vocabulary_view view() const {
        return {.size = 49152,
                .width = 576,
                .embedding =
                    [this](nullm::token_id token, std::span<float> out) {
                        std::copy_n(table.begin() + static_cast<std::ptrdiff_t>(token) * 7, out.size(),
                                    out.begin());
                    },
                .piece =
                    [this](nullm::token_id token) {
                        return std::string_view(pieces[static_cast<std::size_t>(token)]);
                    },
                .special = [](nullm::token_id) { return false; }};
    }
};

void quiet_gate_step(benchmark::State& bench) {
    static const synthetic_vocabulary vocabulary;
    static const nullm::importance_drive table = nullm::importance_drive::build(vocabulary.view());
    auto params = table.params();
    params.neurons = static_cast<std::size_t>(bench.range(0));
    const auto gate = nullm::make_quiet_gate(nullm::importance_drive::build(vocabulary.view(), params));
    auto state = gate.initial();
    nullm::gate_input input{.seed = 1};
    for (auto _ : bench) {
        input.token = static_cast<nullm::token_id>(input.position * 97 % 49152);
        benchmark::DoNotOptimize(gate.step(state, input));
        ++input.position;
    }
    count_updates(bench, 1);
}

void importance_build(benchmark::State& bench, isa level) {
    static const synthetic_vocabulary vocabulary;
    for (auto _ : bench)
        benchmark::DoNotOptimize(nullm::importance_drive::build(vocabulary.view(), {}, level));
}

void register_all() {
    std::vector<isa> levels;
    for (const isa level : {isa::scalar, isa::avx2, isa::avx512}) {
        if (level <= nullm::detected_isa()) levels.push_back(level);
    }
    const auto rows = [&](const std::string& kernel, auto function, std::vector<std::int64_t> sizes) {
        for (const std::int64_t n : sizes) {
            for (const isa level : levels) {
                const std::string name = kernel + "/" + std::string(name_of(level));
                benchmark::RegisterBenchmark(name.c_str(), function, level)->Arg(n);
            }
        }
    };
    using enum nullm::reset;
    using enum nullm::timing;
    const std::vector<std::int64_t> sizes{256, 576, 16384, 1 << 20};
    benchmark::RegisterBenchmark("plain_update", plain_update)->Arg(576)->Arg(16384)->Arg(1 << 20);
    rows("lif_zero_delayed", lif_step<zero, delayed>, sizes);
    rows("lif_subtract_immediate", lif_step<subtract, immediate>, sizes);
    rows("poisson_encoder", encode, sizes);
    benchmark::RegisterBenchmark("quiet_gate_step", quiet_gate_step)->Arg(64)->Arg(256)->Arg(576);
    for (const isa level : levels) {
        const std::string name = "importance_build/" + std::string(name_of(level));
        benchmark::RegisterBenchmark(name.c_str(), importance_build, level)->Unit(benchmark::kMillisecond);
    }
}

}  // namespace

int main(int argc, char** argv) {
    register_all();
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
}
