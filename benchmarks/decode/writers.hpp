#pragma once
// Writers compared: each prompt continued by the dense loop, by a gate that weighs each draft, and by fixed
// numbers of drafts.

#include "batch_curve.hpp"
#include "bench.hpp"
#include "fixed_drafts.hpp"
#include "prompts.hpp"

#include <nullm/generate/drafter.hpp>
#include <nullm/generate/sampler.hpp>
#include <nullm/generate/writer.hpp>
#include <nullm/spike/draft_gate.hpp>
#include <nullm/spike/gates.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <optional>
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
    /// Runs untimed: the passes, each weighted by what its rows cost.
    double cost(const nullm::pass_costs& curve) {
        writer_.restore(start_);
        double sum = 0;
        while (!writer_.finished()) {
            const auto before = writer_.stats();
            writer_.next();
            const auto& after = writer_.stats();
            if (after.passes != before.passes) sum += curve.of(after.rows - before.rows);
        }
        return sum;
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

inline constexpr std::array<std::uint32_t, 11> draft_lengths{0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 16};

/// What a prompt costs with each fixed number of drafts, in passes of one row.
struct fixed_costs {
    std::array<double, draft_lengths.size()> of{};
    std::size_t best() const {
        return static_cast<std::size_t>(std::min_element(of.begin(), of.end()) - of.begin());
    }
};

inline fixed_costs cost_of_lengths(const bench& on, const prompt& p, const nullm::writer_options& limits,
                                   const nullm::pass_costs& curve, double dense) {
    fixed_costs all;
    for (std::size_t i = 0; i < draft_lengths.size(); ++i) {
        all.of[i] =
            draft_lengths[i] == 0
                ? dense
                : writing<fixed_drafts, nullm::ngram_drafter>(on, {draft_lengths[i]}, p, limits).cost(curve);
    }
    return all;
}

class writers_table {
 public:
    writers_table(const settings& chosen, const nullm::pass_costs& curve) : chosen_(chosen) {
        if (chosen.json) {
            json points = json::array();
            for (const auto& [rows, cost] : curve.points())
                points.push_back({{"rows", rows}, {"cost", cost}});
            print({{"kind", "batch_curve"}, {"points", std::move(points)}});
            return;
        }
        std::printf("\nA pass of");
        for (const auto& [rows, cost] : curve.points())
            std::printf(" %zu rows: %.2f%s", rows, cost, rows < 16 ? "," : "");
        std::printf(
            " times a pass of one\n"
            "Writer: price %.2f, greedy, up to %u tokens or a stop token; decode time only, median (and "
            "range) of %u "
            "interleaved repeats;\ncost: passes weighted by that curve; best: the cheapest fixed number of "
            "drafts for "
            "this prompt, by hindsight\n%-13s %4s %4s %8s %8s %18s %6s %8s %5s %9s %6s %10s %12s\n",
            static_cast<double>(chosen.price), chosen.model.max_tokens, chosen.repeats, "prompt", "in", "out",
            "dense/s", "gated/s", "ratio", "passes", "tok/pass", "NULL", "withdrawn", "cost", "best",
            "cost/best");
    }

    template <class Dense, class Gated>
    void add(const prompt& p, const Dense& dense, const Gated& gated, double cost,
             const std::optional<fixed_costs>& fixed) {
        const nullm::statistics& counts = gated.counts();
        // Passes made tokens of the text, and the stop token if there was one.
        const auto n = static_cast<double>(counts.positions + (gated.stopped() ? 1 : 0));
        const auto passes = static_cast<double>(counts.passes);
        const auto ratio = ratios(dense.seconds, gated.seconds);
        ++prompts_;
        log_ratio_ += std::log(median(ratio));
        log_rate_ += std::log(n / median(gated.seconds));
        log_per_pass_ += std::log(n / passes);
        log_cost_ += std::log(cost);
        json lengths = json::object();
        for (std::size_t i = 0; fixed && i < fixed->of.size(); ++i) {
            log_fixed_[i] += std::log(fixed->of[i]);
            lengths[std::to_string(draft_lengths[i])] = fixed->of[i];
        }
        if (chosen_.json) {
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
                   {"cost", cost},
                   {"fixed_costs", std::move(lengths)},
                   {"dense_s", dense.seconds},
                   {"gated_s", gated.seconds}});
            return;
        }
        std::printf("%-13s %4zu %4.0f %8.1f %8.1f %18s %6.0f %8.2f %4.0f%% %9llu %6.1f", p.name.c_str(),
                    p.tokens.size(), n, n / median(dense.seconds), n / median(gated.seconds),
                    spread(ratio).c_str(), passes, n / passes, 100 * static_cast<double>(counts.nulls) / n,
                    static_cast<unsigned long long>(counts.withdrawn), cost);
        if (fixed) {
            const double best = fixed->of[fixed->best()];
            log_best_ += std::log(best);
            std::printf(" %6.1f (%u) %12.3f", best, draft_lengths[fixed->best()], cost / best);
        }
        std::printf("\n");
        std::fflush(stdout);
    }

    void finish() const {
        if (chosen_.json || prompts_ == 0) return;
        const auto mean = [&](double sum) { return std::exp(sum / prompts_); };
        const auto single = static_cast<std::size_t>(std::min_element(log_fixed_.begin(), log_fixed_.end()) -
                                                     log_fixed_.begin());
        std::printf(
            "geometric means: %.1f tokens/s, %.2f times dense, %.2f tokens a pass, cost %.1f; every gated "
            "text "
            "equals the dense one\n",
            mean(log_rate_), mean(log_ratio_), mean(log_per_pass_), mean(log_cost_));
        if (chosen_.no_lengths) return;
        std::printf(
            "cost: %.3f of the best length of each prompt, %.3f of the best single length (%u drafts)\n",
            mean(log_cost_ - log_best_), mean(log_cost_ - log_fixed_[single]), draft_lengths[single]);
    }

 private:
    const settings& chosen_;
    double prompts_ = 0, log_ratio_ = 0, log_rate_ = 0, log_per_pass_ = 0, log_cost_ = 0, log_best_ = 0;
    std::array<double, draft_lengths.size()> log_fixed_{};
};

inline void compare_writers(const bench& on, const std::vector<prompt>& prompts) {
    const settings& chosen = on.chosen;
    const nullm::writer_options limits{.max_tokens = chosen.model.max_tokens,
                                       .stop_tokens = on.tokens.stop_tokens()};
    std::size_t tokens = 0;
    for (const prompt& p : prompts) tokens += p.tokens.size() + limits.max_tokens / 2;
    const nullm::pass_costs curve =
        batch_curve(on, tokens / prompts.size());  // the depth these writers work at
    writers_table table(chosen, curve);
    for (const prompt& p : prompts) {
        writing<nullm::always_open, nullm::no_drafter> dense(on, {}, p, limits);
        writing<nullm::draft_gate, nullm::ngram_drafter> gated(
            on, nullm::make_draft_gate({.price = chosen.price, .costs = curve}), p, limits);
        const double dense_cost = dense.cost(curve);
        const double cost = gated.cost(curve);
        for (unsigned r = 0; r < chosen.repeats; ++r) {
            dense.run();
            gated.run();
            if (!std::ranges::equal(dense.text(), gated.text()))
                throw std::runtime_error("the gated text of '" + p.name + "' is not the dense one");
        }
        std::optional<fixed_costs> fixed;
        if (!chosen.no_lengths) fixed = cost_of_lengths(on, p, limits, curve, dense_cost);
        table.add(p, dense, gated, cost, fixed);
    }
    table.finish();
}

}  // namespace decode
