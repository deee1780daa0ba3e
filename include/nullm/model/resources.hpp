#pragma once
// What loading and running a model may use.

#include <nullm/core/abi.hpp>

#include <cstddef>
#include <optional>

namespace nullm::inline NULLM_ABI {

struct load_options {
    unsigned threads = 0;  // to repack the weights with; 0: one per hardware thread
};

struct state_options {
    unsigned threads = 0;     // of a forward pass; 0: one per hardware thread
    std::size_t context = 0;  // positions the cache may hold; 0: the model's context
    // Of an attention that samples: queries at earlier positions attend exactly. Unless given, a writer
    // takes the length of its prompt, anything else 0 (the attention's own minimum still holds).
    std::optional<std::size_t> sample_from = {};
};

}  // namespace nullm::inline NULLM_ABI
