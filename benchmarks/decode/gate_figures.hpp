#pragma once
// The figures of gates over a text whose dense results are known, each with an interval over articles.

#include "contenders.hpp"
#include "dense_pass.hpp"

#include <nullm/measure/bootstrap.hpp>
#include <nullm/measure/ranking.hpp>
#include <nullm/measure/risk_coverage.hpp>
#include <nullm/spike/token_classes.hpp>
#include <nullm/text/tokenizer.hpp>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace decode {

using flags = std::vector<std::uint8_t>;

/// Which tokens ought not to be skipped, whatever the model thinks of them.
struct labels {
    flags rare;         // at most 5 uses in the part that is not reported
    flags number;       // has a digit
    flags capitalised;  // a space, an upper-case letter of ASCII, and more
    flags any;
    flags informative;  // among the tenth of positions whose token is least frequent in the other part
};

inline labels label(std::span<const nullm::token_id> text, const nullm::tokenizer& tokens,
                    std::span<const std::uint32_t> counts) {
    constexpr std::uint32_t rare_uses = 5;
    labels made;
    std::vector<float> rarity;
    for (const nullm::token_id token : text) {
        const std::string_view piece = tokens.piece(token);
        const std::uint32_t uses = counts[static_cast<std::size_t>(token)];
        const bool number = nullm::has_digit(piece);
        const bool capitalised = piece.starts_with(' ') && nullm::is_capitalised(piece);
        made.rare.push_back(uses <= rare_uses ? 1 : 0);
        made.number.push_back(number ? 1 : 0);
        made.capitalised.push_back(capitalised ? 1 : 0);
        made.any.push_back(uses <= rare_uses || number || capitalised ? 1 : 0);
        rarity.push_back(-static_cast<float>(uses));
    }
    const float cut = cut_for_skip(rarity, 0.9);
    for (const float r : rarity) made.informative.push_back(r >= cut ? 1 : 0);
    return made;
}

struct figure {
    std::string metric;
    double value = 0;
    nullm::interval interval;
};

/// The reported positions that are scored, and whose article each is.
class judge {
 public:
    judge(const dense_results& dense, labels of, std::span<const article> articles,
          const nullm::bootstrap_options& options)
        : options_(options), groups_(articles.size()) {
        std::size_t p = 0;
        for (std::size_t g = 0; g < articles.size(); ++g) {
            for (std::size_t i = 0; i < articles[g].tokens.size(); ++i, ++p) {
                if (dense.scored[p] == 0) continue;
                positions_.push_back(p);
                group_.push_back(g);
            }
        }
        surprisal_ = at_positions(dense.surprisal);
        right_ = at_positions(dense.right);
        confidence_ = at_positions(dense.confidence);
        for (const auto r : right_) wrong_.push_back(1 - r);
        for (flags* each : {&of.rare, &of.number, &of.capitalised, &of.any, &of.informative}) {
            *each = at_positions(*each);
        }
        labels_ = std::move(of);
    }

    std::size_t positions() const { return positions_.size(); }
    std::size_t articles() const { return groups_; }
    const labels& marks() const { return labels_; }
    double accuracy() const { return nullm::share_of(right_); }

    template <class T>
    std::vector<T> at_positions(const std::vector<T>& all) const {
        std::vector<T> picked;
        for (const std::size_t p : positions_) picked.push_back(all[p]);
        return picked;
    }

    /// Of decisions at the scored positions: shares, each a sum over a sum, so that an article is two
    /// numbers.
    std::vector<figure> of_decisions(const flags& fired) const {
        std::vector<figure> found;
        const auto ratio = [&](const char* metric, auto&& part, auto&& whole) {
            std::vector<double> parts(groups_, 0.0), wholes(groups_, 0.0);
            for (std::size_t i = 0; i < positions_.size(); ++i) {
                const double amount = static_cast<double>(whole(i));
                wholes[group_[i]] += amount;
                if (part(i)) parts[group_[i]] += amount;
            }
            const auto over = [&](auto&& times) {
                double above = 0, below = 0;
                for (std::size_t g = 0; g < groups_; ++g) {
                    above += times(g) * parts[g];
                    below += times(g) * wholes[g];
                }
                return above / below;
            };
            const auto interval = nullm::bootstrap(
                groups_,
                [&](std::span<const std::uint32_t> times) {
                    return over([&](std::size_t g) { return static_cast<double>(times[g]); });
                },
                options_);
            found.push_back({metric, over([](std::size_t) { return 1.0; }), interval});
        };
        const auto every = [](std::size_t) { return 1; };
        const auto is_fired = [&](std::size_t i) { return fired[i] != 0; };
        const auto is_silent = [&](std::size_t i) { return fired[i] == 0; };
        const auto is_right = [&](std::size_t i) { return right_[i] != 0; };
        ratio("skip", is_silent, every);
        ratio("recall_rare", is_fired, [&](std::size_t i) { return labels_.rare[i]; });
        ratio("recall_number", is_fired, [&](std::size_t i) { return labels_.number[i]; });
        ratio("recall_capitalised", is_fired, [&](std::size_t i) { return labels_.capitalised[i]; });
        ratio("recall_any", is_fired, [&](std::size_t i) { return labels_.any[i]; });
        ratio("recall_informative", is_fired, [&](std::size_t i) { return labels_.informative[i]; });
        ratio("bits", is_fired, [&](std::size_t i) { return surprisal_[i]; });
        ratio("accuracy_emitted", is_right, [&](std::size_t i) { return fired[i]; });
        ratio("accuracy_skipped", is_right, [&](std::size_t i) { return 1 - fired[i]; });
        return found;
    }

    /// The same shares at exactly this skip rate, ties cut in the mean over their orders; no intervals.
    std::vector<figure> at_exact_skip(const nullm::ranking& ranked, double skip) const {
        const auto share = [&](const auto& amounts) {
            return nullm::share_within(ranked, 1 - skip, amounts);
        };
        std::vector<figure> found{{"skip", skip, {}},
                                  {"recall_rare", share(labels_.rare), {}},
                                  {"recall_number", share(labels_.number), {}},
                                  {"recall_capitalised", share(labels_.capitalised), {}},
                                  {"recall_any", share(labels_.any), {}},
                                  {"recall_informative", share(labels_.informative), {}},
                                  {"bits", share(surprisal_), {}}};
        for (figure& f : found) f.interval = {f.value, f.value};
        return found;
    }

    /// Of the order alone.
    std::vector<figure> of_ranking(const nullm::ranking& ranked) const {
        const auto of = [&](const char* metric, auto&& statistic) {
            auto options = options_;
            options.replicates =
                std::min<std::uint32_t>(options.replicates, 200);  // each reads all positions
            std::vector<std::uint32_t> counts(positions_.size());
            const auto interval = nullm::bootstrap(
                groups_,
                [&](std::span<const std::uint32_t> times) {
                    for (std::size_t i = 0; i < counts.size(); ++i) counts[i] = times[group_[i]];
                    return statistic(nullm::multiplicities(counts));
                },
                options);
            return figure{metric, statistic(nullm::multiplicities()), interval};
        };
        const nullm::ranking by_confidence(confidence_);
        return {
            of("auroc_rare", [&](auto counts) { return auroc(ranked, labels_.rare, counts); }),
            of("auroc_any", [&](auto counts) { return auroc(ranked, labels_.any, counts); }),
            of("auroc_right", [&](auto counts) { return auroc(ranked, right_, counts); }),
            // The area between the curve of bits covered and the diagonal of a random gate.
            of("bits_area", [&](auto counts) { return share_area(ranked, surprisal_, counts) - 0.5; }),
            of("aurc", [&](auto counts) { return aurc(ranked, wrong_, counts); }),
            of("excess_aurc",
               [&](auto counts) {
                   return aurc(ranked, wrong_, counts) - aurc(by_confidence, wrong_, counts);
               }),
            of("augrc", [&](auto counts) { return augrc(ranked, wrong_, counts); }),
        };
    }

 private:
    nullm::bootstrap_options options_;
    std::size_t groups_;
    std::vector<std::size_t> positions_;  // of the scored ones, among all reported
    std::vector<std::size_t> group_;      // the article of each
    std::vector<float> surprisal_, confidence_;
    flags right_, wrong_;
    labels labels_;
};

}  // namespace decode
