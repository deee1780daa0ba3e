#pragma once
// Readers compared: a text pushed token by token, dense and at several thresholds, and in chunks.

#include "bench.hpp"
#include "prompts.hpp"
#include "wanted_skip.hpp"

#include <nullm/generate/reader.hpp>
#include <nullm/generate/sampler.hpp>
#include <nullm/spike/gates.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
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

/// A reader over a text, empty again before every run.
template <class Gate>
class reading {
 public:
    reading(const bench& on, Gate gate, std::span<const token_id> text)
        : text_(text),
          reader_(on.model, on.state(text.size()), std::move(gate), nullm::greedy{}),
          start_(reader_.snapshot()),
          answers_(text.size(), none) {}

    void run(bool timed) {
        reader_.restore(start_);
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
        if (timed) seconds.push_back(measure::since(begin));
    }
    /// Answers of the last run, a position each; -1 where there was none.
    std::span<const token_id> answers() const { return answers_; }
    const nullm::statistics& counts() const { return reader_.stats(); }

    std::vector<double> seconds;
    std::vector<double> latencies;  // of the pushes that answered, catching up included

 private:
    static constexpr token_id none = -1;
    using reader = nullm::basic_reader<chosen_model, Gate, nullm::greedy>;
    std::span<const token_id> text_;
    reader reader_;
    typename reader::saved start_;
    std::vector<token_id> answers_;
};

struct row {
    float theta;
    double wanted;  // skip rate; negative where theta was given
    reading<nullm::quiet_gate> read;

    std::string name() const {
        char text[48];
        std::snprintf(text, sizeof text, "theta %.3f", static_cast<double>(theta));
        return text;
    }
};

/// Throws if an answer of a gated reader, or the logits it rests on, is not the dense one. Returns how many
/// it compared.
inline std::size_t check(const bench& on, const std::vector<row>& rows, std::span<const token_id> text) {
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
    }
    return compared;
}

template <class Reading>
inline void report(const settings& chosen, const std::string& name, double theta, double wanted,
                   const Reading& read, const std::vector<double>& dense) {
    const nullm::statistics& counts = read.counts();
    const auto n = static_cast<double>(counts.positions);
    const auto answers = static_cast<double>(counts.emitted);
    const double p50 = measure::quantile(read.latencies, 0.5), p95 = measure::quantile(read.latencies, 0.95);
    if (chosen.json) {
        json line{{"kind", "reader"},        {"row", name},
                  {"theta", theta},          {"positions", n},
                  {"answers", answers},      {"skipped", 1 - answers / n},
                  {"passes", counts.passes}, {"seconds", read.seconds},
                  {"latency_p50_s", p50},    {"latency_p95_s", p95}};
        if (wanted >= 0) line["wanted_skip"] = wanted;
        return print(line);
    }
    const double seconds = median(read.seconds);
    std::string label = name;
    if (wanted >= 0) label += " for " + std::to_string(std::lround(100 * wanted)) + " %";
    std::printf("%-22s %6.1f%% %11.1f %10.1f %18s %7.2f %7llu %8.2f %8.2f\n", label.c_str(),
                100 * (1 - answers / n), n / seconds, answers / seconds,
                spread(ratios(dense, read.seconds)).c_str(), n / answers,
                static_cast<unsigned long long>(counts.passes), p50 * 1e3, p95 * 1e3);
}

inline void compare_readers(const bench& on) {
    const settings& chosen = on.chosen;
    auto text = on.tokens.encode(read_file(chosen.corpus));
    text.resize(std::min(text.size(), chosen.positions));
    if (text.empty()) throw nullm::error(chosen.corpus, "a text of one token or more", "none");
    const std::span<const token_id> all(text);

    std::vector<row> rows;
    for (const double skip : chosen.skips) {
        const float theta = theta_for_skip(skip, on.drive, all);
        rows.push_back({theta, skip, {on, on.gate(theta), all}});
    }
    for (const float theta : chosen.thetas) rows.push_back({theta, -1, {on, on.gate(theta), all}});
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

    const std::size_t compared = chosen.no_check ? 0 : check(on, rows, all);
    prefill(all.first(std::min(chunk, text.size())));  // grows what grows
    for (row& r : rows) r.read.run(false);
    for (unsigned repeat = 0; repeat < chosen.repeats; ++repeat) {
        dense.run(true);
        for (row& r : rows) {
            r.read.run(true);
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

    const auto n = static_cast<double>(text.size());
    if (!chosen.json) {
        std::printf(
            "\nReader: %zu tokens pushed one at a time, median (and range) of %u interleaved repeats\n%-22s "
            "%7s %11s %10s "
            "%18s %7s %7s %8s %8s\n",
            text.size(), chosen.repeats, "gate", "skipped", "positions/s", "answers/s", "ratio", "ceiling",
            "passes", "p50 ms", "p95 ms");
    }
    report(chosen, "dense", 0, -1, dense, dense.seconds);
    for (const row& r : rows) {
        report(chosen, r.name(), static_cast<double>(r.theta), r.wanted, r.read, dense.seconds);
    }
    if (chosen.json) {
        print({{"kind", "chunked prefill"}, {"positions", n}, {"chunk", chunk}, {"seconds", chunked}});
        print({{"kind", "check"}, {"logits_compared", compared}, {"equal", !chosen.no_check}});
        return;
    }
    std::printf("%-22s %6.1f%% %11.1f %10.1f %18s   chunks of %zu, no answers\n", "chunked prefill", 100.0,
                n / median(chunked), 0.0, spread(ratios(dense.seconds, chunked)).c_str(), chunk);
    std::printf(
        "ratio: to dense. ceiling: positions / answers, what a free gate and free catching up would give. "
        "p50 and "
        "p95: time of a\npush that answered, catching up included.%s\n",
        chosen.skips.empty() ? "" : " A theta for a wanted skip rate was searched on this text.");
    if (compared != 0) {
        std::printf(
            "Logits of all %zu gated answers have the same bits as the dense ones (64-bit hashes); the "
            "answers of "
            "every timed run\nare the dense ones.\n",
            compared);
    } else {
        std::printf("The answers of every timed run are the dense ones; logits were not compared.\n");
    }
}

}  // namespace decode
