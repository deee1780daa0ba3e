#pragma once
// Samplers: who picks a token from a row of logits.

#include <nullm/core/error.hpp>
#include <nullm/core/simd.hpp>
#include <nullm/generate/concepts.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// The largest of a row of logits, and whether the row holds a NaN.
struct row_peak {
    float largest;
    bool has_nan;
};

}  // namespace nullm::inline NULLM_ABI

#define NULLM_KERNELS <nullm/generate/sampler.inl>
#include <nullm/core/simd/foreach_isa.hpp>

namespace nullm::inline NULLM_ABI {

/// The largest logit of a row that can be sampled from. Throws nullm::error if the row is empty, holds a NaN,
/// or has no finite largest value.
inline float largest_logit(std::span<const float> logits, isa level = active_isa()) {
    if (logits.empty()) throw error("sampler", "a row of logits", "an empty one");
    const row_peak found = NULLM_DISPATCH(level, peak(logits));
    if (found.has_nan) throw error("sampler", "logits that are numbers", "NaN");
    if (!std::isfinite(found.largest)) {
        throw error("sampler", "a finite largest logit", std::to_string(found.largest));
    }
    return found.largest;
}

/// The token with the largest logit; of equals, the one with the lowest id.
struct greedy {
    token_id sample(std::span<const float> logits, const draw_key&, isa level = active_isa()) const {
        const float largest = largest_logit(logits, level);
        return static_cast<token_id>(std::find(logits.begin(), logits.end(), largest) - logits.begin());
    }
};

/// Draws from softmax(logits / temperature), cut to the top_k largest, then to the fewest of those that
/// together reach probability top_p: the order of Hugging Face transformers 4 and llama.cpp. Equal logits
/// rank by id.
///
/// Weights are e^x within one unit in the last place of a float (each probability within 3e-7 of its value,
/// relatively), summed as doubles in a fixed order; one draw, draw_uniform_double(key). The same bits on
/// every instruction set. A weight below 1.2e-38 of the largest is zero, far below the 2^-53 a draw can tell
/// apart.
class temperature_sampler {
 public:
    struct options {
        float temperature = 1.0F;  // >= 0; 0 is greedy
        std::uint32_t top_k = 0;   // 0: off
        float top_p = 1.0F;        // in (0, 1]; 1: off
    };

    temperature_sampler() : temperature_sampler(options{}) {}
    /// Throws nullm::error for values out of range.
    explicit temperature_sampler(options chosen) : options_(chosen) {
        if (!(chosen.temperature >= 0.0F) || !std::isfinite(chosen.temperature)) {
            throw error("sampler temperature", "a finite number, 0 or more",
                        std::to_string(chosen.temperature));
        }
        if (!(chosen.top_p > 0.0F && chosen.top_p <= 1.0F)) {
            throw error("sampler top_p", "a number above 0 and up to 1", std::to_string(chosen.top_p));
        }
    }

    token_id sample(std::span<const float> logits, const draw_key& key, isa level = active_isa()) const {
        if (options_.temperature == 0.0F) return greedy{}.sample(logits, key, level);
        const float largest = largest_logit(logits, level);
        const double draw = draw_uniform_double(key);
        const bool cut_k = options_.top_k != 0 && options_.top_k < logits.size();
        if (!cut_k && options_.top_p >= 1.0F) return draw_from_all(logits, largest, draw, level);
        return draw_from_best(logits, largest, draw, cut_k, level);
    }

    const options& chosen() const { return options_; }

 private:
    token_id draw_from_all(std::span<const float> logits, float largest, double draw, isa level) const {
        // Sums of stretches first, so that the weights are computed once and those of one stretch again.
        constexpr std::size_t stretch = 1024;
        std::vector<double> sums;
        double total = 0;
        for (std::size_t i = 0; i < logits.size(); i += stretch) {
            const auto part = logits.subspan(i, std::min(stretch, logits.size() - i));
            sums.push_back(NULLM_DISPATCH(level, sum_of_weights(part, largest, options_.temperature)));
            total += sums.back();
        }
        double left = draw * total;
        std::size_t s = 0;
        while (s + 1 < sums.size() && left >= sums[s]) left -= sums[s++];
        std::size_t last = 0;  // with a weight: what rounding leaves over goes to it
        for (std::size_t i = s * stretch; i < std::min((s + 1) * stretch, logits.size()); i += 16) {
            std::array<float, 16> weights;
            const std::size_t n = std::min<std::size_t>(16, logits.size() - i);
            NULLM_DISPATCH(level, weights_of(&logits[i], n, largest, options_.temperature, weights.data()));
            for (std::size_t l = 0; l < n; ++l) {
                if (weights[l] == 0.0F) continue;
                last = i + l;
                if (left < weights[l]) return static_cast<token_id>(last);
                left -= weights[l];
            }
        }
        return static_cast<token_id>(last);
    }

    struct ranked {
        float logit;
        float weight;
        token_id token;
        friend bool operator<(const ranked& a, const ranked& b) {
            return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
        }
    };
    using ranking = std::vector<ranked>;

    token_id draw_from_best(std::span<const float> logits, float largest, double draw, bool cut_k,
                            isa level) const {
        const double all =
            cut_k ? 0.0 : NULLM_DISPATCH(level, sum_of_weights(logits, largest, options_.temperature));
        // Only the logits near the largest are ranked; further down where the cuts do not fall among them.
        for (float depth = 4.0F;; depth *= 1.5F) {
            const bool bottom = depth > 90.0F;  // e^-90 is zero here
            const float threshold =
                bottom ? -std::numeric_limits<float>::infinity() : largest - depth * options_.temperature;
            ranking near;  // in order of ids
            NULLM_DISPATCH(level, for_each_above(logits, threshold, [&](std::size_t i) {
                               near.push_back({logits[i], 0.0F, static_cast<token_id>(i)});
                           }));
            if (cut_k && near.size() < options_.top_k && !bottom) continue;
            weigh(near, largest, level);
            if (cut_k && near.size() > options_.top_k) {
                ranking best = near;
                std::nth_element(best.begin(), best.begin() + (options_.top_k - 1), best.end());
                drop_behind(near, best[options_.top_k - 1]);
            }
            if (options_.top_p < 1.0F) {
                const double wanted = static_cast<double>(options_.top_p) * (cut_k ? sum(near) : all);
                if (!cut_k && !bottom && sum(near) < wanted) continue;
                drop_behind(near, last_needed(near, wanted));
            }
            double left = draw * sum(near);
            token_id last = near.front().token;  // with a weight: what rounding leaves over goes to it
            for (const ranked& r : near) {
                if (r.weight == 0.0F) continue;
                last = r.token;
                if (left < r.weight) break;
                left -= r.weight;
            }
            return last;
        }
    }

    static double sum(const ranking& list) {
        double total = 0;
        for (const ranked& r : list) total += r.weight;
        return total;
    }
    static void drop_behind(ranking& list, const ranked& last) {
        std::erase_if(list, [&](const ranked& r) { return last < r; });
    }

    /// The last of the fewest best that reach `wanted` together: halves the list until few are left to be
    /// sorted.
    static ranked last_needed(ranking list, double wanted) {
        auto first = list.begin();
        auto end = list.end();
        while (end - first > 32) {
            const auto middle = first + (end - first) / 2;
            std::nth_element(first, middle, end);
            double upper = 0;
            for (auto r = first; r != middle; ++r) upper += r->weight;
            if (upper >= wanted) {
                end = middle;
            } else {
                wanted -= upper;
                first = middle;
            }
        }
        std::sort(first, end);
        while (first + 1 != end && first->weight < wanted) wanted -= first++->weight;
        return *first;
    }

    void weigh(ranking& list, float largest, isa level) const {
        for (std::size_t i = 0; i < list.size(); i += 16) {
            std::array<float, 16> x{}, w;
            const std::size_t n = std::min<std::size_t>(16, list.size() - i);
            for (std::size_t l = 0; l < n; ++l) x[l] = list[i + l].logit;
            NULLM_DISPATCH(level, weights_of(x.data(), n, largest, options_.temperature, w.data()));
            for (std::size_t l = 0; l < n; ++l) list[i + l].weight = w[l];
        }
    }

    options options_;
};

static_assert(Sampler<greedy> && Sampler<temperature_sampler>);

}  // namespace nullm::inline NULLM_ABI
