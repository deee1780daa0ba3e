#pragma once
// What a row of logits says of the next token, and how far two rows are apart.

#include <nullm/core/error.hpp>
#include <nullm/core/token.hpp>
#include <nullm/measure/ranking.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <ranges>
#include <span>
#include <string>

namespace nullm::inline NULLM_ABI {

/// The distribution that a row of logits stands for: log p(i) = logits[i] - log_sum. Natural logarithms.
struct prediction {
    token_id most_likely = 0;  // the first of several, as greedy picks it
    double log_sum = 0;
    double confidence = 0;  // p(most_likely), in (0, 1]

    /// Throws nullm::error for an empty row. A row that is not finite gives a log_sum that is not. O(n).
    explicit prediction(std::span<const float> logits) {
        if (logits.empty()) throw error("prediction", "a row of logits", "an empty one");
        const auto best = std::max_element(logits.begin(), logits.end());
        most_likely = static_cast<token_id>(best - logits.begin());
        const double highest = static_cast<double>(*best);
        double sum = 0;
        for (const float x : logits) sum += std::exp(static_cast<double>(x) - highest);
        log_sum = highest + std::log(sum);
        confidence = 1 / sum;
    }
};

/// -log p(token) in nats; `of` is the prediction of this row. Throws nullm::error for a token the row lacks.
inline double surprisal(std::span<const float> logits, const prediction& of, token_id token) {
    if (token < 0 || static_cast<std::size_t>(token) >= logits.size()) {
        throw error("surprisal token", "0 to " + std::to_string(logits.size() - 1), std::to_string(token));
    }
    return of.log_sum - static_cast<double>(logits[static_cast<std::size_t>(token)]);
}

/// KL(reference || other) in nats: the mean, under the reference, of the difference of log p. 0 iff they are
/// the same distribution. O(n). Throws nullm::error if the rows differ in length.
inline double kl_divergence(std::span<const float> reference, const prediction& of_reference,
                            std::span<const float> other, const prediction& of_other) {
    detail::check_length("kl_divergence row", reference.size(), other.size());
    double mean = 0;
    for (std::size_t i = 0; i < reference.size(); ++i) {
        const double x = static_cast<double>(reference[i]);
        mean += std::exp(x - of_reference.log_sum) * (x - static_cast<double>(other[i]));
    }
    return mean - of_reference.log_sum + of_other.log_sum;
}

/// The share of positions at which two models pick the same token. NaN of none. Throws nullm::error if the
/// lengths differ.
inline double agreement(std::span<const token_id> one, std::span<const token_id> other) {
    detail::check_length("agreement", one.size(), other.size());
    std::size_t same = 0;
    for (std::size_t i = 0; i < one.size(); ++i) same += one[i] == other[i] ? 1 : 0;
    return static_cast<double>(same) / static_cast<double>(one.size());
}

}  // namespace nullm::inline NULLM_ABI
