#pragma once
// How text that comes from a file is shown in an error message.

#include <nullm/core/abi.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace nullm::inline NULLM_ABI {

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
inline std::string in_quotes(std::string_view text) {
    return '"' + escaped(text) + '"';
}

}  // namespace nullm::inline NULLM_ABI
