// Does a theta fitted to the first half of a text skip as much of the second? And does homeostasis hold the
// share where the kind of text changes?
//   calibration --model FILE KIND=TEXT [KIND=TEXT ...] [--target-skip R ...] [--surprise-weight W]
//               [--each N] [--seed S] [--json]
// No model is run. The second table reads the texts one after the other, N positions of each (default 10,000,
// or all there are), and looks at the skip rate of 2,000 positions in a row: at every place behind the first
// 500, so also across the changes of kind.

#include "../../examples/command_line.hpp"
#include "prompts.hpp"

#include <nullm/core/error.hpp>
#include <nullm/model/checkpoint.hpp>
#include <nullm/model/vocabulary.hpp>
#include <nullm/spike/calibrate.hpp>
#include <nullm/spike/quiet_gate.hpp>
#include <nullm/spike/reprogrammed_threshold.hpp>
#include <nullm/spike/text_prototypes.hpp>
#include <nullm/text/tokenizer.hpp>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace {

using json = nlohmann::ordered_json;

struct settings {
    std::string model;
    std::vector<std::string> texts;
    std::vector<double> targets = {0.4, 0.6, 0.8};
    float surprise_weight = nullm::quiet_drive_params{}.surprise_weight;
    std::size_t each = 10000;
    std::uint64_t seed = 0;
    bool as_json = false;
};

struct kind_of_text {
    std::string name;
    std::vector<nullm::token_id> tokens;
    std::span<const nullm::token_id> first() const { return std::span(tokens).first(tokens.size() / 2); }
    std::span<const nullm::token_id> second() const { return std::span(tokens).subspan(tokens.size() / 2); }
};

kind_of_text read_kind(const std::string& argument, const nullm::tokenizer& words) {
    const auto equals = argument.find('=');
    if (equals == std::string::npos) throw nullm::error("text", "KIND=FILE", argument);
    std::string text = decode::read_file(argument.substr(equals + 1));
    std::erase(text, '\r');
    kind_of_text kind{argument.substr(0, equals), words.encode(text)};
    if (kind.tokens.size() < 1000) {
        throw nullm::error(argument, "a text of at least 1000 tokens", std::to_string(kind.tokens.size()));
    }
    return kind;
}

using drive_type = nullm::quiet_drive;
template <nullm::Threshold T>
auto with_threshold(const drive_type& drive, T threshold) {
    return nullm::spike_gate(drive, nullm::poisson_encoder{}, nullm::quiet_neuron::build(drive.width()),
                             std::move(threshold));
}

nullm::target_rate_threshold target_rate(double skip, float initial) {
    nullm::target_rate_params params{.target = static_cast<float>(1 - skip)};
    params.initial = std::clamp(initial, params.lowest, params.highest);
    return nullm::target_rate_threshold(params);
}

/// Theta fitted to the first half, and what both gates skip of the second, read as a text of its own.
json halves(const settings& chosen, const drive_type& drive, const kind_of_text& kind, double target) {
    const nullm::calibration_options how{.seed = chosen.seed};
    const auto make = [&](float theta) { return nullm::make_quiet_gate(drive, {.theta = theta}); };
    const auto fit = nullm::calibrate(make, kind.first(), target, how);
    const auto adapting = with_threshold(drive, target_rate(target, fit.theta));
    return {{"kind", kind.name},
            {"positions", kind.tokens.size()},
            {"target", target},
            {"theta", fit.theta},
            {"first_half", fit.skip},
            {"resolution", fit.upper - fit.lower},
            {"second_half", nullm::skip_rate(make(fit.theta), kind.second(), how)},
            {"second_half_homeostasis", nullm::skip_rate(adapting, kind.second(), how)}};
}

/// The skip rate of `window` positions in a row, at every place from `from` on.
std::vector<double> window_rates(const std::vector<char>& silent, std::size_t from, std::size_t window) {
    std::vector<double> rates;
    std::size_t count = 0;
    for (std::size_t i = from; i < silent.size(); ++i) {
        count += silent[i] != 0 ? 1 : 0;
        if (i >= from + window) count -= silent[i - window] != 0 ? 1 : 0;
        if (i + 1 >= from + window) rates.push_back(static_cast<double>(count) / static_cast<double>(window));
    }
    return rates;
}

template <class G>
json windows(const G& gate, const settings& chosen, const std::vector<nullm::token_id>& text, double target) {
    constexpr std::size_t settling = 500;
    constexpr std::size_t window = 2000;
    std::vector<char> silent(text.size());
    nullm::step_through(gate, text, chosen.seed, [&](std::size_t i, const nullm::gate_decision& said) {
        silent[i] = said.fire ? 0 : 1;
    });
    const auto rates = window_rates(silent, settling, window);
    std::size_t within = 0;
    for (const double rate : rates) within += std::abs(rate - target) <= 0.03 ? 1 : 0;
    const auto [low, high] = std::minmax_element(rates.begin(), rates.end());
    return {{"lowest", *low},
            {"highest", *high},
            {"within_3_points", static_cast<double>(within) / static_cast<double>(rates.size())}};
}

void run(const settings& chosen) {
    const nullm::checkpoint file(chosen.model);
    const nullm::tokenizer words(file.vocabulary());
    const auto vocabulary = nullm::vocabulary_of(file, words);
    const auto drive = drive_type::build(vocabulary, {.surprise_weight = chosen.surprise_weight});
    std::vector<kind_of_text> kinds;
    for (const auto& argument : chosen.texts) kinds.push_back(read_kind(argument, words));
    std::vector<nullm::token_id> mixed;
    for (const auto& kind : kinds) {
        const auto part = std::span(kind.tokens).first(std::min(chosen.each, kind.tokens.size()));
        mixed.insert(mixed.end(), part.begin(), part.end());
    }

    if (!chosen.as_json) {
        std::printf("surprise weight %.2f, seed %llu\n\n%-12s %9s %7s %7s %11s %6s %12s %14s\n",
                    static_cast<double>(chosen.surprise_weight), static_cast<unsigned long long>(chosen.seed),
                    "kind", "positions", "target", "theta", "first half", "step", "second half",
                    "homeostatic");
    }
    for (const auto& kind : kinds) {
        for (const double target : chosen.targets) {
            const json row = halves(chosen, drive, kind, target);
            if (chosen.as_json) {
                std::printf("%s\n", row.dump().c_str());
                continue;
            }
            const auto percent = [&](const char* key) { return 100 * row[key].get<double>(); };
            std::printf("%-12s %9zu %5.0f %% %7.4f %9.1f %% %4.1f %% %10.1f %% %12.1f %%\n",
                        kind.name.c_str(), kind.tokens.size(), 100 * target, row["theta"].get<double>(),
                        percent("first_half"), percent("resolution"), percent("second_half"),
                        percent("second_half_homeostasis"));
        }
    }
    if (!chosen.as_json) {
        std::printf(
            "\n%zu positions of all kinds in turn, 2,000 at a time behind the first 500\n%-12s %7s %9s "
            "%9s %22s\n",
            mixed.size(), "threshold", "target", "lowest", "highest", "windows within 3 points");
    }
    const auto print = [&](json row, const char* name, double target) {
        if (chosen.as_json) {
            row["threshold"] = name;
            row["target"] = target;
            std::printf("%s\n", row.dump().c_str());
            return;
        }
        std::printf("%-12s %5.0f %% %7.1f %% %7.1f %% %20.1f %%\n", name, 100 * target,
                    100 * row["lowest"].get<double>(), 100 * row["highest"].get<double>(),
                    100 * row["within_3_points"].get<double>());
    };
    const auto termness = nullm::text_prototypes::build(vocabulary).tabulate(vocabulary);
    for (const double target : chosen.targets) {
        const auto make = [&](float theta) { return nullm::make_quiet_gate(drive, {.theta = theta}); };
        const auto fit = nullm::calibrate(make, kinds.front().first(), target, {.seed = chosen.seed});
        print(windows(make(fit.theta), chosen, mixed, target), "fixed", target);
        const auto adapting = with_threshold(drive, target_rate(target, fit.theta));
        print(windows(adapting, chosen, mixed, target), "target_rate", target);
        const nullm::homeostasis_params homeostasis{.target = static_cast<float>(1 - target)};
        const auto reprogrammed =
            with_threshold(drive, nullm::reprogrammed_threshold(termness, {.homeostasis = homeostasis}));
        print(windows(reprogrammed, chosen, mixed, target), "reprogrammed", target);
    }
}

}  // namespace

int main(int argc, char** argv) {
    settings chosen;
    CLI::App app("How well a fitted theta, and one that adapts, keep the wanted skip rate.", "calibration");
    app.add_option("--model", chosen.model, "GGUF file: its tokenizer and its embeddings")
        ->required()
        ->type_name("FILE");
    app.add_option("texts", chosen.texts, "KIND=FILE, one or more")->required()->type_name("KIND=FILE");
    app.add_option("--target-skip", chosen.targets, "wanted shares of positions without an answer")
        ->check(CLI::Range(0.0, 1.0))
        ->type_name("R");
    app.add_option("--surprise-weight", chosen.surprise_weight, "of the drive")
        ->check(CLI::Range(0.0, 1.0))
        ->type_name("W");
    app.add_option("--each", chosen.each, "positions of each kind in the mixture")->type_name("N");
    app.add_option("--seed", chosen.seed, "of the encoder")->type_name("S");
    app.add_flag("--json", chosen.as_json, "lines of JSON");
    try {
        app.parse(argc, argv);
        run(chosen);
        return 0;
    } catch (const CLI::ParseError& wrong) {
        return app.exit(wrong);
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "calibration: %s\n", failure.what());
        return 1;
    }
}
