#pragma once
// What a token's bytes show of the kind of word it is from.

#include <nullm/core/abi.hpp>

#include <algorithm>
#include <string_view>

namespace nullm::inline NULLM_ABI {

/// Holds a decimal digit of ASCII: a part of a number, a date, a version.
constexpr bool has_digit(std::string_view piece) {
    return std::any_of(piece.begin(), piece.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// Begins, after a space if there is one, with a capital letter of ASCII and goes on: a name, or a sentence's
/// first word. Single letters (" A", " I", initials) are not counted.
constexpr bool is_capitalised(std::string_view piece) {
    if (piece.starts_with(' ')) piece.remove_prefix(1);
    return piece.size() >= 2 && piece.front() >= 'A' && piece.front() <= 'Z';
}

}  // namespace nullm::inline NULLM_ABI
