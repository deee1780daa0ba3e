#pragma once
// Where sentences end, byte by byte, by rules for running text.

#include <nullm/core/abi.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace nullm::inline NULLM_ABI {

/// A sentence ends
///   - at . ! ? or an ellipsis, with any closing quotes and brackets, if white space follows and then
///   anything
///     but a lower-case ASCII letter: so "3.5", "example.com", "etc. and" and "wait... what" do not end one;
///   - never at the full stop of a single letter ("J. K. Rowling", "e.g.", "p.m."), of an abbreviation below,
///     or of one that goes before a number ("No. 5");
///   - never before its first letter ("2.1. Results");
///   - at once at the full-width 。！？ (no space follows them), and at a blank line.
/// An end is therefore known one character of the next sentence later. Malformed UTF-8 is harmless.
class sentence_boundary {
    static constexpr std::size_t longest_word = 6;

 public:
    enum class end : std::uint8_t { none, before, after };  // of the byte just pushed

    /// Of the text so far; small.
    struct state {
        enum class phase : std::uint8_t { text, terminal, space } at = phase::text;
        bool full_stop = false;     // the terminal is a single '.'
        bool letter = false;        // the sentence has one
        bool content = false;       // the sentence has anything but white space
        std::uint8_t newlines = 0;  // since the last character that is no white space, at most 2
        std::uint8_t length = 0;    // of the last word, at most longest_word + 1
        std::array<char, longest_word> word = {};  // its first letters, in lower case
        std::array<unsigned char, 2> last = {};    // the last two bytes
        friend bool operator==(const state&, const state&) = default;
    };

    static constexpr end push(state& s, char byte) {
        const auto c = static_cast<unsigned char>(byte);
        const std::uint32_t three = std::uint32_t{s.last[0]} << 16 | std::uint32_t{s.last[1]} << 8 | c;
        s.last = {s.last[1], c};
        if (c == '\n' && s.newlines < 2) ++s.newlines;
        if (is_space(c)) {
            if (s.newlines == 2 && s.content) return close(s, end::after);
            if (s.at == state::phase::text) s.length = 0;
            if (s.at == state::phase::terminal) s.at = state::phase::space;
            return end::none;
        }
        s.newlines = 0;
        end found = end::none;
        if (s.at == state::phase::space) {
            if (ends(s, c)) found = close(s, end::before);
            s.at = state::phase::text;
            s.length = 0;
        }
        if (three == 0xE38082 || three == 0xEFBC81 || three == 0xEFBC9F) return close(s, end::after);
        const bool ellipsis = three == 0xE280A6;
        if (c == '.' || c == '!' || c == '?' || ellipsis) {
            s.full_stop = c == '.' && s.at == state::phase::text;
            s.at = state::phase::terminal;
            s.content = true;
        } else if (s.at == state::phase::text || !closes(c)) {
            if (s.at == state::phase::terminal) s.length = 0;
            s.at = state::phase::text;
            take(s, c);
        }
        return found;
    }

 private:
    static constexpr std::string_view abbreviations[] = {
        "mr",  "mrs", "ms", "dr", "prof",   "st",   "jr",  "sr",  "gen", "col",  "capt", "lt",   "sgt", "rev",
        "hon", "vs",  "cf", "al", "approx", "dept", "est", "inc", "ltd", "corp", "co",   "bros", "mt",  "ft"};
    static constexpr std::string_view before_numbers[] = {"no", "nos", "vol", "pp",  "fig", "figs",
                                                          "eq", "sec", "ch",  "art", "ca",  "p"};

    static constexpr bool is_space(unsigned char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
    static constexpr bool is_letter(unsigned char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80;
    }
    /// Of UTF-8 quotes each byte is taken for a closing one: nothing else follows a terminal without a space.
    static constexpr bool closes(unsigned char c) {
        return c == '"' || c == '\'' || c == ')' || c == ']' || c >= 0x80;
    }

    static constexpr bool ends(const state& s, unsigned char next) {
        if (!s.letter || (next >= 'a' && next <= 'z')) return false;
        if (!s.full_stop) return true;
        const std::string_view word(s.word.data(), std::min<std::size_t>(s.length, longest_word));
        const auto in = [&](const auto& list) {
            return s.length <= longest_word &&
                   std::find(std::begin(list), std::end(list), word) != std::end(list);
        };
        return !(s.length == 1 || in(abbreviations) || (next >= '0' && next <= '9' && in(before_numbers)));
    }

    static constexpr void take(state& s, unsigned char c) {
        s.content = true;
        s.letter |= is_letter(c);
        if (is_letter(c)) {
            const bool upper = c >= 'A' && c <= 'Z';
            if (s.length < longest_word) s.word[s.length] = static_cast<char>(upper ? c - 'A' + 'a' : c);
            if (s.length <= longest_word) ++s.length;
        } else if (c != '\'') {  // "isn't" is one word
            s.length = 0;
        }
    }

    static constexpr end close(state& s, end where) {
        const auto last = s.last;
        s = {};
        s.last = last;
        return where;
    }
};

}  // namespace nullm::inline NULLM_ABI
