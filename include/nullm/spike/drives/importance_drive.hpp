#pragma once
// A token excites the neurons by how far it lies from the words that carry only grammar, and by how late the
// tokenizer learned it.

#include <nullm/core/aligned.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/simd.hpp>
#include <nullm/spike/concepts.hpp>
#include <nullm/spike/drives/function_words.hpp>
#include <nullm/spike/in_range.hpp>
#include <nullm/spike/vocabulary.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace nullm::inline NULLM_ABI {

struct centred_sums {
    float dot = 0;
    float square = 0;
};

}  // namespace nullm::inline NULLM_ABI

#define NULLM_KERNELS <nullm/spike/kernels/importance.inl>
#include <nullm/core/simd/foreach_isa.hpp>

namespace nullm::inline NULLM_ABI {

struct importance_params {
    std::size_t neurons = 256;  // share one intensity p; their rate has noise sqrt(p (1 - p) / neurons)
    float rank_weight = 0.5F;   // of the BPE rank against the embedding, both standardised
    // The logistic that squashes the score. Running text lives at the low end of the vocabulary's scores
    // (SmolLM2 on WikiText-2: 60 % of positions below -2.9, 90 % below -0.9), so the middle of [0, 1] is put
    // there: most of the population's resolution then goes to the scores between which a theta has to choose.
    float slope = 1.5F;
    float centre = -2.5F;
    // What a candidate that its drafter does not trust at all adds to p, in [0, 1].
    float uncertainty_weight = 0.5F;
};

/// Importance of a token, tabulated once from embeddings and token ids alone; no corpus, no forward pass:
///     score = z(1 - cos(e - mean, centroid of the function words)) + rank_weight z(id)
///     importance = 1 / (1 + exp(-slope (score - centre)));  1 for special tokens
/// where z standardises over the vocabulary. The norm of the embedding is divided out on purpose
/// (magnitude_drive). At a position every neuron gets clamp(importance + uncertainty_weight (1 -
/// confidence)). On SmolLM2 and the first 40,000 positions of the WikiText-2 test file: AUROC of the
/// importance for rare tokens (at most 5 uses in the file's second half) 0.948; the norm has 0.57 as a spike
/// rate (magnitude_drive). What it cannot know: digits are frequent and count as unimportant, so do frequent
/// names.
class importance_drive {
 public:
    using trace = stateless;
    using memory = stateless;

    /// Reads each embedding twice (49152 x 576: see benchmarks/kernel/spike.cpp), keeps 4 bytes a token,
    /// shared by copies of the drive. Throws nullm::error for parameters outside their range, an empty
    /// vocabulary, embeddings that are not finite, or a vocabulary without a single function word
    /// (function_words.hpp; English).
    static importance_drive build(const vocabulary_view& vocabulary, const importance_params& params = {},
                                  isa level = active_isa()) {
        check(vocabulary, params);
        const std::vector<token_id> anchors = find_function_words(vocabulary);
        if (anchors.empty()) {
            throw error("importance_drive", "a vocabulary with English function words", "none of them");
        }
        const aligned_vector<float> mean = mean_embedding(vocabulary);
        const aligned_vector<float> centroid = centroid_of(vocabulary, anchors, mean, level);
        return importance_drive(params, tabulate(vocabulary, mean, centroid, params, level));
    }

    /// Of one token, in [0, 1]. Throws nullm::error for a token outside the vocabulary.
    float importance(token_id token) const {
        if (token < 0 || static_cast<std::size_t>(token) >= table_->size()) {
            throw error("importance_drive token", "0 to " + std::to_string(table_->size() - 1),
                        std::to_string(token));
        }
        return (*table_)[static_cast<std::size_t>(token)];
    }
    const importance_params& params() const { return params_; }

    std::size_t width() const { return params_.neurons; }
    trace initial_trace() const { return {}; }
    memory initial_memory() const { return {}; }
    void intensities(trace&, const memory&, const gate_input& input, std::span<float> out) const {
        const float doubt = 1.0F - in_range("importance_drive confidence", input.confidence);
        const float intensity = std::fmaf(params_.uncertainty_weight, doubt, importance(input.token));
        std::fill(out.begin(), out.end(), std::clamp(intensity, 0.0F, 1.0F));
    }
    void settle(memory&, token_id) const {}

 private:
    importance_drive(const importance_params& params, aligned_vector<float> table)
        : params_(params), table_(std::make_shared<const aligned_vector<float>>(std::move(table))) {}

    static void check(const vocabulary_view& vocabulary, const importance_params& params) {
        constexpr float huge = std::numeric_limits<float>::max();
        if (params.neurons == 0) throw error("importance_drive neurons", "at least one", "none");
        in_range("importance_drive rank_weight", params.rank_weight, 0.0F, huge);
        in_range("importance_drive slope", params.slope, 0.0F, huge);
        in_range("importance_drive centre", params.centre, -huge, huge);
        in_range("importance_drive uncertainty_weight", params.uncertainty_weight);
        if (vocabulary.size == 0 || vocabulary.width == 0 || !vocabulary.embedding || !vocabulary.piece ||
            !vocabulary.special) {
            throw error("importance_drive", "a vocabulary with embeddings and pieces", "none");
        }
        if (vocabulary.size > static_cast<std::size_t>(std::numeric_limits<token_id>::max())) {
            throw error("importance_drive", "at most 2^31 tokens", std::to_string(vocabulary.size));
        }
    }

    static std::vector<token_id> find_function_words(const vocabulary_view& vocabulary) {
        std::vector<token_id> found;
        for (std::size_t t = 0; t < vocabulary.size; ++t) {
            const auto id = static_cast<token_id>(t);
            if (vocabulary.special(id)) continue;
            if (std::find(function_words.begin(), function_words.end(), vocabulary.piece(id)) !=
                function_words.end()) {
                found.push_back(id);
            }
        }
        return found;
    }

    /// Summed in double in order of id: sums of single terms, so nothing a compiler could contract.
    static aligned_vector<float> mean_embedding(const vocabulary_view& vocabulary) {
        aligned_vector<float> row(vocabulary.width);
        std::vector<double> sum(vocabulary.width, 0.0);
        for (std::size_t t = 0; t < vocabulary.size; ++t) {
            vocabulary.embedding(static_cast<token_id>(t), row);
            for (std::size_t j = 0; j < row.size(); ++j) sum[j] += static_cast<double>(row[j]);
        }
        for (std::size_t j = 0; j < row.size(); ++j) {
            row[j] = static_cast<float>(sum[j] / static_cast<double>(vocabulary.size));
            if (!std::isfinite(row[j])) throw error("importance_drive embedding", "finite numbers", "others");
        }
        return row;
    }

    /// Mean direction of the function words' centred embeddings, of length 1 (or all zero).
    static aligned_vector<float> centroid_of(const vocabulary_view& vocabulary,
                                             const std::vector<token_id>& words,
                                             const aligned_vector<float>& mean, isa level) {
        const std::size_t n = vocabulary.width;
        aligned_vector<float> row(n);
        aligned_vector<float> centroid(n, 0.0F);
        for (const token_id word : words) {
            vocabulary.embedding(word, row);
            const float length =
                std::sqrt(NULLM_DISPATCH(level, centred_dot(row.data(), mean.data(), row.data(), n)).square);
            if (!(length > 0)) continue;
            for (std::size_t j = 0; j < n; ++j) centroid[j] += (row[j] - mean[j]) / length;
        }
        const aligned_vector<float> origin(n, 0.0F);
        const float length = std::sqrt(
            NULLM_DISPATCH(level, centred_dot(centroid.data(), origin.data(), origin.data(), n)).square);
        if (length > 0) {
            for (float& x : centroid) x /= length;
        }
        return centroid;
    }

    static aligned_vector<float> tabulate(const vocabulary_view& vocabulary,
                                          const aligned_vector<float>& mean,
                                          const aligned_vector<float>& centroid,
                                          const importance_params& params, isa level) {
        const std::size_t n = vocabulary.size;
        aligned_vector<float> row(vocabulary.width);
        aligned_vector<float> distance(n);
        aligned_vector<float> rank(n);
        for (std::size_t t = 0; t < n; ++t) {
            vocabulary.embedding(static_cast<token_id>(t), row);
            const centred_sums sums =
                NULLM_DISPATCH(level, centred_dot(row.data(), mean.data(), centroid.data(), row.size()));
            const float length = std::sqrt(sums.square);
            if (!std::isfinite(length)) throw error("importance_drive embedding", "finite numbers", "others");
            distance[t] = length > 0 ? 1.0F - sums.dot / length : 1.0F;
            rank[t] = static_cast<float>(t);
        }
        standardise(distance);
        standardise(rank);
        for (std::size_t t = 0; t < n; ++t) distance[t] = std::fmaf(params.rank_weight, rank[t], distance[t]);
        NULLM_DISPATCH(level, logistic(distance.data(), n, params.slope, params.centre));
        for (std::size_t t = 0; t < n; ++t) {
            if (vocabulary.special(static_cast<token_id>(t))) distance[t] = 1.0F;
        }
        return distance;
    }

    /// Mean 0, standard deviation 1; all zero if the values are equal.
    static void standardise(std::span<float> values) {
        const auto count = static_cast<double>(values.size());
        double sum = 0;
        for (const float x : values) sum += static_cast<double>(x);
        const double mean = sum / count;
        double squares = 0;
        for (const float x : values) {
            const double d = static_cast<double>(x) - mean;
            squares = std::fma(d, d, squares);
        }
        const double deviation = std::sqrt(squares / count);
        for (float& x : values) {
            x = deviation > 0 ? static_cast<float>((static_cast<double>(x) - mean) / deviation) : 0.0F;
        }
    }

    importance_params params_;
    std::shared_ptr<const aligned_vector<float>> table_;
};
static_assert(Drive<importance_drive>);

}  // namespace nullm::inline NULLM_ABI
