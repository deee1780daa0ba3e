// The original idea's table: method, throughput, energy, accuracy, for what nullm has of each.
//   methods --model FILE --corpus TEXT [--out DIR] [--threads N] [--kv f16|bf16|f32] [--positions 512]
//           [--depth 4096] [--deep-positions 128] [--scored 8000] [--skip 0.6] [--repeats N]
// Throughput: a text pushed token by token, repeats of all methods interleaved; theta is fitted to that text,
// so that a row skips what it says. Accuracy: top-1 of the next token over articles of the corpus (windows of
// 1024, stride 512), and for the deep rows over what follows `depth` tokens; at all positions, and at those
// the gate answers, its theta set on the corpus' second half. Everything else is of the first half. Writes
// DIR/methods.csv.

#include "../../examples/command_line.hpp"
#include "../../examples/progress.hpp"
#include "bench.hpp"
#include "contenders.hpp"
#include "dense_pass.hpp"
#include "gate_files.hpp"
#include "readers.hpp"

#include <nullm/core/isa.hpp>
#include <nullm/measure/energy.hpp>
#include <nullm/measure/prediction.hpp>
#include <nullm/model/vocabulary.hpp>
#include <nullm/spike/calibrate.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace {

using decode::bench;
using decode::chosen_model;
using nullm::token_id;

struct table_settings {
    cli::options model;
    std::string corpus;
    std::string out = "build/gating";
    std::size_t positions = 512;
    std::size_t depth = 4096;
    std::size_t deep_positions = 128;
    std::size_t scored = 8000;
    double skip = 0.6;
    unsigned repeats = 3;
};

struct method {
    const char* name;
    cli::linear linear;
    cli::arithmetic arithmetic;
    cli::attention attention;
    bool gated, deep;
};
constexpr method methods[] = {
    {"dense, f32 weights", cli::linear::f32, cli::arithmetic::f32, cli::attention::exact, false, false},
    {"dense, weights as in the file, i16", cli::linear::native, cli::arithmetic::i16, cli::attention::exact,
     false, false},
    {"dense, weights as in the file, i8", cli::linear::native, cli::arithmetic::i8, cli::attention::exact,
     false, false},
    {"the same + gate", cli::linear::native, cli::arithmetic::i8, cli::attention::exact, true, false},
    {"NF4, i8", cli::linear::nf4, cli::arithmetic::i8, cli::attention::exact, false, false},
    {"NF4, i8 + gate", cli::linear::nf4, cli::arithmetic::i8, cli::attention::exact, true, false},
    {"deep: as in the file, i8", cli::linear::native, cli::arithmetic::i8, cli::attention::exact, false,
     true},
    {"deep: LSH attention", cli::linear::native, cli::arithmetic::i8, cli::attention::lsh, false, true},
    {"deep: LSH attention + gate", cli::linear::native, cli::arithmetic::i8, cli::attention::lsh, true, true},
};

/// A gate from outside the library: silent before a position, then the gate it holds.
template <nullm::Gate G>
struct late_gate {
    using state = typename G::state;
    G gate;
    std::int64_t first = 0;

    state initial() const { return gate.initial(); }
    nullm::gate_decision step(state& passed, const nullm::gate_input& input) const {
        nullm::gate_decision said = gate.step(passed, input);
        said.fire = said.fire && input.position >= first;
        return said;
    }
    void settle(state& passed, token_id token, bool fired) const { gate.settle(passed, token, fired); }
};
static_assert(nullm::Gate<late_gate<nullm::quiet_gate>>);

/// Where a model was asked for the next token, and whether it was right.
struct answers {
    std::vector<token_id> text;
    std::vector<std::uint8_t> right;
    std::vector<std::uint8_t> scored;
};

answers answer_articles(const bench& on, const std::vector<decode::article>& articles) {
    decode::dense_results dense = decode::run_dense(on.model, on.chosen.model.threads, articles);
    return {decode::joined(articles), std::move(dense.right), std::move(dense.scored)};
}

/// Behind `depth` tokens, twice 512 positions of the text.
answers answer_behind(const bench& on, std::span<const token_id> text, std::size_t depth) {
    constexpr std::size_t behind = 512, piece = 128;
    answers found;
    auto session = on.state(depth + behind, depth);
    const cli::progress shown("deep positions");
    for (std::size_t w = 0; w < 2 && (w + 1) * (depth + behind) < text.size(); ++w) {
        const auto part = text.subspan(w * (depth + behind), depth + behind + 1);
        on.model.truncate(session, 0);
        on.model.forward(session, part.first(depth), 0);
        found.text.insert(found.text.end(), part.begin(), part.end() - 1);
        found.right.resize(found.text.size(), 0);
        found.scored.resize(found.text.size(), 0);
        for (std::size_t at = depth; at < depth + behind; at += piece) {
            const auto logits = on.model.forward(session, part.subspan(at, piece), piece);
            for (std::size_t r = 0; r < piece; ++r) {
                const std::size_t p = found.text.size() - (depth + behind) + at + r;
                const token_id next = part[at + r + 1];
                found.right[p] = nullm::prediction(logits.row(r)).most_likely == next ? 1 : 0;
                found.scored[p] = 1;
            }
            shown.at(w * behind + at + piece - depth, 2 * behind);
        }
    }
    return found;
}

/// One method with the model and the reader it needs. Entrants whose models are the same share one, and its
/// answers: what a gate skips changes none.
struct entrant {
    /// `like`: an entrant with the same model, or null.
    entrant(const method& which, const table_settings& chosen, const nullm::checkpoint& file,
            const nullm::tokenizer& tokens, const nullm::quiet_gate& example, const entrant* like)
        : of(which) {
        settings.model = chosen.model;
        settings.model.linear = which.linear;
        settings.model.arithmetic = which.arithmetic;
        settings.model.attention = which.attention;
        model = like != nullptr ? like->model
                                : std::make_shared<chosen_model>(cli::load_model(settings.model, file));
        on = std::make_unique<bench>(bench{settings, file, tokens, *model, example, unsaved});
    }
    entrant(const entrant&) = delete;
    entrant& operator=(const entrant&) = delete;

    void start(float theta, std::span<const token_id> text, std::size_t depth) {
        const auto first = static_cast<std::int64_t>(depth);
        if (of.gated) {
            gated.emplace(*on, late_gate<nullm::quiet_gate>{on->gate(theta), first}, text, depth);
        } else {
            open.emplace(*on, late_gate<nullm::always_open>{{}, first}, text, depth);
        }
    }
    template <class F>
    auto with_reading(F&& f) {
        return gated ? f(*gated) : f(*open);
    }

    method of;
    decode::settings settings;
    std::ofstream unsaved;
    std::shared_ptr<const chosen_model> model;
    std::unique_ptr<bench> on;
    std::optional<decode::reading<late_gate<nullm::quiet_gate>>> gated;
    std::optional<decode::reading<late_gate<nullm::always_open>>> open;
    std::shared_ptr<const answers> said;
    double accuracy = 0, accuracy_emitted = 0;
    std::size_t scored = 0;
};

/// Top-1 at all scored positions, and at those of them that are answered.
void score(entrant& who, const nullm::quiet_gate& gate) {
    double all = 0, all_right = 0, emitted = 0, emitted_right = 0;
    nullm::step_through(gate, who.said->text, 0, [&](std::size_t p, const nullm::gate_decision& gate_said) {
        if (who.said->scored[p] == 0) return;
        const bool answered = !who.of.gated || gate_said.fire;
        const int right = who.said->right[p];
        ++all;
        all_right += right;
        emitted += answered ? 1 : 0;
        emitted_right += answered ? right : 0;
    });
    who.scored = static_cast<std::size_t>(all);
    who.accuracy = all_right / all;
    who.accuracy_emitted = emitted_right / emitted;
}

void print_row(entrant& who, decode::csv_file& file) {
    who.with_reading([&](const auto& read) {
        const auto counts = read.counts();
        const auto n = static_cast<double>(counts.positions), emitted = static_cast<double>(counts.emitted);
        const double usual = n / decode::median(read.seconds);
        const double slowest = n / measure::quantile(read.seconds, 1);
        const double fastest = n / measure::quantile(read.seconds, 0);
        const nullm::energy spent = read.energy();
        std::printf("| %s | %.0f %% | %.1f (%.1f-%.1f) | %.1f | %.2f | %.2f | %.2f | %.2f | %zu |\n",
                    who.of.name, 100 * (1 - emitted / n), usual, slowest, fastest, usual * emitted / n,
                    1e3 * spent.joules / n, 1e3 * spent.joules / emitted, 100 * who.accuracy,
                    100 * who.accuracy_emitted, who.scored);
        file.row(who.of.name, who.of.deep ? 1 : 0, 1 - emitted / n, usual, slowest, fastest,
                 usual * emitted / n, spent.joules / n, spent.joules / emitted, spent.estimated ? 1 : 0,
                 who.accuracy, who.accuracy_emitted, who.scored);
    });
}

void run(const table_settings& chosen) {
    const nullm::checkpoint file(chosen.model.model);
    const nullm::tokenizer tokens(file.vocabulary());
    std::vector<decode::article> articles = decode::read_articles(chosen.corpus, tokens);
    const auto all = decode::joined(articles);
    const auto half = std::span(all).first(all.size() / 2);
    const std::size_t wanted = std::max(chosen.positions, chosen.depth + chosen.deep_positions);
    if (half.size() <= wanted) {
        throw nullm::error(chosen.corpus, "more than " + std::to_string(2 * wanted) + " tokens",
                           std::to_string(all.size()));
    }
    std::vector<decode::article> scored;
    for (std::size_t left = std::min(chosen.scored, half.size()), i = 0; left > 0; ++i) {
        auto& tokens_of = articles.at(i).tokens;
        tokens_of.resize(std::min(tokens_of.size(), left));
        left -= tokens_of.size();
        scored.push_back(std::move(articles[i]));
    }

    const auto example = nullm::make_quiet_gate(nullm::vocabulary_of(file, tokens));
    const auto gate_at = [&](float theta) {
        return nullm::quiet_gate(example.drive(), example.encoder(), example.neuron(),
                                 nullm::fixed_threshold(theta));
    };
    const auto tuning = std::span(all).subspan(half.size(), std::min<std::size_t>(half.size(), 40000));
    const auto gate = gate_at(nullm::calibrate(gate_at, tuning, chosen.skip).theta);

    std::deque<entrant> entrants;
    for (const method& m : methods) {
        const entrant *same_model = nullptr, *same_answers = nullptr;
        for (const entrant& other : entrants) {
            if (other.of.linear != m.linear || other.of.arithmetic != m.arithmetic ||
                other.of.attention != m.attention) {
                continue;
            }
            same_model = &other;
            if (other.of.deep == m.deep) same_answers = &other;
        }
        entrant& who = entrants.emplace_back(m, chosen, file, tokens, example, same_model);
        who.said = same_answers != nullptr ? same_answers->said
                   : m.deep ? std::make_shared<const answers>(answer_behind(*who.on, half, chosen.depth))
                            : std::make_shared<const answers>(answer_articles(*who.on, scored));
        score(who, gate);
        const std::size_t depth = m.deep ? chosen.depth : 0;
        const auto timed = half.first(depth + (m.deep ? chosen.deep_positions : chosen.positions));
        const auto fitted = nullm::calibrate(gate_at, timed, chosen.skip, {.warm_up = depth});
        who.start(fitted.theta, timed, depth);
    }

    for (entrant& who : entrants) who.with_reading([](auto& read) { read.run(false); });
    {
        const cli::progress shown("throughput");
        std::size_t done = 0;
        for (unsigned repeat = 0; repeat < chosen.repeats; ++repeat) {
            for (entrant& who : entrants) {
                who.with_reading([](auto& read) { read.run(true); });
                shown.at(++done, chosen.repeats * entrants.size());
            }
        }
    }

    std::filesystem::create_directories(chosen.out);
    decode::csv_file csv(std::filesystem::path(chosen.out) / "methods.csv",
                         "method,deep,skipped,positions_per_s,low,high,emitted_per_s,joules_per_position,"
                         "joules_per_emitted,estimated,top1,top1_emitted,positions_scored");
    std::printf(
        "%s, cache %s, kernels %s; %zu positions one at a time, deep rows %zu behind %zu; median and range "
        "of %u interleaved repeats\n\n"
        "| method | skipped | positions/s | emitted/s | mJ/position | mJ/emitted | top-1, %% | at emitted, "
        "%% "
        "| scored |\n|---|---|---|---|---|---|---|---|---|\n",
        std::string(file.name()).c_str(), name_of(chosen.model.cache),
        std::string(name_of(nullm::active_isa())).c_str(), chosen.positions, chosen.deep_positions,
        chosen.depth, chosen.repeats);
    for (entrant& who : entrants) print_row(who, csv);
    csv.close();
    const bool estimated =
        entrants.front().with_reading([](const auto& read) { return read.energy().estimated; });
    if (estimated) {
        std::printf(
            "\nEnergy is estimated: f32 %s; i16 %s; i8 %s (Horowitz 2014, 45 nm). It counts the model's "
            "multiplications and the bytes of weights and cache; instructions, idle power and the tables of "
            "LSH "
            "are left out.\n",
            to_string(nullm::prices_f32).c_str(), to_string(nullm::prices_i16).c_str(),
            to_string(nullm::prices_i8).c_str());
    }
}

}  // namespace

int main(int argc, char** argv) {
    table_settings chosen;
    CLI::App app("The original idea's table: method, throughput, energy, accuracy.", "methods");
    app.add_option("--model", chosen.model.model, "GGUF file")->required()->type_name("FILE");
    app.add_option("--corpus", chosen.corpus, "the text")->required()->type_name("FILE");
    app.add_option("--out", chosen.out, "folder of methods.csv")->type_name("DIR")->capture_default_str();
    app.add_option("--threads", chosen.model.threads, "0: one per core")->check(CLI::Range(0U, 256U));
    app.add_option("--positions", chosen.positions, "timed")->check(CLI::Range(1U, 100000U));
    app.add_option("--depth", chosen.depth, "tokens before the timed ones of the deep rows")
        ->check(CLI::Range(1U, 1000000U));
    app.add_option("--deep-positions", chosen.deep_positions, "timed in those")
        ->check(CLI::Range(1U, 100000U));
    app.add_option("--scored", chosen.scored, "positions of the accuracy")
        ->check(CLI::Range(1024U, 100000000U));
    app.add_option("--skip", chosen.skip, "rate wanted of the gate")->check(CLI::Range(0.0, 1.0));
    app.add_option("--repeats", chosen.repeats)->check(CLI::Range(1U, 1000U));
    CLI11_PARSE(app, argc, argv);
    try {
        run(chosen);
        return 0;
    } catch (const nullm::error& wrong) {
        std::fprintf(stderr, "methods: %s\n", wrong.what());
        return 2;
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "methods: %s\n", failure.what());
        return 1;
    }
}
