#pragma once
// The character classes that pre-tokenizers distinguish: \p{L}, \p{Nd}, the rest of \p{N}, \s, and line ends.

#include <nullm/core/abi.hpp>
#include <nullm/text/unicode_ranges.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>

namespace nullm::inline NULLM_ABI {

/// Every code point is in exactly one class.
enum class char_class : std::uint8_t {
    other,    ///< [^\s\p{L}\p{N}]: punctuation, symbols, marks, controls, unassigned
    letter,   ///< \p{L}
    digit,    ///< \p{Nd}: the decimal digits of all scripts
    number,   ///< \p{N} but not digit: fractions, superscripts, Roman numerals, circled numbers
    space,    ///< \s but not line_end
    line_end  ///< U+000A and U+000D
};

/// Whether the class is part of \s.
constexpr bool is_space(char_class c) noexcept {
    return c == char_class::space || c == char_class::line_end;
}

/// Whether the class is part of \p{N}.
constexpr bool is_number(char_class c) noexcept {
    return c == char_class::digit || c == char_class::number;
}

namespace detail {

struct classed_range {
    char32_t first, last;
    char_class kind;
};

/// The tables merged, so that one search answers instead of four.
inline constexpr auto classed_ranges = [] {
    constexpr std::size_t letters = std::size(unicode_letters), digits = std::size(unicode_digits);
    constexpr std::size_t numbers = std::size(unicode_other_numbers), spaces = std::size(unicode_spaces);
    std::array<classed_range, letters + digits + numbers + spaces> merged{};
    std::size_t l = 0, d = 0, n = 0, s = 0;
    for (auto& out : merged) {
        out.first = 0x110000;
        const auto take_lower = [&out](const auto& table, std::size_t i, char_class kind) {
            if (i < std::size(table) && table[i].first < out.first)
                out = {table[i].first, table[i].last, kind};
        };
        take_lower(unicode_letters, l, char_class::letter);
        take_lower(unicode_digits, d, char_class::digit);
        take_lower(unicode_other_numbers, n, char_class::number);
        take_lower(unicode_spaces, s, char_class::space);
        ++(out.kind == char_class::letter  ? l
           : out.kind == char_class::digit ? d
           : out.kind == char_class::space ? s
                                           : n);
    }
    return merged;
}();

constexpr char_class search_class(char32_t code) noexcept {
    const auto after =
        std::upper_bound(classed_ranges.begin(), classed_ranges.end(), code,
                         [](char32_t value, const classed_range& range) { return value < range.first; });
    if (after == classed_ranges.begin()) return char_class::other;
    const classed_range& range = *std::prev(after);
    return code <= range.last ? range.kind : char_class::other;
}

inline constexpr auto ascii_classes = [] {
    std::array<char_class, 128> table{};
    for (char32_t code = 0; code < 128; ++code) table[code] = search_class(code);
    table[U'\n'] = table[U'\r'] = char_class::line_end;
    return table;
}();

}  // namespace detail

/// The class of a code point. ASCII is one load, the rest a binary search over about 850 ranges.
constexpr char_class classify(char32_t code) noexcept {
    return code < 128 ? detail::ascii_classes[code] : detail::search_class(code);
}

}  // namespace nullm::inline NULLM_ABI
