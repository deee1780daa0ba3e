#pragma once
// Strict UTF-8: one sequence at a time, with the fault named when there is one.

#include <nullm/core/abi.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace nullm::inline NULLM_ABI {

/// What stands at a position of a byte string.
enum class utf8_status : std::uint8_t {
    complete,   ///< a well-formed sequence
    truncated,  ///< the text ends inside a sequence that is well-formed so far
    invalid,    ///< no continuation can make it well-formed
};

/// One sequence. For `truncated` and `invalid`, `length` is the maximal subpart (Unicode 14, section 3.9,
/// D93b): the bytes one U+FFFD replaces; `value` is then U+FFFD.
struct utf8_sequence {
    char32_t value = 0xFFFD;
    std::uint32_t length = 1;
    utf8_status status = utf8_status::invalid;
};

/// Reads the sequence that starts at `at` < text.size(). Overlong forms, surrogates and values above U+10FFFF
/// are invalid (Unicode 14, table 3-7).
constexpr utf8_sequence read_utf8(std::string_view text, std::size_t at) noexcept {
    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[at + i]); };
    const std::uint32_t lead = byte(0);
    if (lead < 0x80) return {lead, 1, utf8_status::complete};
    if (lead < 0xC2 || lead > 0xF4) return {};
    const std::uint32_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    // Only the second byte's range depends on the lead: this is where overlong forms and surrogates are
    // excluded.
    std::uint32_t low = 0x80, high = 0xBF;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
    char32_t value = lead & (0x7FU >> length);
    for (std::uint32_t i = 1; i < length; ++i) {
        if (at + i == text.size()) return {0xFFFD, i, utf8_status::truncated};
        const std::uint32_t next = byte(i);
        if (next < low || next > high) return {0xFFFD, i, utf8_status::invalid};
        value = (value << 6) | (next & 0x3FU);
        low = 0x80;
        high = 0xBF;
    }
    return {value, length, utf8_status::complete};
}

/// How far a text is well-formed: `length` bytes of whole sequences, then the end (`complete`) or a fault.
struct utf8_prefix {
    std::size_t length = 0;
    utf8_status status = utf8_status::complete;
};

/// Checks text[from..]. `from` is a sequence's start. Linear; eight ASCII bytes a step.
inline utf8_prefix check_utf8(std::string_view text, std::size_t from = 0) noexcept {
    std::size_t at = from;
    while (at < text.size()) {
        if (text.size() - at >= 8) {
            std::uint64_t word;
            std::memcpy(&word, text.data() + at, 8);
            if ((word & 0x8080808080808080ULL) == 0) {
                at += 8;
                continue;
            }
        }
        const utf8_sequence next = read_utf8(text, at);
        if (next.status != utf8_status::complete) return {at, next.status};
        at += next.length;
    }
    return {at, utf8_status::complete};
}

/// Whether all of the text is well-formed.
inline bool is_utf8(std::string_view text) noexcept { return check_utf8(text).status == utf8_status::complete; }

/// Appends `value` (a Unicode scalar value) to `out`.
inline void append_utf8(std::string& out, char32_t value) {
    const auto tail = [&](unsigned shift) { out += static_cast<char>(0x80U | ((value >> shift) & 0x3FU)); };
    if (value < 0x80) {
        out += static_cast<char>(value);
    } else if (value < 0x800) {
        out += static_cast<char>(0xC0U | (value >> 6));
        tail(0);
    } else if (value < 0x10000) {
        out += static_cast<char>(0xE0U | (value >> 12));
        tail(6);
        tail(0);
    } else {
        out += static_cast<char>(0xF0U | (value >> 18));
        tail(12);
        tail(6);
        tail(0);
    }
}

}  // namespace nullm::inline NULLM_ABI
