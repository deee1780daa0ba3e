// nullm_calibrate: finds the theta at which the gate skips a wanted share of a text like yours, says what
// that keeps of a text it has not seen, and writes the gate to a file that nullm_read and nullm_generate
// take.

#include "command_line.hpp"
#include "compose.hpp"

#include <nullm/io/gate_file.hpp>
#include <nullm/spike/calibrate.hpp>
#include <nullm/spike/token_classes.hpp>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace {

using tokens_view = std::span<const nullm::token_id>;

struct settings {
    std::string model;
    std::string corpus;
    std::string output;
    double target_skip = 0.6;
    float surprise_weight = nullm::quiet_drive_params{}.surprise_weight;
    bool reprogrammed = false;
    bool adapt = false;
    std::uint64_t seed = 0;
};

/// Shorter texts say nothing about a share of one in a hundred.
constexpr std::size_t shortest_half = 200;

/// What should not be missed, by position. A token may be in several classes.
struct important {
    static constexpr const char* names[] = {"rare", "numbers", "capitalised"};
    std::vector<char> in[3];
    std::size_t count[3] = {};

    important(tokens_view text, const nullm::tokenizer& words) {
        std::unordered_map<nullm::token_id, std::size_t> uses;
        for (const nullm::token_id token : text) ++uses[token];
        for (const nullm::token_id token : text) {
            const std::string piece(words.piece(token));
            const bool is[] = {uses[token] <= 5, nullm::has_digit(piece), nullm::is_capitalised(piece)};
            for (std::size_t c = 0; c < 3; ++c) {
                in[c].push_back(is[c] ? 1 : 0);
                count[c] += is[c] ? 1 : 0;
            }
        }
    }
};

/// One way to run a gate over a text: the share that fires, and of each class.
struct kept {
    double all = 0;
    std::optional<double> of[3] = {};  // none where the text has none of the class
};

std::string shown(const std::optional<double>& share) {
    char text[16] = "      -";
    if (share) std::snprintf(text, sizeof text, "%5.1f %%", 100 * *share);
    return text;
}

template <class G>
kept keep(const G& gate, tokens_view text, std::uint64_t seed, const important& classes) {
    std::size_t all = 0;
    std::size_t of[3] = {};
    nullm::step_through(gate, text, seed, [&](std::size_t i, const nullm::gate_decision& said) {
        if (!said.fire) return;
        ++all;
        for (std::size_t c = 0; c < 3; ++c) of[c] += classes.in[c][i] != 0 ? 1 : 0;
    });
    kept result;
    result.all = static_cast<double>(all) / static_cast<double>(text.size());
    for (std::size_t c = 0; c < 3; ++c) {
        result.of[c] =
            classes.count[c] == 0 ? 1.0 : static_cast<double>(of[c]) / static_cast<double>(classes.count[c]);
    }
    return result;
}

constexpr float termness = nullm::reprogrammed_params{}.termness;

/// What is written: the fitted theta, held, or as the place from which an adapting one starts.
nullm::gate_part threshold_of(const settings& chosen, float theta) {
    const double start = nullm::shortest_double(theta);
    const double inside = nullm::shortest_double(std::clamp(theta, 0.001F, 0.999F));
    const double target = nullm::shortest_double(static_cast<float>(1 - chosen.target_skip));
    if (chosen.reprogrammed) {
        nullm::gate_part part{"reprogrammed",
                              {{"theta", inside}, {"termness", nullm::shortest_double(termness)}}};
        if (!chosen.adapt) return part;
        part.kind = "reprogrammed_target_rate";
        part.numbers["target"] = target;
        return part;
    }
    if (chosen.adapt) return {"target_rate", {{"target", target}, {"initial", inside}}};
    return {"fixed", {{"theta", start}}};
}

/// make(float theta) -> Gate: its fit to the first half, what it keeps of the second, and the file.
template <class MakeGate>
void report(const settings& chosen, nullm::gate_description gate, const nullm::quiet_drive& drive,
            const nullm::vocabulary_view& vocabulary, const nullm::tokenizer& words, tokens_view text,
            MakeGate gate_at) {
    const tokens_view first = text.first(text.size() / 2);
    const tokens_view second = text.subspan(text.size() / 2);
    const important classes(second, words);
    const nullm::calibration_options how{.seed = chosen.seed};
    const auto fitted = nullm::calibrate(gate_at, first, chosen.target_skip, how);
    gate.threshold = threshold_of(chosen, fitted.theta);
    gate.fit = nullm::gate_fit{.target_skip = chosen.target_skip,
                               .skip = fitted.skip,
                               .positions = fitted.positions,
                               .seed = chosen.seed};

    std::printf("theta %.4f skips %.1f %% of the first half (%zu positions; %.1f and %.1f %% are next)\n",
                static_cast<double>(fitted.theta), 100 * fitted.skip, first.size(), 100 * fitted.lower,
                100 * fitted.upper);
    const kept held_out =
        keep(cli::make_gate(drive, gate.threshold, vocabulary), second, chosen.seed, classes);
    std::printf("and%s %.1f %% of the second, which it has not seen\n",
                chosen.adapt ? ", adapting from there," : "", 100 * (1 - held_out.all));

    std::printf("\nof the second half's %zu positions (%zu rare, %zu numbers, %zu capitalised), fired at:\n",
                second.size(), classes.count[0], classes.count[1], classes.count[2]);
    std::printf("  skip wanted   theta      all     rare  numbers  capitalised\n");
    for (int tenths = 1; tenths <= 9; ++tenths) {
        const auto fit = nullm::calibrate(gate_at, first, tenths / 10.0, how);
        const kept seen = keep(gate_at(fit.theta), second, chosen.seed, classes);
        std::printf("  %9d %%  %.4f  %5.1f %%  %s  %s      %s\n", tenths * 10, static_cast<double>(fit.theta),
                    100 * seen.all, shown(seen.of[0]).c_str(), shown(seen.of[1]).c_str(),
                    shown(seen.of[2]).c_str());
    }
    if (chosen.output.empty()) return;
    nullm::write_gate_file(chosen.output, gate);
    std::printf("\n%s written\n", chosen.output.c_str());
}

void calibrate(const settings& chosen) {
    const nullm::checkpoint file = nullm::open_checkpoint(chosen.model);
    const nullm::tokenizer words(file.vocabulary());
    const auto text = words.encode(cli::read_all(chosen.corpus));
    if (text.size() < 2 * shortest_half) {
        throw nullm::error(chosen.corpus,
                           "a text of at least " + std::to_string(2 * shortest_half) + " tokens",
                           std::to_string(text.size()));
    }
    nullm::gate_description gate{.model = std::string(file.name())};
    gate.drive = {"quiet", {{"surprise_weight", nullm::shortest_double(chosen.surprise_weight)}}};
    const auto vocabulary = nullm::vocabulary_of(file, words);
    const auto drive = cli::make_drive(gate.drive, vocabulary);
    if (!chosen.reprogrammed) {
        report(chosen, gate, drive, vocabulary, words, text,
               [&](float theta) { return nullm::make_quiet_gate(drive, {.theta = theta}); });
        return;
    }
    const auto table = nullm::text_prototypes::build(vocabulary).tabulate(vocabulary);
    report(chosen, gate, drive, vocabulary, words, text, [&](float theta) {
        return cli::with_threshold(
            drive, nullm::reprogrammed_threshold(table, {.theta = std::clamp(theta, 0.001F, 0.999F),
                                                         .termness = termness,
                                                         .homeostasis = std::nullopt}));
    });
}

}  // namespace

int main(int argc, char** argv) {
    settings chosen;
    CLI::App app("Fits the gate's threshold to a wanted skip rate on a text. No model is run.",
                 "nullm_calibrate");
    app.add_option("--model", chosen.model, "GGUF file: its tokenizer and its embeddings")
        ->required()
        ->type_name("FILE");
    app.add_option("corpus", chosen.corpus, "a text like yours; - is standard input")
        ->required()
        ->type_name("FILE");
    app.add_option("--target-skip", chosen.target_skip, "share of positions to stay silent at (default 0.6)")
        ->check(CLI::Range(0.0, 1.0))
        ->type_name("R");
    app.add_option("--surprise-weight", chosen.surprise_weight,
                   "0: what matters fires | 1: what the text does not foretell fires (default 0.4)")
        ->check(CLI::Range(0.0, 1.0))
        ->type_name("W");
    app.add_flag("--reprogrammed", chosen.reprogrammed,
                 "a threshold for each token, from text prototypes, in place of one for all");
    app.add_flag("--adapt", chosen.adapt,
                 "let theta follow the text, so that the share holds where its kind changes");
    app.add_option("-o,--output", chosen.output, "write the gate to this file (--gate-file of the others)")
        ->type_name("JSON");
    app.add_option("--seed", chosen.seed, "of the encoder's draws")->type_name("S");
    return cli::guarded("nullm_calibrate", app, argc, argv, [&] { calibrate(chosen); });
}
