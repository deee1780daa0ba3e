// Passes through one model: reading its weights, decoding, small batches, a prompt; interleaved in one run.
//   passes --model FILE [--linear native|nf4|f32] [--arith i8|i16|f32] [--kv f16|bf16|f32] [--threads N]
//          [--attention exact|sketch|lsh] [--depth N] [--decode N] [--batches 1,2,4,8,16] [--prefill N]
//          [--repeats N] [--json]
// Every figure is the median of the repeats. "read" adds up a buffer of the weights' size with the same
// threads: the limit a pass of one row can reach. The hash is of the last logits: two runs that print the
// same one computed the same.

#include "../../examples/chosen_model.hpp"
#include "../../examples/command_line.hpp"
#include "../support/measure.hpp"

#include <nullm/core/isa.hpp>
#include <nullm/core/thread_pool.hpp>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <span>
#include <string>
#include <vector>

namespace {

struct settings {
    cli::options model;
    std::size_t depth = 0;
    std::size_t decode = 64;
    std::size_t prefill = 512;
    std::vector<std::size_t> batches{1, 2, 4, 8, 16};
    unsigned repeats = 5;
    bool json = false;
};

/// Token ids without meaning, the same in every run.
std::vector<nullm::token_id> any_tokens(std::size_t n, std::size_t vocabulary) {
    std::vector<nullm::token_id> tokens(n);
    std::uint32_t seed = 1;
    for (auto& token : tokens) {
        seed = seed * 1664525U + 1013904223U;
        token = static_cast<nullm::token_id>((seed >> 8) % vocabulary);
    }
    return tokens;
}

struct timed {
    std::string name;
    double units;  // tokens, or bytes
    std::vector<double> seconds;
};

int run(const settings& chosen) {
    const auto loading = measure::now();
    const nullm::checkpoint file(chosen.model.model);
    const cli::chosen_model model = cli::load_model(chosen.model, file);
    const std::size_t longest =
        chosen.batches.empty() ? 1 : *std::max_element(chosen.batches.begin(), chosen.batches.end());
    const std::size_t ahead = std::max({chosen.decode, chosen.prefill, longest});
    cli::chosen_model::state session(
        model,
        {.threads = chosen.model.threads, .context = chosen.depth + ahead, .sample_from = chosen.depth});
    const auto tokens = any_tokens(chosen.depth + ahead, model.vocabulary());
    const std::span<const nullm::token_id> all(tokens);
    nullm::thread_pool pool(chosen.model.threads);
    const std::size_t depth = chosen.depth;
    model.forward(session, all.subspan(depth, 1), 1);  // grows what grows
    const double load_seconds = measure::since(loading);
    model.truncate(session, 0);
    if (depth != 0) model.forward(session, all.first(depth), 0);

    measure::read_buffer weights(model.weight_bytes());
    timed read{"read", static_cast<double>(weights.bytes()), {}};
    timed decode{"decode", static_cast<double>(chosen.decode), {}};
    timed prefill{"prefill", static_cast<double>(chosen.prefill), {}};
    std::vector<timed> curve;
    for (const std::size_t m : chosen.batches)
        curve.push_back({"m=" + std::to_string(m), static_cast<double>(m), {}});
    std::uint64_t hash = 0;
    for (unsigned repeat = 0; repeat <= chosen.repeats; ++repeat) {
        const bool warm = repeat != 0;  // the first round is not counted
        const auto keep = [&](timed& row, double seconds) {
            if (warm) row.seconds.push_back(seconds);
        };
        // One sweep takes milliseconds, in which the machine's other guests may do anything: several, on both
        // sides of decoding.
        std::vector<double> sweeps;
        for (int sweep = 0; sweep < 6; ++sweep) sweeps.push_back(weights.sweep(pool));
        {
            const auto start = measure::now();
            for (std::size_t i = 0; i < chosen.decode; ++i) {
                const auto logits = model.forward(session, all.subspan(depth + i, 1), 1);
                if (i + 1 == chosen.decode) hash = measure::hash(logits[0], logits.cols);
            }
            keep(decode, measure::since(start));
            model.truncate(session, depth);
        }
        for (int sweep = 0; sweep < 6; ++sweep) sweeps.push_back(weights.sweep(pool));
        keep(read, measure::median(sweeps));
        for (std::size_t b = 0; b < curve.size(); ++b) {
            const std::size_t m = chosen.batches[b];
            constexpr std::size_t rounds = 8;
            const auto start = measure::now();
            for (std::size_t i = 0; i < rounds; ++i) {
                model.forward(session, all.subspan(depth, m), m);
                model.truncate(session, depth);
            }
            keep(curve[b], measure::since(start) / rounds);
        }
        if (chosen.prefill != 0) {
            const auto start = measure::now();
            model.forward(session, all.subspan(depth, chosen.prefill), 1);
            keep(prefill, measure::since(start));
            model.truncate(session, depth);
        }
    }

    const double passes = decode.units / measure::median(decode.seconds);
    const double weight_rate = static_cast<double>(model.weight_bytes()) * passes * 1e-9;
    const double read_rate = read.units / measure::median(read.seconds) * 1e-9;
    if (chosen.json) {
        nlohmann::ordered_json out{{"file", std::string(file.name())},
                                   {"linear", name_of(chosen.model.linear)},
                                   {"arith", name_of(chosen.model.computes_in())},
                                   {"attention", name_of(chosen.model.attends())},
                                   {"threads", pool.size()},
                                   {"isa", std::string(name_of(nullm::active_isa()))},
                                   {"weight_bytes", model.weight_bytes()},
                                   {"depth", depth},
                                   {"load_s", load_seconds},
                                   {"read_s", read.seconds},
                                   {"decode_tokens", chosen.decode},
                                   {"decode_s", decode.seconds},
                                   {"prefill_tokens", chosen.prefill},
                                   {"prefill_s", prefill.seconds},
                                   {"hash", measure::hex(hash)}};
        for (std::size_t b = 0; b < curve.size(); ++b)
            out["batches"][std::to_string(chosen.batches[b])] = curve[b].seconds;
        std::printf("%s\n", out.dump().c_str());
        return 0;
    }
    std::printf(
        "%s, linear %s, arithmetic %s, attention %s, cache %s, kernels %s, %u threads, depth %zu, median of "
        "%u\n",
        std::string(file.name()).c_str(), name_of(chosen.model.linear), name_of(chosen.model.computes_in()),
        name_of(chosen.model.attends()), name_of(chosen.model.cache),
        std::string(name_of(nullm::active_isa())).c_str(), pool.size(), depth, chosen.repeats);
    std::printf("ready       %8.3f s from the file to the first token\n", load_seconds);
    std::printf("read        %8.2f GB/s over %.1f MB\n", read_rate, read.units * 1e-6);
    std::printf("decode      %8.1f tokens/s, %.2f GB/s of weights: %.0f %% of a plain read; logits %s\n",
                passes, weight_rate, 100 * weight_rate / read_rate, measure::hex(hash).c_str());
    const double one = curve.empty() ? 0 : measure::median(curve.front().seconds);
    for (const timed& row : curve) {
        const double seconds = measure::median(row.seconds);
        std::printf("batch %-5s %8.3f ms, %.2f x the first, %.0f tokens/s\n", row.name.c_str(), seconds * 1e3,
                    seconds / one, row.units / seconds);
    }
    if (chosen.prefill != 0)
        std::printf("prefill     %8.1f tokens/s\n", prefill.units / measure::median(prefill.seconds));
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    settings chosen;
    CLI::App app("Passes through one model: reading its weights, decoding, small batches, a prompt.",
                 "passes");
    cli::add_model_options(app, chosen.model);
    app.add_option("--depth", chosen.depth, "positions in the cache before anything is measured");
    app.add_option("--decode", chosen.decode, "tokens decoded one at a time")->check(CLI::Range(1U, 100000U));
    app.add_option("--batches", chosen.batches, "rows of a pass, with logits for each")->delimiter(',');
    app.add_option("--prefill", chosen.prefill, "tokens of a prompt; 0: none");
    app.add_option("--repeats", chosen.repeats)->check(CLI::Range(1U, 1000U));
    app.add_flag("--json", chosen.json, "one line for a script");
    CLI11_PARSE(app, argc, argv);
    try {
        return run(chosen);
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "passes: %s\n", failure.what());
        return 1;
    }
}
