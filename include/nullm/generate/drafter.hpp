#pragma once
// Drafters: look-up in the text so far (ngram_drafter.hpp), and none.

#include <nullm/generate/concepts.hpp>
#include <nullm/generate/ngram_drafter.hpp>

#include <cstddef>
#include <optional>
#include <span>

namespace nullm::inline NULLM_ABI {

/// Never proposes: the writer's NULL is a pause.
struct no_drafter {
    struct state {};
    std::optional<draft> propose(state&, std::span<const token_id>, std::size_t) const { return {}; }
};
template <>
inline constexpr bool drafts<no_drafter> = false;

static_assert(Drafter<no_drafter>);

}  // namespace nullm::inline NULLM_ABI
