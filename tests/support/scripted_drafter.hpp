#pragma once
// A Drafter that proposes by position, from a list.

#include <nullm/generate/concepts.hpp>

#include <array>
#include <cstddef>
#include <optional>
#include <span>

namespace support {

/// Proposes candidates[i] at position first + i, nothing where that is empty or behind the list's end.
struct scripted_drafter {
    static constexpr std::size_t reach = 16;
    std::size_t first = 0;
    std::array<std::optional<nullm::draft>, reach> candidates = {};

    struct state {};
    std::optional<nullm::draft> propose(state&, std::span<const nullm::token_id> sequence, std::size_t) const {
        const std::size_t i = sequence.size() - first;
        return i < reach ? candidates[i] : std::nullopt;
    }
};
static_assert(nullm::Drafter<scripted_drafter>);

}  // namespace support
