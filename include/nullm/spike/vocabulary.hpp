#pragma once
// What a drive may know of a model: its tokens and their embeddings, through three functions. So that spike/
// needs neither model/ nor text/.

#include <nullm/core/token.hpp>

#include <cstddef>
#include <functional>
#include <span>
#include <string_view>

namespace nullm::inline NULLM_ABI {

/// A view: whatever the functions read must outlive them. Drives that tabulate (importance_drive) use it only
/// while they are built; magnitude_drive keeps `embedding`.
struct vocabulary_view {
    std::size_t size = 0;                                       // tokens, 0 <= id < size
    std::size_t width = 0;                                      // floats in an embedding
    std::function<void(token_id, std::span<float>)> embedding;  // writes the token's `width` floats
    std::function<std::string_view(token_id)> piece;  // the token's own bytes, a leading space as ' '
    std::function<bool(token_id)> special;            // a control token, never text
};

}  // namespace nullm::inline NULLM_ABI
