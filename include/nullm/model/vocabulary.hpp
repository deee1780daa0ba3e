#pragma once
// Shows a checkpoint's tokens and embeddings to a drive.

#include <nullm/linear/dequantize.hpp>
#include <nullm/model/checkpoint.hpp>
#include <nullm/spike/vocabulary.hpp>
#include <nullm/text/tokenizer.hpp>

namespace nullm::inline NULLM_ABI {

/// The view keeps the file mapped; `tokens` must outlive it.
inline vocabulary_view vocabulary_of(const checkpoint& file, const tokenizer& tokens) {
    const auto& config = file.config();
    const tensor_view embedding = file.tensor("token_embd.weight", config.vocabulary, config.width);
    return {.size = config.vocabulary,
            .width = config.width,
            .embedding = [file, embedding](token_id token, std::span<float> out) {
                dequantize_row(embedding, static_cast<std::size_t>(token), out);
            },
            .piece = [&tokens](token_id token) { return tokens.piece(token); },
            .special = [&tokens](token_id token) { return tokens.is_control(token); }};
}

}  // namespace nullm::inline NULLM_ABI
