#pragma once
// GPT-2's byte-level alphabet: every byte as one visible character, so that vocabularies can be text files.

#include <nullm/core/abi.hpp>
#include <nullm/core/utf8.hpp>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nullm::inline NULLM_ABI {

namespace detail {

/// Visible Latin-1 bytes stand for themselves, the other 68 for U+0100 onwards, in order (GPT-2,
/// `encoder.py`).
inline constexpr auto byte_characters = [] {
    std::array<char32_t, 256> table{};
    char32_t next = 0x100;
    for (unsigned byte = 0; byte < 256; ++byte) {
        const bool visible = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
        table[byte] = visible ? char32_t{byte} : next++;
    }
    return table;
}();

inline constexpr std::size_t byte_character_limit = 0x100 + 68;

inline constexpr auto character_bytes = [] {
    std::array<std::int16_t, byte_character_limit> table{};
    for (auto& entry : table) entry = -1;
    for (unsigned byte = 0; byte < 256; ++byte)
        table[byte_characters[byte]] = static_cast<std::int16_t>(byte);
    return table;
}();

}  // namespace detail

/// The spelling of `bytes` in the alphabet, as a vocabulary file has it.
inline std::string to_byte_alphabet(std::string_view bytes) {
    std::string spelling;
    for (const char c : bytes) append_utf8(spelling, detail::byte_characters[static_cast<std::uint8_t>(c)]);
    return spelling;
}

/// The bytes that `spelling` stands for, or none if a character is outside the alphabet (a space, for one).
inline std::optional<std::string> from_byte_alphabet(std::string_view spelling) {
    std::string bytes;
    for (std::size_t at = 0; at < spelling.size();) {
        const utf8_sequence next = read_utf8(spelling, at);
        if (next.status != utf8_status::complete || next.value >= detail::byte_character_limit)
            return std::nullopt;
        const std::int16_t byte = detail::character_bytes[next.value];
        if (byte < 0) return std::nullopt;
        bytes += static_cast<char>(byte);
        at += next.length;
    }
    return bytes;
}

}  // namespace nullm::inline NULLM_ABI
