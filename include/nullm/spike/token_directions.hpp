#pragma once
// Token embeddings as directions: what they share is taken off and their lengths are divided out.

#include <nullm/core/aligned.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/simd.hpp>
#include <nullm/spike/vocabulary.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#define NULLM_KERNELS <nullm/spike/kernels/directions.inl>
#include <nullm/core/simd/foreach_isa.hpp>

namespace nullm::inline NULLM_ABI {

/// u_t = (e_t - mean) / |e_t - mean|: the mean says nothing of a token, and neither does the length
/// (magnitude_drive). Reads every embedding once to find the mean, and one more for each direction asked for;
/// keeps none.
class token_directions {
 public:
    /// `vocabulary` is kept. Throws nullm::error, whose first words are `where`, for a vocabulary without
    /// tokens, embeddings or pieces, or one with numbers that are not finite.
    token_directions(const vocabulary_view& vocabulary, std::string_view where, isa level = active_isa())
        : vocabulary_(vocabulary), where_(where), level_(level) {
        if (vocabulary.size == 0 || vocabulary.width == 0 || !vocabulary.embedding || !vocabulary.piece ||
            !vocabulary.special) {
            throw error(where, "a vocabulary with embeddings and pieces", "none");
        }
        if (vocabulary.size > static_cast<std::size_t>(std::numeric_limits<token_id>::max())) {
            throw error(where, "at most 2^31 tokens", std::to_string(vocabulary.size));
        }
        mean_.assign(stride(), 0.0F);
        aligned_vector<float> row(vocabulary.width);
        std::vector<double> sum(vocabulary.width,
                                0.0);  // in order of id, of single terms: nothing to contract
        for (std::size_t t = 0; t < vocabulary.size; ++t) {
            vocabulary.embedding(static_cast<token_id>(t), row);
            for (std::size_t j = 0; j < row.size(); ++j) sum[j] += static_cast<double>(row[j]);
        }
        for (std::size_t j = 0; j < row.size(); ++j) {
            mean_[j] = static_cast<float>(sum[j] / static_cast<double>(vocabulary.size));
            if (!std::isfinite(mean_[j])) throw not_finite();
        }
    }

    const vocabulary_view& vocabulary() const { return vocabulary_; }
    /// Floats of a direction: the embedding's width rounded up to 16, the rest zero.
    std::size_t stride() const { return round_up(vocabulary_.width, 16); }
    isa level() const { return level_; }

    /// Writes u_t, `stride` floats: of length 1, or all zero if the embedding is the mean.
    void direction(token_id token, std::span<float> out) const {
        vocabulary_.embedding(token, out.first(vocabulary_.width));
        std::fill(out.begin() + static_cast<std::ptrdiff_t>(vocabulary_.width), out.end(), 0.0F);
        const float length = NULLM_DISPATCH(level_, to_direction(out.data(), mean_.data(), stride()));
        if (!std::isfinite(length)) throw not_finite();
    }

 private:
    error not_finite() const { return {where_, "embeddings of finite numbers", "others"}; }

    vocabulary_view vocabulary_;
    std::string where_;
    isa level_;
    aligned_vector<float> mean_;  // (stride)
};

/// Mean 0 and standard deviation 1; all zero if the values are equal.
inline void standardise(std::span<float> values) {
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

}  // namespace nullm::inline NULLM_ABI
