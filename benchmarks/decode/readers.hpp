#pragma once
// Readers compared: a text pushed token by token, dense and at several thresholds, and in chunks.

#include "../../examples/progress.hpp"
#include "bench.hpp"
#include "prompts.hpp"

#include <nullm/generate/reader.hpp>
#include <nullm/generate/sampler.hpp>
#include <nullm/measure/counters.hpp>
#include <nullm/measure/energy.hpp>
#include <nullm/measure/llama_work.hpp>
#include <nullm/measure/rapl.hpp>
#include <nullm/spike/calibrate.hpp>
#include <nullm/spike/gates.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <deque>
#include <span>
#include <stdexcept>
#include <utility>

namespace decode {

constexpr std::size_t chunk = 512;

/// Greedy, and keeps a hash of every row it is shown.
struct hashing_sampler {
    std::vector<std::uint64_t>* hashes;
    token_id sample(std::span<const float> logits, const nullm::draw_key& key) const {
        hashes->push_back(measure::hash(logits.data(), logits.size()));
        return nullm::greedy{}.sample(logits, key);
    }
};

struct answer {
    std::size_t position;
    token_id token;
    std::uint64_t hash;
};

/// The reader's answers over a text, each with the hash of its logits. Not timed.
template <class Gate>
std::vector<answer> answers_of(const bench& on, Gate gate, std::span<const token_id> text) {
    std::vector<std::uint64_t> hashes;
    std::vector<answer> answers;
    nullm::basic_reader reader(on.model, on.state(text.size()), std::move(gate), hashing_sampler{&hashes});
    for (std::size_t p = 0; p < text.size(); ++p) {
        const nullm::step step = reader.push(text[p]);
        if (step.token) answers.push_back({p, *step.token, hashes.at(answers.size())});
    }
    return answers;
}

/// What arithmetic costs, for an estimate.
inline const nullm::energy_prices& prices_of(cli::arithmetic computed) {
    return computed == cli::arithmetic::f32  ? nullm::prices_f32
           : computed == cli::arithmetic::i8 ? nullm::prices_i8
                                             : nullm::prices_i16;
}

/// A reader over a text, set back to where it starts before every run.
template <class Gate>
class reading {
 public:
    /// The first `depth` tokens are read beforehand; the gate should be silent there, or it takes long.
    reading(const bench& on, Gate gate, std::span<const token_id> text, std::size_t depth = 0)
        : on_(on),
          text_(text.subspan(depth)),
          model_(on.model, passes_),
          reader_(model_, on.state(text.size(), depth), std::move(gate), nullm::greedy{}),
          start_(read(text.first(depth))),
          answers_(text_.size(), none) {}
    reading(const reading&) = delete;  // the reader refers to its model and counts
    reading& operator=(const reading&) = delete;

    void run(bool timed) {
        reader_.restore(start_);
        passes_ = {};
        nullm::rapl_meter meter;
        const auto begin = measure::now();
        auto before = begin;
        for (std::size_t p = 0; p < text_.size(); ++p) {
            const auto token = reader_.push(text_[p]).token;
            const auto after = measure::now();
            if (token && timed) latencies.push_back(std::chrono::duration<double>(after - before).count());
            answers_[p] = token.value_or(none);
            before = after;
        }
        reader_.commit();
        if (!timed) return;
        seconds.push_back(measure::since(begin));
        const nullm::energy spent = meter.readable() ? meter.consumed() : estimate();
        joules.push_back(spent.joules);
        estimated_ = spent.estimated;
    }
    /// Answers of the last run, a position each; -1 where there was none.
    std::span<const token_id> answers() const { return answers_; }
    /// Of the last run.
    nullm::statistics counts() const {
        nullm::statistics run = reader_.stats();
        run.positions -= before_.positions;
        run.emitted -= before_.emitted;
        run.passes -= before_.passes;
        return run;
    }
    /// Of the median run.
    nullm::energy energy() const { return {.joules = median(joules), .estimated = estimated_}; }

    std::vector<double> seconds;
    std::vector<double> latencies;  // of the pushes that answered, catching up included
    std::vector<double> joules;     // of each timed run

 private:
    static constexpr token_id none = -1;
    using model = nullm::counted_model<chosen_model>;
    using reader = nullm::basic_reader<model, Gate, nullm::greedy>;

    typename reader::saved read(std::span<const token_id> text) {
        for (const token_id token : text) reader_.push(token);
        reader_.commit();
        before_ = reader_.stats();
        return reader_.snapshot();
    }

    nullm::energy estimate() const {
        const nullm::llama_work work(on_.file.config());
        const cli::options& how = on_.chosen.model;
        const std::size_t element = how.cache == cli::cache::f32 ? 4 : 2;
        nullm::pass_counts done = passes_;
        if (const auto sampled = on_.model.sampling(reader_.model_state()); sampled && sampled->queries > 0) {
            done.keys = static_cast<std::uint64_t>(static_cast<double>(done.keys) * sampled->share_read());
            done.cached =
                static_cast<std::uint64_t>(static_cast<double>(done.cached) * sampled->share_read());
        }
        return nullm::estimate_energy(prices_of(how.computes_in()), work.macs(done), 0,
                                      work.bytes(done, on_.model.weight_bytes(), element));
    }

    const bench& on_;
    std::span<const token_id> text_;
    nullm::pass_counts passes_;
    model model_;
    reader reader_;
    nullm::statistics before_;
    typename reader::saved start_;
    std::vector<token_id> answers_;
    bool estimated_ = true;
};

struct row {
    row(const bench& on, float at, double skip, std::span<const token_id> text)
        : theta(at), wanted(skip), read(on, on.gate(at), text) {}

    std::string name() const {
        char text[48];
        std::snprintf(text, sizeof text, "theta %.3f", static_cast<double>(theta));
        return text;
    }

    float theta;
    double wanted;  // skip rate; negative where theta was given
    reading<nullm::quiet_gate> read;
};

/// Throws if an answer of a gated reader, or the logits it rests on, is not the dense one. Returns how many
/// it compared; calls `done` after each row.
template <class Done>
std::size_t check(const bench& on, const std::deque<row>& rows, std::span<const token_id> text, Done&& done) {
    const auto dense = answers_of(on, nullm::always_open{}, text);
    std::size_t compared = 0;
    for (const row& r : rows) {
        for (const answer& a : answers_of(on, on.gate(r.theta), text)) {
            const answer& wanted = dense.at(a.position);
            if (a.hash != wanted.hash || a.token != wanted.token) {
                throw std::runtime_error("the logits at position " + std::to_string(a.position) + " at " +
                                         r.name() + " are not the dense ones");
            }
            ++compared;
        }
        done();
    }
    return compared;
}

/// Seconds of one position in the gate alone.
inline double gate_seconds(const bench& on, std::span<const token_id> text) {
    const nullm::quiet_gate gate = on.gate(0.5F);
    double best = 1;
    for (int repeat = 0; repeat < 3; ++repeat) {
        const auto begin = measure::now();
        nullm::skip_rate(gate, text);
        best = std::min(best, measure::since(begin));
    }
    return best / static_cast<double>(text.size());
}

/// `gate`: seconds of a position in it.
template <class Reading>
inline void report(const bench& on, const std::string& name, double theta, double wanted, const Reading& read,
                   const std::vector<double>& dense, double gate) {
    const nullm::statistics counts = read.counts();
    const auto n = static_cast<double>(counts.positions);
    const auto answers = static_cast<double>(counts.emitted);
    const double p50 = measure::quantile(read.latencies, 0.5), p95 = measure::quantile(read.latencies, 0.95);
    const double ceiling = 1 / (answers / n + gate * n / median(dense));
    const nullm::energy spent = read.energy();
    json line{{"kind", "reader"},        {"row", name},
              {"theta", theta},          {"positions", n},
              {"answers", answers},      {"skipped", 1 - answers / n},
              {"ceiling", ceiling},      {"gate_s", gate},
              {"passes", counts.passes}, {"seconds", read.seconds},
              {"latency_p50_s", p50},    {"latency_p95_s", p95},
              {"joules", read.joules},   {"joules_estimated", spent.estimated}};
    if (wanted >= 0) line["wanted_skip"] = wanted;
    note(on, line);
    if (on.chosen.json) return;
    const double seconds = median(read.seconds);
    std::string label = name;
    if (wanted >= 0) label += " for " + std::to_string(std::lround(100 * wanted)) + " %";
    std::printf("%-22s %6.1f%% %11.1f %10.1f %18s %7.2f %7llu %8.2f %8.2f %8.2f %8.2f\n", label.c_str(),
                100 * (1 - answers / n), n / seconds, answers / seconds,
                spread(ratios(dense, read.seconds)).c_str(), ceiling,
                static_cast<unsigned long long>(counts.passes), p50 * 1e3, p95 * 1e3, 1e3 * spent.joules / n,
                1e3 * spent.joules / answers);
}

inline void compare_readers(const bench& on) {
    const settings& chosen = on.chosen;
    auto text = on.tokens.encode(read_file(chosen.corpus));
    text.resize(std::min(text.size(), chosen.positions));
    if (text.empty()) throw nullm::error(chosen.corpus, "a text of one token or more", "none");
    const std::span<const token_id> all(text);

    std::deque<row> rows;
    for (const double skip : chosen.skips) {
        const auto fitted = nullm::calibrate([&](float theta) { return on.gate(theta); }, all, skip);
        rows.emplace_back(on, fitted.theta, skip, all);
    }
    for (const float theta : chosen.thetas) rows.emplace_back(on, theta, -1, all);
    reading<nullm::always_open> dense(on, {}, all);
    chosen_model::state session = on.state(text.size());
    std::vector<double> chunked;
    const auto prefill = [&](std::span<const token_id> tokens) {
        on.model.truncate(session, 0);
        const auto begin = measure::now();
        for (std::size_t at = 0; at < tokens.size(); at += chunk)
            on.model.forward(session, tokens.subspan(at, std::min(chunk, tokens.size() - at)), 0);
        return measure::since(begin);
    };

    const cli::progress shown("reader");
    const std::size_t steps = rows.size() * (2 + chosen.repeats) + chosen.repeats;
    std::size_t done = 0;
    const auto step_done = [&] { shown.at(++done, steps); };
    const std::size_t compared = chosen.no_check ? 0 : check(on, rows, all, step_done);
    done = rows.size();
    prefill(all.first(std::min(chunk, text.size())));  // grows what grows
    for (row& r : rows) {
        r.read.run(false);
        step_done();
    }
    for (unsigned repeat = 0; repeat < chosen.repeats; ++repeat) {
        dense.run(true);
        step_done();
        for (row& r : rows) {
            r.read.run(true);
            step_done();
            for (std::size_t p = 0; p < text.size(); ++p) {
                const token_id answered = r.read.answers()[p];
                if (answered >= 0 && answered != dense.answers()[p]) {
                    throw std::runtime_error("the answer at position " + std::to_string(p) + " at " +
                                             r.name() + " is not the dense one");
                }
            }
        }
        chunked.push_back(prefill(all));
    }
    const double gate = gate_seconds(on, all);

    const auto n = static_cast<double>(text.size());
    if (!chosen.json) {
        std::printf(
            "\nReader: %zu tokens pushed one at a time, median (and range) of %u interleaved repeats\n%-22s "
            "%7s %11s %10s %18s %7s %7s %8s %8s %8s %8s\n",
            text.size(), chosen.repeats, "gate", "skipped", "positions/s", "emitted/s", "ratio", "ceiling",
            "passes", "p50 ms", "p95 ms", "mJ/pos.", "mJ/emit.");
    }
    report(on, "dense", 0, -1, dense, dense.seconds, 0);
    for (const row& r : rows) {
        report(on, r.name(), static_cast<double>(r.theta), r.wanted, r.read, dense.seconds, gate);
    }
    note(on, {{"kind", "chunked prefill"}, {"positions", n}, {"chunk", chunk}, {"seconds", chunked}});
    note(on, {{"kind", "check"}, {"logits_compared", compared}, {"equal", !chosen.no_check}});
    if (chosen.json) return;
    std::printf("%-22s %6.1f%% %11.1f %10.1f %18s   chunks of %zu, no answers\n", "chunked prefill", 100.0,
                n / median(chunked), 0.0, spread(ratios(dense.seconds, chunked)).c_str(), chunk);
    std::printf(
        "A position is a token read; only the emitted ones have an answer. ratio: to dense. ceiling: 1 / "
        "(share "
        "emitted +\ngate), what catching up for nothing would give (Amdahl; the gate takes %.2f us a "
        "position). "
        "p50, p95: time of a push\nthat answered, catching up included.%s\nEnergy: %s.\n",
        1e6 * gate, chosen.skips.empty() ? "" : " A theta for a wanted skip rate was fitted on this text.",
        dense.energy().estimated ? ("estimated, " + to_string(prices_of(chosen.model.computes_in())) +
                                    " (Horowitz 2014, 45 nm); no counter of the processor's can be read here")
                                       .c_str()
                                 : "the processor's counters (RAPL), whatever else ran included");
    if (compared != 0) {
        std::printf(
            "Logits of all %zu gated answers have the same bits as the dense ones (64-bit hashes): agreement "
            "100 "
            "%%, KL 0. The\nanswers of every timed run are the dense ones.\n",
            compared);
    } else {
        std::printf("The answers of every timed run are the dense ones; logits were not compared.\n");
    }
}

}  // namespace decode
