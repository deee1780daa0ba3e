// Triage of logs: which lines does a reader keep that drops most of them?
//   log_triage --model FILE [--log FILE] [--stamp BYTES] [--never-drop REGEX] [--lines N] [--seeds N]
//              [--drop 0.8] [--statistics] [--json]
// A log is read line by line with `discard`. Into it go 50 lines that occur once and match none of its
// templates (rare_lines.hpp); those should be kept, and so must every line of the never-drop pattern. Without
// --log the log is made from the seed (synthetic_log.hpp); with it, the rare lines are put into the file,
// each behind the time stamp (the first BYTES bytes) of the line before it. The share to drop is held by
// homeostasis while the log is read, never fitted afterwards. No model is run: what is kept does not depend
// on it; FILE gives tokenizer and embeddings. --statistics compares ways to sum up a line instead.

#include "../../examples/line_pattern.hpp"
#include "triage_run.hpp"

#include <nullm/generate/gate_log.hpp>
#include <nullm/generate/span_gate.hpp>
#include <nullm/model/checkpoint.hpp>
#include <nullm/model/vocabulary.hpp>
#include <nullm/spike/drives/importance_drive.hpp>
#include <nullm/spike/drives/surprise_drive.hpp>
#include <nullm/spike/quiet_gate.hpp>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <functional>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace decode;

struct settings {
    std::string model;
    std::string log;
    std::string never_drop = urgent_pattern;
    std::size_t stamp = 20;
    std::size_t lines = 10000;
    std::uint64_t seeds = 5;
    std::vector<double> drops = {0.5, 0.8, 0.9, 0.95};
    bool statistics = false;
    bool json = false;
};

std::vector<log_line> load(const settings& chosen, const cli::line_pattern& never_drop, std::uint64_t seed) {
    if (chosen.log.empty()) return synthetic_log(seed, chosen.lines);
    std::ifstream file(chosen.log, std::ios::binary);
    if (!file) throw nullm::error(chosen.log, "a readable file", "none");
    std::vector<log_line> log;
    for (std::string line; std::getline(file, line);) {
        if (line.empty()) continue;
        const bool urgent = never_drop.found_in(line);
        log.push_back({std::move(line), urgent ? line_kind::urgent : line_kind::usual});
    }
    return with_rare_lines(std::move(log), seed, chosen.stamp);
}

/// One number for a line, from the rates of its tokens.
struct line_statistic {
    const char* name;
    std::function<float(std::span<const float>)> of;
};

std::vector<line_statistic> statistics() {
    const auto peak = [](float keep) {
        return [keep](std::span<const float> rates) {
            float charge = 0, most = 0;
            for (const float r : rates) most = std::max(most, charge = keep * charge + (1 - keep) * r);
            return most;
        };
    };
    const auto sum = [](std::span<const float> rates) {
        return std::accumulate(rates.begin(), rates.end(), 0.0F);
    };
    return {
        {"sum / 64", [=](std::span<const float> rates) { return sum(rates) / 64; }},
        {"mean", [=](std::span<const float> rates) { return sum(rates) / static_cast<float>(rates.size()); }},
        {"highest rate", peak(0.0F)},
        {"leaky sum, keep 0.5", peak(0.5F)},
        {"leaky sum, keep 0.8", peak(0.8F)},
        {"leaky sum, keep 0.9", peak(0.9F)},
        {"leaky sum, keep 0.95", peak(0.95F)}};
}

/// The rates of every line's tokens, as a reader would step the gate.
template <nullm::Gate Gate>
std::vector<std::vector<float>> rates_of(const Gate& gate, const tokenized_log& log,
                                         const nullm::tokenizer& words, std::uint64_t seed) {
    nullm::gate_log run(gate, seed);
    const nullm::span_splitter splitter(words, nullm::span_kind::line);
    auto at = splitter.initial();
    std::vector<std::vector<float>> lines(1);
    std::int64_t position = 0;
    for (const token_id token : log.tokens) {
        lines.back().push_back(run.step(token, position).rate);
        run.settle(token, position++, false);
        if (position % 4096 == 0) run.forget(position);
        if (splitter.push(at, token).after) lines.emplace_back();
    }
    lines.pop_back();
    return lines;
}

void compare_statistics(const settings& chosen, const tokenized_log& log,
                        const std::vector<std::vector<float>>& lines, std::uint64_t seed) {
    for (const line_statistic& statistic : statistics()) {
        for (const float carry : {0.0F, 0.25F, 0.5F}) {
            std::printf("%-22s %5.2f %4llu", statistic.name, static_cast<double>(carry),
                        static_cast<unsigned long long>(seed));
            for (const double drop : chosen.drops) {
                const nullm::target_rate_threshold threshold({.target = static_cast<float>(1 - drop)});
                auto theta = threshold.initial();
                float charge = 0;
                std::size_t kept = 0, rare = 0;
                for (std::size_t i = 0; i < lines.size(); ++i) {
                    charge = carry * charge + statistic.of(lines[i]);
                    const bool fires = charge >= threshold.theta(theta, 0);
                    threshold.settle(theta, 0, fires);
                    if (!fires) continue;
                    charge = 0;
                    ++kept;
                    rare += log.kinds[i] == line_kind::rare ? 1 : 0;
                }
                const double share = static_cast<double>(kept) / static_cast<double>(lines.size());
                std::printf("  %6.1f%% %3zu", 100 * (1 - share), rare);
            }
            std::printf("\n");
        }
    }
}

struct contender {
    std::string name;
    std::function<triage(const tokenized_log&, double drop, std::uint64_t seed)> run;
};

/// A gate of tokens summed over lines, with a threshold that holds the share to drop.
template <nullm::Gate Gate>
contender summed(const std::string& name, const nullm::tokenizer& words, Gate tokens,
                 nullm::span_gate_params sums = {}) {
    return {name, [&words, tokens = std::move(tokens), sums](const tokenized_log& log, double drop,
                                                             std::uint64_t seed) {
                const nullm::target_rate_threshold threshold({.target = static_cast<float>(1 - drop)});
                return read_log(mute_model{words.size()}, {}, nullm::span_gate(tokens, threshold, sums), log,
                                words, seed);
            }};
}

void report(const settings& chosen, const contender& who, double drop, std::uint64_t seed, const triage& t) {
    const std::size_t rare = t.of_kind[static_cast<std::size_t>(line_kind::rare)];
    const double ns = 1e9 * t.seconds / static_cast<double>(t.tokens);
    if (chosen.json) {
        std::printf("%s\n", nlohmann::ordered_json{{"gate", who.name},
                                                   {"seed", seed},
                                                   {"drop", drop},
                                                   {"lines", t.lines},
                                                   {"dropped", t.dropped()},
                                                   {"rare", rare},
                                                   {"rare_kept", t.rare()},
                                                   {"protected", t.protect},
                                                   {"protected_kept", t.kept_protected},
                                                   {"tokens", t.tokens},
                                                   {"tokens_dropped", t.dropped_tokens},
                                                   {"worst_thousand", t.worst_thousand},
                                                   {"ns_per_token", ns}}
                                .dump()
                                .c_str());
    } else {
        std::printf("%-12s %4llu %6.0f%% %8.1f%% %7.1f%% %6zu/%zu %6zu/%zu %8.1f %8.0f\n", who.name.c_str(),
                    static_cast<unsigned long long>(seed), 100 * drop, 100 * t.dropped(),
                    100 * static_cast<double>(t.dropped_tokens) / static_cast<double>(t.tokens), t.rare(),
                    rare, t.kept_protected, t.protect, 100 * t.worst_thousand, ns);
    }
    std::fflush(stdout);
}

/// Over the seeds: how few rare lines were kept, how many on average, and what was dropped.
void summarise(const settings& chosen, const std::vector<contender>& contenders,
               const std::vector<triage>& all) {
    std::printf(
        "dropped: share of lines; tokens: of tokens. rare, never: lines that occur once, and lines of the "
        "never-drop\npattern, kept of all. worst k: how far, in points, the share dropped was off its mean "
        "in the worst 1,000 lines.\n\nOver %llu seeds\n%-12s %7s %17s %17s %14s %14s\n",
        static_cast<unsigned long long>(chosen.seeds), "gate", "asked", "dropped", "rare kept, fewest",
        "mean", "never lost");
    for (std::size_t d = 0; d < chosen.drops.size(); ++d) {
        for (std::size_t c = 0; c < contenders.size(); ++c) {
            double least = 1, most = 0, sum = 0;
            std::size_t fewest = ~std::size_t{0}, lost = 0;
            for (std::size_t i = d * contenders.size() + c; i < all.size();
                 i += chosen.drops.size() * contenders.size()) {
                least = std::min(least, all[i].dropped());
                most = std::max(most, all[i].dropped());
                fewest = std::min(fewest, all[i].rare());
                sum += static_cast<double>(all[i].rare());
                lost += all[i].protect - all[i].kept_protected;
            }
            std::printf("%-12s %6.0f%% %8.1f to %4.1f%% %17zu %14.1f %14zu\n", contenders[c].name.c_str(),
                        100 * chosen.drops[d], 100 * least, 100 * most, fewest,
                        sum / static_cast<double>(chosen.seeds), lost);
        }
    }
}

void run(const settings& chosen) {
    const nullm::checkpoint file(chosen.model);
    const nullm::tokenizer words(file.vocabulary());
    const auto vocabulary = nullm::vocabulary_of(file, words);
    const cli::line_pattern never_drop("--never-drop", chosen.never_drop);

    const auto surprise = nullm::make_quiet_gate(nullm::surprise_drive::build(vocabulary));
    if (chosen.statistics) {
        std::printf(
            "Lines dropped and rare lines kept, by what sums up a line and what silent lines carry on\n"
            "%-22s %5s %4s",
            "statistic", "carry", "seed");
        for (const double drop : chosen.drops) std::printf("   drop %2.0f%%  ", 100 * drop);
        std::printf("\n");
        for (std::uint64_t seed = 1; seed <= chosen.seeds; ++seed) {
            const tokenized_log log(load(chosen, never_drop, seed), words, never_drop);
            compare_statistics(chosen, log, rates_of(surprise, log, words, seed), seed);
        }
        return;
    }

    std::vector<contender> contenders;
    contenders.push_back(summed("surprise", words, surprise));
    contenders.push_back(summed("mixture", words, nullm::make_quiet_gate(vocabulary)));
    contenders.push_back(
        summed("importance", words, nullm::make_quiet_gate(nullm::importance_drive::build(vocabulary))));
    contenders.push_back({"random", [&](const tokenized_log& log, double drop, std::uint64_t seed) {
                              const nullm::random_span_gate gate(static_cast<float>(1 - drop));
                              return read_log(mute_model{words.size()}, {}, gate, log, words, seed);
                          }});
    if (!chosen.json) {
        std::printf("%-12s %4s %7s %9s %8s %9s %9s %8s %8s\n", "gate", "seed", "asked", "dropped", "tokens",
                    "rare", "never", "worst k", "ns/token");
    }
    std::vector<triage> all;  // by seed, drop, contender
    for (std::uint64_t seed = 1; seed <= chosen.seeds; ++seed) {
        const tokenized_log log(load(chosen, never_drop, seed), words, never_drop);
        for (const double drop : chosen.drops) {
            for (const contender& who : contenders) {
                all.push_back(who.run(log, drop, seed));
                report(chosen, who, drop, seed, all.back());
            }
        }
    }
    if (!chosen.json) summarise(chosen, contenders, all);
}

}  // namespace

int main(int argc, char** argv) {
    settings chosen;
    CLI::App app("Which lines of a log are kept.", "log_triage");
    app.add_option("--model", chosen.model)->required();
    app.add_option("--log", chosen.log);
    app.add_option("--stamp", chosen.stamp);
    app.add_option("--never-drop", chosen.never_drop);
    app.add_option("--lines", chosen.lines);
    app.add_option("--seeds", chosen.seeds);
    app.add_option("--drop", chosen.drops)->delimiter(',')->check(CLI::Range(0.0, 1.0));
    app.add_flag("--statistics", chosen.statistics);
    app.add_flag("--json", chosen.json);
    CLI11_PARSE(app, argc, argv);
    try {
        run(chosen);
    } catch (const std::exception& wrong) {
        std::fprintf(stderr, "log_triage: %s\n", wrong.what());
        return 2;
    }
}
