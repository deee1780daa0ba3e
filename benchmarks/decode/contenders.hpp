#pragma once
// The gates that are compared, each as a score of every position: it fires where the score reaches a cut.

#include "articles.hpp"

#include <nullm/core/random.hpp>
#include <nullm/core/token.hpp>
#include <nullm/spike/drives/importance_drive.hpp>
#include <nullm/spike/drives/magnitude_drive.hpp>
#include <nullm/spike/drives/quiet_drive.hpp>
#include <nullm/spike/gate.hpp>
#include <nullm/spike/gates.hpp>
#include <nullm/spike/lif.hpp>
#include <nullm/spike/poisson_encoder.hpp>
#include <nullm/spike/quiet_gate.hpp>
#include <nullm/spike/reprogrammed_threshold.hpp>
#include <nullm/spike/spike_gate.hpp>
#include <nullm/spike/thresholds.hpp>
#include <nullm/spike/vocabulary.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace decode {

/// What the contenders are run over.
struct corpus {
    std::vector<article> reported;
    std::vector<article> tuning;
    bool carry = true;  // a gate's state goes on from article to article, as in one session
};

inline std::vector<nullm::token_id> joined(std::span<const article> articles) {
    std::vector<nullm::token_id> all;
    for (const article& a : articles) all.insert(all.end(), a.tokens.begin(), a.tokens.end());
    return all;
}

struct contender {
    std::string name;
    std::vector<std::vector<float>>
        reported;               // scores, a list a seed; no list: every n-th position, no score
    std::vector<float> tuning;  // scores of the part that cuts are set on; none: an oracle
    double nanoseconds = 0;     // a position

    bool has_scores() const { return !reported.empty(); }
};

/// At every position, as a reader steps the gate, the theta at which it would just fire. A gate given here
/// stands at theta = 1/2, so that with a fixed threshold this is its rate; one whose theta depends on the
/// token shifts the odds of the rate by it (reprogrammed_threshold.hpp).
template <nullm::Gate G>
std::vector<float> scores_of(const G& gate, std::span<const article> articles, bool carry,
                             std::uint64_t seed) {
    std::vector<float> all;
    std::int64_t position = 0;
    auto state = gate.initial();
    for (const article& a : articles) {
        if (!carry) state = gate.initial();
        for (const nullm::token_id token : a.tokens) {
            const auto said = gate.step(state, {.token = token, .position = position++, .seed = seed});
            gate.settle(state, token, said.fire);
            const float fire = said.rate * (1 - said.theta), skip = (1 - said.rate) * said.theta;
            all.push_back(fire / (fire + skip));
        }
    }
    return all;
}

template <nullm::Gate G>
contender run_gate(std::string name, const G& gate, const corpus& text, unsigned seeds) {
    contender made{.name = std::move(name), .reported = {}, .tuning = {}};
    made.tuning = scores_of(gate, text.tuning, text.carry, 0);
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
        const auto start = std::chrono::steady_clock::now();
        made.reported.push_back(scores_of(gate, text.reported, text.carry, seed));
        const std::chrono::duration<double, std::nano> gone = std::chrono::steady_clock::now() - start;
        const double each = gone.count() / static_cast<double>(made.reported.back().size());
        made.nanoseconds = seed == 0 ? each : std::min(made.nanoseconds, each);
    }
    return made;
}

/// A score of the token alone.
template <class F>
contender run_score(std::string name, const corpus& text, F&& score) {
    contender made{.name = std::move(name), .reported = {{}}, .tuning = {}};
    for (const nullm::token_id token : joined(text.tuning)) made.tuning.push_back(score(token));
    for (const nullm::token_id token : joined(text.reported)) made.reported[0].push_back(score(token));
    return made;
}

/// How often each token stands in a text.
inline std::vector<std::uint32_t> count_tokens(std::span<const nullm::token_id> text,
                                               std::size_t vocabulary) {
    std::vector<std::uint32_t> counts(vocabulary, 0);
    for (const nullm::token_id token : text) ++counts[static_cast<std::size_t>(token)];
    return counts;
}

/// All of them, and quiet_drive with other weights of surprise. `counts`: of the part that is not reported.
/// `surprisal`: the dense model's, for the oracle.
inline std::vector<contender> run_contenders(const nullm::vocabulary_view& vocabulary, const corpus& text,
                                             std::span<const std::uint32_t> counts,
                                             std::span<const float> surprisal, unsigned seeds,
                                             std::span<const float> weights) {
    std::vector<contender> all;
    const auto run_quiet = [&](const char* name, const auto& drive) {
        all.push_back(run_gate(name, nullm::make_quiet_gate(drive, {.theta = 0.5F}), text, seeds));
    };
    const auto drive = nullm::quiet_drive::build(vocabulary);
    run_quiet("quiet", drive);
    nullm::reprogrammed_params fixed{.theta = 0.5F};
    fixed.homeostasis.reset();
    all.push_back(
        run_gate("quiet, prototypes",
                 nullm::spike_gate(drive, nullm::poisson_encoder{}, nullm::quiet_neuron::build(drive.width()),
                                   nullm::reprogrammed_threshold::build(vocabulary, fixed)),
                 text, seeds));
    run_quiet("importance", drive.first());
    nullm::importance_params no_floors;
    no_floors.digit_floor = no_floors.capital_floor = no_floors.rare_floor = 0;
    run_quiet("importance, no floors", nullm::importance_drive::build(vocabulary, no_floors));
    run_quiet("surprise", drive.second());
    for (const float weight : weights) {
        char name[32];
        std::snprintf(name, sizeof name, "quiet, surprise %.2f", static_cast<double>(weight));
        run_quiet(name, nullm::quiet_drive(drive.first(), drive.second(), weight));
    }
    const nullm::lif<nullm::reset::zero, nullm::timing::immediate> literal_neuron{};
    all.push_back(run_gate("magnitude",
                           nullm::spike_gate(nullm::magnitude_drive(vocabulary), nullm::poisson_encoder{},
                                             literal_neuron, nullm::fixed_threshold(0.5F)),
                           text, seeds));
    all.push_back(run_score("BPE rank", text, [](nullm::token_id t) { return static_cast<float>(t); }));
    all.push_back(run_score("unigram", text, [&](nullm::token_id t) {
        return -static_cast<float>(counts[static_cast<std::size_t>(t)]);
    }));
    all.push_back(run_gate("random", nullm::random_gate(0.5F), text, seeds));
    all.push_back({.name = "every n-th", .reported = {}, .tuning = {}});
    all.push_back({.name = "oracle", .reported = {{surprisal.begin(), surprisal.end()}}, .tuning = {}});
    return all;
}

/// The cut whose share of positions below it is nearest to the wanted skip rate. Scores that tie cannot be
/// told apart, so the nearest may be some way off. O(n log n).
inline float cut_for_skip(std::span<const float> scores, double skip) {
    std::vector<float> sorted(scores.begin(), scores.end());
    std::sort(sorted.begin(), sorted.end());
    const auto n = static_cast<double>(sorted.size());
    const auto at = std::min(static_cast<std::size_t>(std::lround(skip * n)), sorted.size() - 1);
    const float here = sorted[at];
    const auto below =
        static_cast<double>(std::lower_bound(sorted.begin(), sorted.end(), here) - sorted.begin());
    const auto above = std::upper_bound(sorted.begin(), sorted.end(), here);
    const auto with = static_cast<double>(above - sorted.begin());
    if (above == sorted.end() || skip * n - below <= with - skip * n) return here;
    return *above;
}

struct decisions {
    float cut = 0;
    std::vector<std::uint8_t> fired;  // of the reported positions
};

/// What the contender decides where `skip` of the positions should be silent: its cut set on the tuning part,
/// or, for an oracle, on the reported one itself.
inline decisions decide(const contender& who, double skip, std::size_t positions, std::size_t seed = 0) {
    decisions made{.fired = std::vector<std::uint8_t>(positions)};
    if (!who.has_scores()) {
        for (std::size_t p = 0; p < positions; ++p) {
            const auto answered = [&](std::size_t n) {
                return std::floor(static_cast<double>(n) * (1 - skip));
            };
            made.fired[p] = answered(p + 1) > answered(p) ? 1 : 0;
        }
        return made;
    }
    const std::vector<float>& scores = who.reported[std::min(seed, who.reported.size() - 1)];
    made.cut = cut_for_skip(who.tuning.empty() ? scores : who.tuning, skip);
    for (std::size_t p = 0; p < positions; ++p) made.fired[p] = scores[p] >= made.cut ? 1 : 0;
    return made;
}

}  // namespace decode
