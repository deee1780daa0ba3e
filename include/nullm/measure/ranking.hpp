#pragma once
// Positions in the order of a score, and how well that order separates what matters from what does not.

#include <nullm/core/error.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// Numbers by index: flags, surprisals, losses.
template <class R>
concept NumberRange = std::ranges::random_access_range<R> && std::ranges::sized_range<R> &&
    std::is_arithmetic_v<std::ranges::range_value_t<R>>;

/// How often each position counts: one number a position, or none at all, and then each counts once. A
/// bootstrap's draw is such a list; a position that counts k times is k positions with the same score.
using multiplicities = std::span<const std::uint32_t>;

namespace detail {

/// Throws nullm::error unless `found` is `n`; `found` may be 0 where `optional`.
inline void check_length(std::string_view where, std::size_t n, std::size_t found, bool optional = false) {
    if (found == n || (optional && found == 0)) return;
    throw error(where, std::to_string(n) + " positions", std::to_string(found));
}

inline double times(const multiplicities& counts, std::size_t position) {
    return counts.empty() ? 1.0 : static_cast<double>(counts[position]);
}

}  // namespace detail

/// n positions by falling score; equal scores stand together, in order of position. Built once, O(n log n),
/// and then read for as many questions as are asked of it. Throws nullm::error for a NaN, or for 2^32
/// positions and more.
class ranking {
 public:
    explicit ranking(std::span<const float> scores) : order_(scores.size()) {
        if (scores.size() > std::numeric_limits<std::uint32_t>::max()) {
            throw error("ranking", "fewer than 2^32 positions", std::to_string(scores.size()));
        }
        for (const float s : scores) {
            if (std::isnan(s)) throw error("ranking score", "a number", "NaN");
        }
        std::iota(order_.begin(), order_.end(), std::uint32_t{0});
        std::sort(order_.begin(), order_.end(), [&](std::uint32_t a, std::uint32_t b) {
            return scores[a] != scores[b] ? scores[a] > scores[b] : a < b;
        });
        for (std::size_t i = 1; i <= order_.size(); ++i) {
            if (i == order_.size() || scores[order_[i]] != scores[order_[i - 1]]) {
                ends_.push_back(static_cast<std::uint32_t>(i));
            }
        }
    }

    std::size_t size() const { return order_.size(); }

    /// Calls f(positions) for each run of equal scores, the highest first.
    template <class F>
    void for_each_tie(F&& f) const {
        std::size_t begin = 0;
        for (const std::uint32_t end : ends_) {
            f(std::span(order_).subspan(begin, end - begin));
            begin = end;
        }
    }

 private:
    std::vector<std::uint32_t> order_;
    std::vector<std::uint32_t> ends_;  // one past the last of each run
};

namespace detail {

/// Calls f(size, amount) for each run of equal scores, the highest first: how many positions it counts for,
/// and what their amounts add up to. Throws nullm::error if the lengths differ.
template <NumberRange Amounts, class F>
void for_each_run(std::string_view where, const ranking& ranked, const Amounts& amounts,
                  multiplicities counts, F&& f) {
    check_length(where, ranked.size(), std::ranges::size(amounts));
    check_length(where, ranked.size(), counts.size(), true);
    ranked.for_each_tie([&](std::span<const std::uint32_t> tied) {
        double size = 0, amount = 0;
        for (const std::uint32_t p : tied) {
            const double n = times(counts, p);
            size += n;
            amount += n * static_cast<double>(amounts[p]);
        }
        f(size, amount);
    });
}

}  // namespace detail

/// The probability that a position with the flag (0 or 1) ranks above one without it; ties count half (Hanley
/// and McNeil 1982). NaN unless there are both. O(n). Throws nullm::error if the lengths differ.
template <NumberRange Flags>
double auroc(const ranking& ranked, const Flags& flags, multiplicities counts = {}) {
    double positives = 0, negatives = 0, wins = 0;
    detail::for_each_run("auroc", ranked, flags, counts, [&](double size, double with) {
        const double without = size - with;
        wins += without * (positives + with / 2);
        positives += with;
        negatives += without;
    });
    return wins / (positives * negatives);
}

/// The share of an amount that falls on the first `coverage` of the ranking: with flags as the amount it is
/// recall, with surprisals it is the bits covered. A run of equal scores that the cut goes through gives its
/// share, which is the mean over the orders it may have. coverage in [0, 1]; NaN if the whole amount is 0.
/// O(n). Throws nullm::error if the lengths differ or coverage is no share.
template <NumberRange Amounts>
double share_within(const ranking& ranked, double coverage, const Amounts& amounts,
                    multiplicities counts = {}) {
    if (!(coverage >= 0 && coverage <= 1)) {
        throw error("share_within coverage", "a share from 0 to 1", std::to_string(coverage));
    }
    double positions = static_cast<double>(ranked.size());
    if (!counts.empty()) positions = std::accumulate(counts.begin(), counts.end(), 0.0);
    const double wanted = coverage * positions;
    double taken = 0, within = 0, all = 0;
    detail::for_each_run("share_within", ranked, amounts, counts, [&](double size, double amount) {
        if (taken + size <= wanted) {
            within += amount;
        } else if (taken < wanted) {
            within += amount * ((wanted - taken) / size);
        }
        taken += size;
        all += amount;
    });
    return within / all;
}

/// The area under share_within() over coverages from 0 to 1: 1/2 for a score without information. NaN if the
/// whole amount is 0. O(n). Throws nullm::error if the lengths differ.
template <NumberRange Amounts>
double share_area(const ranking& ranked, const Amounts& amounts, multiplicities counts = {}) {
    double taken = 0, within = 0, area = 0;
    detail::for_each_run("share_area", ranked, amounts, counts, [&](double size, double amount) {
        area += size * (within + amount / 2);
        taken += size;
        within += amount;
    });
    return area / taken / within;
}

/// The share of an amount that falls on the positions with the flag: recall or bits covered of decisions that
/// were taken. NaN if the whole amount is 0. Throws nullm::error if the lengths differ.
template <NumberRange Flags, NumberRange Amounts>
double share_at(const Flags& flags, const Amounts& amounts, multiplicities counts = {}) {
    const std::size_t n = std::ranges::size(flags);
    detail::check_length("share_at amounts", n, std::ranges::size(amounts));
    detail::check_length("share_at counts", n, counts.size(), true);
    double within = 0, all = 0;
    for (std::size_t p = 0; p < n; ++p) {
        const double amount = detail::times(counts, p) * static_cast<double>(amounts[p]);
        all += amount;
        if (flags[p]) within += amount;
    }
    return within / all;
}

/// The share of positions with the flag: coverage, a skip rate, an accuracy. NaN of none.
template <NumberRange Flags>
double share_of(const Flags& flags, multiplicities counts = {}) {
    const std::size_t n = std::ranges::size(flags);
    detail::check_length("share_of counts", n, counts.size(), true);
    double with = 0, all = 0;
    for (std::size_t p = 0; p < n; ++p) {
        const double times = detail::times(counts, p);
        all += times;
        if (flags[p]) with += times;
    }
    return with / all;
}

}  // namespace nullm::inline NULLM_ABI
