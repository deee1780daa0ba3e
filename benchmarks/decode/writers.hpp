#pragma once
// Writers compared: each prompt continued by the dense loop and by the quiet one.

#include "bench.hpp"
#include "prompts.hpp"

#include <nullm/generate/drafter.hpp>
#include <nullm/generate/sampler.hpp>
#include <nullm/generate/writer.hpp>
#include <nullm/spike/gates.hpp>

#include <algorithm>
#include <cmath>
#include <span>
#include <stdexcept>
#include <utility>

namespace decode {

/// A loop on a prompt, set back to the prompt's end before every run.
template <class Gate, class Drafter>
class writing {
 public:
    writing(const bench& on, Gate gate, const prompt& from, const nullm::writer_options& limits)
        : writer_(on.model, on.state(from.tokens.size() + limits.max_tokens + 1), std::move(gate), Drafter{},
                  nullm::greedy{}, from.tokens, limits),
          start_(writer_.snapshot()) {}

    void run() {
        writer_.restore(start_);
        const auto begin = measure::now();
        while (!writer_.finished()) writer_.next();
        seconds.push_back(measure::since(begin));
    }
    std::span<const token_id> text() const { return writer_.text(); }
    const nullm::statistics& counts() const { return writer_.stats(); }
    bool stopped() const { return writer_.stopped_by().has_value(); }

    std::vector<double> seconds;

 private:
    using writer = nullm::basic_writer<chosen_model, Gate, Drafter, nullm::greedy>;
    writer writer_;
    typename writer::saved start_;
};

inline void compare_writers(const bench& on, const std::vector<prompt>& prompts) {
    const settings& chosen = on.chosen;
    const nullm::writer_options limits{.max_tokens = chosen.model.max_tokens,
                                       .stop_tokens = on.tokens.stop_tokens()};
    if (!chosen.json) {
        std::printf(
            "\nWriter: theta %.2f, greedy, up to %u tokens or a stop token; decode time only, median (and "
            "range) of "
            "%u interleaved repeats\n%-14s %5s %5s %8s %8s %18s %7s %9s %6s %10s\n",
            static_cast<double>(chosen.patience), limits.max_tokens, chosen.repeats, "prompt", "in", "out",
            "dense/s", "gated/s", "ratio", "passes", "tok/pass", "NULL", "withdrawn");
    }
    double log_ratio = 0, log_rate = 0, log_per_pass = 0;
    for (const prompt& p : prompts) {
        writing<nullm::always_open, nullm::no_drafter> dense(on, {}, p, limits);
        writing<nullm::quiet_gate, nullm::ngram_drafter> gated(on, on.gate(chosen.patience), p, limits);
        for (unsigned r = 0; r < chosen.repeats; ++r) {
            dense.run();
            gated.run();
            if (!std::ranges::equal(dense.text(), gated.text()))
                throw std::runtime_error("the gated text of '" + p.name + "' is not the dense one");
        }
        const nullm::statistics& counts = gated.counts();
        // Passes made tokens of the text, and the stop token if there was one.
        const auto n = static_cast<double>(counts.positions + (gated.stopped() ? 1 : 0));
        const auto passes = static_cast<double>(counts.passes);
        const auto ratio = ratios(dense.seconds, gated.seconds);
        log_ratio += std::log(median(ratio));
        log_rate += std::log(n / median(gated.seconds));
        log_per_pass += std::log(n / passes);
        if (chosen.json) {
            print({{"kind", "writer"},
                   {"prompt", p.name},
                   {"prompt_tokens", p.tokens.size()},
                   {"tokens", n},
                   {"stopped", gated.stopped()},
                   {"text_equal", true},
                   {"passes", counts.passes},
                   {"rows", counts.rows},
                   {"nulls", counts.nulls},
                   {"withdrawn", counts.withdrawn},
                   {"dense_s", dense.seconds},
                   {"gated_s", gated.seconds}});
            continue;
        }
        std::printf("%-14s %5zu %5.0f %8.1f %8.1f %18s %7.0f %9.2f %5.0f%% %10llu\n", p.name.c_str(),
                    p.tokens.size(), n, n / median(dense.seconds), n / median(gated.seconds),
                    spread(ratio).c_str(), passes, n / passes, 100 * static_cast<double>(counts.nulls) / n,
                    static_cast<unsigned long long>(counts.withdrawn));
        std::fflush(stdout);
    }
    if (chosen.json) return;
    const auto count = static_cast<double>(prompts.size());
    std::printf("%-14s %20s %8.1f %10.2f %25.2f   geometric means; every gated text equals the dense one\n",
                "all", "", std::exp(log_rate / count), std::exp(log_ratio / count),
                std::exp(log_per_pass / count));
}

}  // namespace decode
