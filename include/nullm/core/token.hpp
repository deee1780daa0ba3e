#pragma once
// What a token is called everywhere in the library.

#include <nullm/core/abi.hpp>

#include <cstdint>

namespace nullm::inline NULLM_ABI {

/// Index of a token in the model's vocabulary, 0 <= id < vocabulary size. NULL is never a token_id: it is the
/// absence of one (`std::optional<token_id>` without a value).
using token_id = std::int32_t;

}  // namespace nullm::inline NULLM_ABI
