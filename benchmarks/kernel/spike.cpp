// The spike kernels: neuron, encoder and one whole gate step. The rows of one kernel and size stand together,
// scalar twin first; updates/s are neurons a second, of the gate positions a second.
//
//   nullm_bench_spike --benchmark_repetitions=5 --benchmark_report_aggregates_only=true
//
// "plain_update" adds one array to another: the traffic of a LIF step (12 bytes a neuron) and nothing else,
// so the limit of a layer that no cache holds. "importance_position", "surprise_position" and
// "quiet_position" are all that a gate of that drive costs a reader at a position, step and settle. It is to
// stay under 1 % of a pass: the 135 M model's weights in four bits are 70 to 97 MB, and memory gives 20 to 34
// GB/s, so a fast pass takes 3 ms and 1 % of it is 30 us. Seen (CPU time, a busy machine): 0.3, 0.45 and
// 0.5 us with 256 neurons, 0.02 %; copying the state, once in 128 calls of the gate, 3.3 us. Building the
// importance table takes 0.08 s and the prototypes 0.5 s; without AVX2 2 s and 13 s.
#include <nullm/spike/drives/function_words.hpp>
#include <nullm/spike/lif.hpp>
#include <nullm/spike/poisson_encoder.hpp>
#include <nullm/spike/quiet_gate.hpp>
#include <nullm/spike/text_prototypes.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
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

const synthetic_vocabulary& vocabulary() {
    static const synthetic_vocabulary made;
    return made;
}

// Ids as Zipf's law has them: evenly spread in their logarithm.
std::vector<nullm::token_id> zipf_text(std::size_t n) {
    std::vector<nullm::token_id> text;
    for (const float x : noise(n, 1.0F)) text.push_back(static_cast<nullm::token_id>(std::pow(49151.0F, x)));
    return text;
}

// One position of a reader: the gate's step, and the settling of the token.
template <class Drive>
void gate_position(benchmark::State& bench, const Drive& drive) {
    static const std::vector<nullm::token_id> text = zipf_text(1 << 16);
    const auto gate = nullm::make_quiet_gate(drive);
    auto state = gate.initial();
    nullm::gate_input input{.seed = 1};
    for (auto _ : bench) {
        input.token = text[static_cast<std::size_t>(input.position) % text.size()];
        benchmark::DoNotOptimize(gate.step(state, input));
        gate.settle(state, input.token, true);
        ++input.position;
    }
    count_updates(bench, 1);
}

void importance_position(benchmark::State& bench) {
    nullm::importance_params params;
    params.neurons = static_cast<std::size_t>(bench.range(0));
    gate_position(bench, nullm::importance_drive::build(vocabulary().view(), params));
}
void surprise_position(benchmark::State& bench) {
    gate_position(bench, nullm::surprise_drive(49152, {.neurons = static_cast<std::size_t>(bench.range(0))}));
}
void quiet_position(benchmark::State& bench) {
    nullm::quiet_drive_params params;
    params.importance.neurons = params.surprise.neurons = static_cast<std::size_t>(bench.range(0));
    gate_position(bench, nullm::quiet_drive::build(vocabulary().view(), params));
}

// What gate_log keeps every 128 calls, into memory it has.
void quiet_state_copy(benchmark::State& bench) {
    const auto gate = nullm::make_quiet_gate(vocabulary().view());
    const auto state = gate.initial();
    auto copy = state;
    for (auto _ : bench) {
        copy = state;
        benchmark::DoNotOptimize(&copy);
        benchmark::ClobberMemory();
    }
}

void importance_build(benchmark::State& bench, isa level) {
    for (auto _ : bench)
        benchmark::DoNotOptimize(nullm::importance_drive::build(vocabulary().view(), {}, level));
}

// With the table of every token's term-ness, as reprogrammed_threshold makes it.
void prototypes_build(benchmark::State& bench, isa level) {
    for (auto _ : bench) {
        const auto made = nullm::text_prototypes::build(vocabulary().view(), {}, level);
        benchmark::DoNotOptimize(made.tabulate(vocabulary().view()));
    }
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
    benchmark::RegisterBenchmark("importance_position", importance_position)->Arg(64)->Arg(256)->Arg(576);
    benchmark::RegisterBenchmark("surprise_position", surprise_position)->Arg(64)->Arg(256)->Arg(576);
    benchmark::RegisterBenchmark("quiet_position", quiet_position)->Arg(64)->Arg(256)->Arg(576);
    benchmark::RegisterBenchmark("quiet_state_copy", quiet_state_copy);
    for (const isa level : levels) {
        const std::string set(name_of(level));
        benchmark::RegisterBenchmark(("importance_build/" + set).c_str(), importance_build, level)
            ->Unit(benchmark::kMillisecond);
        benchmark::RegisterBenchmark(("prototypes_build/" + set).c_str(), prototypes_build, level)
            ->Unit(benchmark::kMillisecond);
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
