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

/// The largest logit of a row that can be sampled from. Throws nullm::error if the row is empty, holds a NaN, or
/// has no finite largest value.
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

/// Draws from softmax(logits / temperature), cut to the top_k largest, then to the fewest of those that together
/// reach probability top_p: the order of Hugging Face transformers 4 and llama.cpp. Equal logits rank by id.
///
/// Weights are e^x within one unit in the last place of a float (each probability within 3e-7 of its value,
/// relatively), summed as doubles in a fixed order; one draw, draw_uniform_double(key). The same bits on every
/// instruction set. A weight below 1.2e-38 of the largest is zero, far below the 2^-53 a draw can tell apart.
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
            throw error("sampler temperature", "a finite number, 0 or more", std::to_string(chosen.temperature));
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
        token_id token;
        friend bool operator<(const ranked& a, const ranked& b) {
            return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
        }
    };

    token_id draw_from_best(std::span<const float> logits, float largest, double draw, bool cut_k,
                            isa level) const {
        const double all = cut_k ? 0.0 : NULLM_DISPATCH(level, sum_of_weights(logits, largest, options_.temperature));
        // Ranks only the logits near the largest, and reaches further down until the cuts fall among them.
        std::vector<ranked> best;
        std::vector<float> weights;
        for (float depth = 4.0F;; depth *= 2.0F) {
            const bool bottom = depth > 100.0F;  // e^-100 is zero here
            const float threshold = bottom ? -std::numeric_limits<float>::infinity()
                                           : largest - depth * options_.temperature;
            best.clear();
            NULLM_DISPATCH(level, for_each_above(logits, threshold, [&](std::size_t i) {
                best.push_back({logits[i], static_cast<token_id>(i)});
            }));
            if (cut_k && best.size() < options_.top_k && !bottom) continue;
            if (cut_k && best.size() > options_.top_k) {
                std::nth_element(best.begin(), best.begin() + (options_.top_k - 1), best.end());
                best.resize(options_.top_k);
            }
            std::sort(best.begin(), best.end());
            weigh(best, largest, weights, level);
            double total = all;
            if (cut_k) {
                for (const float w : weights) total += w;
            }
            const double wanted = static_cast<double>(options_.top_p) * total;
            double kept = 0;
            std::size_t n = 0;
            while (n < weights.size() && (kept < wanted || n == 0)) kept += weights[n++];
            if (kept < wanted && !cut_k && !bottom) continue;
            double left = draw * kept;
            for (std::size_t i = 0; i + 1 < n; ++i) {
                if (left < weights[i]) return best[i].token;
                left -= weights[i];
            }
            while (n > 1 && weights[n - 1] == 0.0F) --n;
            return best[n - 1].token;
        }
    }

    void weigh(const std::vector<ranked>& best, float largest, std::vector<float>& weights, isa level) const {
        weights.clear();
        for (std::size_t i = 0; i < best.size(); i += 16) {
            std::array<float, 16> x{}, w;
            const std::size_t n = std::min<std::size_t>(16, best.size() - i);
            for (std::size_t l = 0; l < n; ++l) x[l] = best[i + l].logit;
            NULLM_DISPATCH(level, weights_of(x.data(), n, largest, options_.temperature, w.data()));
            weights.insert(weights.end(), w.begin(), w.begin() + static_cast<std::ptrdiff_t>(n));
        }
    }

    options options_;
};

static_assert(Sampler<greedy> && Sampler<temperature_sampler>);

}  // namespace nullm::inline NULLM_ABI
