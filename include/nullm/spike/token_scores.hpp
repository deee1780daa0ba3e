#pragma once
// How much a token says, from its embedding and its id alone.

#include <nullm/core/aligned.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/simd.hpp>
#include <nullm/spike/drives/function_words.hpp>
#include <nullm/spike/natural_log.hpp>
#include <nullm/spike/token_directions.hpp>
#include <nullm/spike/vocabulary.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string_view>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// Ids of the function words a vocabulary has (function_words.hpp; English).
inline std::vector<token_id> find_function_words(const vocabulary_view& vocabulary) {
    std::vector<token_id> found;
    for (std::size_t t = 0; t < vocabulary.size; ++t) {
        const auto id = static_cast<token_id>(t);
        if (!vocabulary.special(id) && std::find(function_words.begin(), function_words.end(),
                                                 vocabulary.piece(id)) != function_words.end()) {
            found.push_back(id);
        }
    }
    return found;
}

/// z(ln(id + 1000)), z standardising over the vocabulary. BPE learns frequent pieces first, so the id is a
/// rank; under its logarithm the first thousands, of which most of a text is made, are told apart.
inline aligned_vector<float> rank_scores(std::size_t size) {
    aligned_vector<float> scores(size);
    for (std::size_t t = 0; t < size; ++t) scores[t] = natural_log(static_cast<float>(t) + 1000.0F);
    standardise(scores);
    return scores;
}

/// z(1 - max_w <u_t, u_w>) over the function words w: the distance to the nearest of them, since a word that
/// can stand in the place of one of them carries grammar. (Their mean direction tells slightly less: AUROC
/// for rare tokens .944 in place of .947.) Throws nullm::error, whose first words are `where`, for a
/// vocabulary without function words. Costs 64 products of embeddings a token.
inline aligned_vector<float> function_word_scores(const token_directions& tokens, std::string_view where) {
    const vocabulary_view& vocabulary = tokens.vocabulary();
    const std::vector<token_id> words = find_function_words(vocabulary);
    if (words.empty()) throw error(where, "a vocabulary with English function words", "none of them");
    const std::size_t n = tokens.stride();
    aligned_vector<float> anchors(words.size() * n);
    for (std::size_t w = 0; w < words.size(); ++w)
        tokens.direction(words[w], std::span(anchors).subspan(w * n, n));

    aligned_vector<float> scores(vocabulary.size);
    aligned_vector<float> direction(n);
    aligned_vector<float> dots(words.size());
    for (std::size_t t = 0; t < vocabulary.size; ++t) {
        tokens.direction(static_cast<token_id>(t), direction);
        NULLM_DISPATCH(tokens.level(), dots(direction.data(), anchors.data(), words.size(), n, dots.data()));
        scores[t] = 1.0F - *std::max_element(dots.begin(), dots.end());
    }
    standardise(scores);
    return scores;
}

/// scores += weight * rank_scores.
inline void add_rank(std::span<float> scores, float weight) {
    const aligned_vector<float> rank = rank_scores(scores.size());
    for (std::size_t t = 0; t < scores.size(); ++t) scores[t] = std::fmaf(weight, rank[t], scores[t]);
}

}  // namespace nullm::inline NULLM_ABI
