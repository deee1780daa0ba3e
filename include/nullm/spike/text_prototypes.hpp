#pragma once
// A vocabulary in a hundred directions: clusters of word embeddings, and how much like a term each is.

#include <nullm/core/aligned.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/random.hpp>
#include <nullm/core/simd.hpp>
#include <nullm/spike/in_range.hpp>
#include <nullm/spike/token_directions.hpp>
#include <nullm/spike/token_scores.hpp>
#include <nullm/spike/vocabulary.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace nullm::inline NULLM_ABI {

struct prototype_params {
    std::size_t count = 128;       // K, rounded up to a multiple of 16; at most the vocabulary
    std::uint32_t iterations = 8;  // of Lloyd's algorithm
    std::size_t sample = 4096;     // tokens that take part in them, spread evenly over the ids
    float sharpness = 5.0F;        // beta of the attention, 0 to 80
    float rank_weight = 0.4F;      // of the BPE rank in term-ness, as in importance_drive
    bool function_words = true;    // whether term-ness knows them; false for a language other than English
    std::uint64_t seed = 0;
};

/// Text prototypes after Time-LLM's reprogramming layer (Jin et al. 2024, arXiv:2310.01728), with nothing to
/// train. There a learned linear map over the vocabulary makes 1000 prototypes of the word embeddings, and a
/// patch of a time series attends over them. Kept is the soft attention over prototypes made of words; the
/// prototypes are found instead of learned, by spherical k-means over the embeddings' directions u_t
/// (token_directions.hpp):
///     a_t = softmax_k(sharpness <u_t, P_k>);   r_t = sum_k a_tk v_k
/// v_k, the term-ness of prototype k, is the mean score of its tokens (token_scores.hpp), standardised over
/// the prototypes: below 0 filler, above 0 terms.
///
/// Seen on SmolLM2 and the first 40,000 positions of the WikiText-2 test file: r_t has an AUROC of .94 for
/// rare tokens (at most 5 uses in the file's second half), and has it without any word list, too
/// (function_words = false: term-ness is BPE rank). The distance to the nearest function word has .95, and
/// r_t adds nothing to it: so importance_drive does without prototypes, unless it is given their table in
/// place of that distance.
///
/// Deterministic: same vocabulary, parameters and seed, same bits, on any instruction set. Cheap enough not
/// to be kept in a file: see prototypes_build in benchmarks/kernel/spike.cpp. Immutable.
class text_prototypes {
 public:
    /// Reads each embedding three times. Throws nullm::error for parameters outside their range, a vocabulary
    /// smaller than `count`, without embeddings, or (if asked for) without function words.
    static text_prototypes build(const vocabulary_view& vocabulary, const prototype_params& params = {},
                                 isa level = active_isa()) {
        check(params);
        const token_directions tokens(vocabulary, "text_prototypes", level);
        const std::size_t count = round_up(params.count, 16);
        if (count > vocabulary.size) {
            throw error("text_prototypes", "a vocabulary of " + std::to_string(count) + " tokens or more",
                        std::to_string(vocabulary.size));
        }
        text_prototypes made(params, tokens.stride(), count, level);
        made.cluster(tokens);
        made.weigh(tokens);
        return made;
    }

    std::size_t count() const { return termness_.size(); }
    const prototype_params& params() const { return params_; }
    /// Of length 1 (`stride` floats, those behind the embedding's width zero), or all zero for one without
    /// tokens.
    std::span<const float> direction(std::size_t k) const {
        return std::span(directions_).subspan(k * stride_, stride_);
    }
    /// v_k: mean 0 and standard deviation 1 over the prototypes; filler below 0, terms above.
    float termness(std::size_t k) const { return termness_[k]; }
    std::size_t members(std::size_t k) const { return members_[k]; }
    /// The prototype a token is nearest to. Its direction as token_directions gives it.
    std::size_t nearest(std::span<const float> direction) const {
        aligned_vector<float> dots(count());
        compare(direction, dots);
        return best_of(dots);
    }

    /// a_t: `count` weights that sum to 1.
    void attend(std::span<const float> direction, std::span<float> weights) const {
        compare(direction, weights);
        NULLM_DISPATCH(level_, softmax_scaled(weights.data(), weights.size(), params_.sharpness));
    }

    /// r_t of every token of the vocabulary, in the order of ids. O(tokens count width).
    aligned_vector<float> tabulate(const vocabulary_view& vocabulary) const {
        const token_directions tokens(vocabulary, "text_prototypes", level_);
        if (tokens.stride() != stride_) {
            throw error("text_prototypes", "embeddings of the width they were made from",
                        std::to_string(vocabulary.width));
        }
        aligned_vector<float> table(vocabulary.size);
        aligned_vector<float> direction(stride_);
        aligned_vector<float> weights(count());
        for (std::size_t t = 0; t < table.size(); ++t) {
            tokens.direction(static_cast<token_id>(t), direction);
            attend(direction, weights);
            NULLM_DISPATCH(level_, dots(weights.data(), termness_.data(), 1, count(), &table[t]));
        }
        return table;
    }

 private:
    text_prototypes(const prototype_params& params, std::size_t stride, std::size_t count, isa level)
        : params_(params),
          level_(level),
          stride_(stride),
          directions_(count * stride),
          termness_(count),
          members_(count) {}

    static void check(const prototype_params& params) {
        if (params.count == 0) throw error("text_prototypes count", "at least 1", "0");
        if (params.sample == 0) throw error("text_prototypes sample", "at least 1", "0");
        in_range("text_prototypes sharpness", params.sharpness, 0.0F, 80.0F);
        in_range("text_prototypes rank_weight", params.rank_weight, 0.0F, std::numeric_limits<float>::max());
    }

    void compare(std::span<const float> direction, std::span<float> dots) const {
        NULLM_DISPATCH(level_, dots(direction.data(), directions_.data(), count(), stride_, dots.data()));
    }
    /// The first of the highest.
    static std::size_t best_of(std::span<const float> dots) {
        return static_cast<std::size_t>(std::max_element(dots.begin(), dots.end()) - dots.begin());
    }

    /// Spherical k-means (Dhillon and Modha 2001) over a sample: a prototype is the direction of its tokens'
    /// sum. One that has lost all its tokens takes the place of the token that is farthest from its own
    /// prototype.
    void cluster(const token_directions& tokens) {
        const std::size_t size = tokens.vocabulary().size;
        const std::size_t n = std::min(size, std::max(params_.sample, count()));
        aligned_vector<float> sample(n * stride_);
        for (std::size_t i = 0; i < n; ++i) {
            tokens.direction(static_cast<token_id>(i * size / n),
                             std::span(sample).subspan(i * stride_, stride_));
        }
        const auto row = [&](std::size_t i) {
            return std::span<const float>(sample).subspan(i * stride_, stride_);
        };
        spread(sample);
        const aligned_vector<float> origin(stride_, 0.0F);
        aligned_vector<float> sums(directions_.size());
        aligned_vector<float> dots(count());
        for (std::uint32_t round = 0; round < params_.iterations; ++round) {
            std::fill(sums.begin(), sums.end(), 0.0F);
            std::fill(members_.begin(), members_.end(), std::size_t{0});
            std::vector<std::pair<float, std::size_t>> fit(n);  // how near each token is to its prototype
            for (std::size_t i = 0; i < n; ++i) {
                compare(row(i), dots);
                const std::size_t k = best_of(dots);
                NULLM_DISPATCH(level_, add_direction(sums.data() + k * stride_, row(i).data(), stride_));
                ++members_[k];
                fit[i] = {dots[k], i};
            }
            std::sort(fit.begin(), fit.end());
            std::size_t farthest = 0;
            for (std::size_t k = 0; k < count(); ++k) {
                float* const sum = sums.data() + k * stride_;
                if (members_[k] == 0) std::copy_n(row(fit[farthest++].second).begin(), stride_, sum);
                NULLM_DISPATCH(level_, to_direction(sum, origin.data(), stride_));
            }
            directions_ = sums;
        }
    }

    /// Where the prototypes begin: tokens of the sample, each drawn with a probability in proportion to its
    /// distance from those drawn before (k-means++, Arthur and Vassilvitskii 2007).
    void spread(std::span<const float> sample) {
        const std::size_t n = sample.size() / stride_;
        aligned_vector<float> distance(n, 1.0F);
        aligned_vector<float> near(n);
        for (std::size_t k = 0; k < count(); ++k) {
            double total = 0;
            for (const float d : distance) total += static_cast<double>(d);
            const double draw =
                total * draw_uniform_double({.seed = params_.seed, .stream = draw_stream::prototypes},
                                            static_cast<std::uint32_t>(k));
            std::size_t chosen = 0;
            for (double sum = static_cast<double>(distance[0]); sum <= draw && chosen + 1 < n;) {
                sum += static_cast<double>(distance[++chosen]);
            }
            const std::span<const float> token = sample.subspan(chosen * stride_, stride_);
            std::copy(token.begin(), token.end(),
                      directions_.begin() + static_cast<std::ptrdiff_t>(k * stride_));
            NULLM_DISPATCH(level_, dots(token.data(), sample.data(), n, stride_, near.data()));
            for (std::size_t i = 0; i < n; ++i) distance[i] = std::clamp(1.0F - near[i], 0.0F, distance[i]);
        }
    }

    /// v_k over all tokens of the vocabulary; 0, the mean, for a prototype that has none.
    void weigh(const token_directions& tokens) {
        const std::size_t size = tokens.vocabulary().size;
        aligned_vector<float> scores = params_.function_words
                                           ? function_word_scores(tokens, "text_prototypes")
                                           : aligned_vector<float>(size, 0.0F);
        add_rank(scores, params_.function_words ? params_.rank_weight : 1.0F);
        aligned_vector<float> direction(stride_);
        aligned_vector<float> dots(count());
        std::vector<double> sums(count(), 0.0);
        std::fill(members_.begin(), members_.end(), std::size_t{0});
        for (std::size_t t = 0; t < size; ++t) {
            tokens.direction(static_cast<token_id>(t), direction);
            compare(direction, dots);
            const std::size_t k = best_of(dots);
            sums[k] += static_cast<double>(scores[t]);
            ++members_[k];
        }
        for (std::size_t k = 0; k < count(); ++k) {
            termness_[k] =
                members_[k] == 0 ? 0.0F : static_cast<float>(sums[k] / static_cast<double>(members_[k]));
        }
        standardise(termness_);
    }

    prototype_params params_;
    isa level_;
    std::size_t stride_;
    aligned_vector<float> directions_;  // (count, stride)
    aligned_vector<float> termness_;    // (count)
    std::vector<std::size_t> members_;  // (count) tokens of the vocabulary
};

}  // namespace nullm::inline NULLM_ABI
