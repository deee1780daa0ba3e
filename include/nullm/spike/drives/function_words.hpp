#pragma once
// The English words and marks that carry grammar rather than content, as tokens of a byte-level BPE spell
// them.

#include <nullm/core/abi.hpp>

#include <array>
#include <string_view>

namespace nullm::inline NULLM_ABI {

/// Words with their leading space, marks without. Those a vocabulary lacks are passed over.
inline constexpr std::array<std::string_view, 64> function_words = {
    " the",  " of",   " and",  " to",   " in",    " a",     " is",   " was",  " for",   " on",  " as",
    " with", " by",   " at",   " that", " from",  " it",    " an",   " were", " be",    " are", " which",
    " this", " had",  " he",   " has",  " or",    " not",   " but",  " its",  " their", " his", " her",
    " they", " have", " been", " who",  " there", " than",  " when", " into", " so",    " if",  " will",
    " can",  " do",   " no",   " you",  " we",    " would", " she",  " him",  ",",      ".",    ";",
    ":",     "(",     ")",     "-",     "\"",     "'",      "!",     "?",     "\n"};

}  // namespace nullm::inline NULLM_ABI
