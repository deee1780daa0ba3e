#pragma once
// Text that comes from a file: is it UTF-8, and how is it quoted in an error message.

#include <nullm/core/abi.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace nullm::inline NULLM_ABI {

/// Whether the bytes are well-formed UTF-8 (Unicode 15, table 3-7): no overlong forms, surrogates or values
/// above U+10FFFF, no sequence cut short.
inline bool is_utf8(std::string_view text) {
    const auto* const bytes = reinterpret_cast<const unsigned char*>(text.data());
    const std::size_t size = text.size();
    std::size_t i = 0;
    while (i < size) {
        if (size - i >= 8) {  // eight ASCII bytes at once
            std::uint64_t word = 0;
            std::memcpy(&word, bytes + i, 8);
            if ((word & 0x8080808080808080U) == 0) {
                i += 8;
                continue;
            }
        }
        const unsigned lead = bytes[i];
        if (lead < 0x80) {
            ++i;
            continue;
        }
        std::size_t length = 2;
        unsigned least = 0x80;  // bounds of the second byte
        unsigned most = 0xBF;
        if (lead >= 0xC2 && lead <= 0xDF) {
            length = 2;
        } else if (lead >= 0xE0 && lead <= 0xEF) {
            length = 3;
            if (lead == 0xE0) least = 0xA0;
            if (lead == 0xED) most = 0x9F;
        } else if (lead >= 0xF0 && lead <= 0xF4) {
            length = 4;
            if (lead == 0xF0) least = 0x90;
            if (lead == 0xF4) most = 0x8F;
        } else {
            return false;
        }
        if (size - i < length || bytes[i + 1] < least || bytes[i + 1] > most) return false;
        for (std::size_t k = 2; k < length; ++k) {
            if ((bytes[i + k] & 0xC0U) != 0x80) return false;
        }
        i += length;
    }
    return true;
}

/// At most 64 bytes of the text, everything but printable ASCII (and quotes and backslashes) escaped: a
/// hostile name must not reach a terminal as control codes.
inline std::string escaped(std::string_view text) {
    constexpr std::size_t longest = 64;
    constexpr char digits[] = "0123456789abcdef";
    std::string out;
    for (const char c : text.substr(0, longest)) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte < 0x7F && c != '"' && c != '\\') {
            out += c;
        } else {
            out += "\\x";
            out += digits[byte >> 4];
            out += digits[byte & 15U];
        }
    }
    if (text.size() > longest) out += "...";
    return out;
}

/// The same in quotation marks.
inline std::string quoted(std::string_view text) {
    return '"' + escaped(text) + '"';
}

}  // namespace nullm::inline NULLM_ABI
