#pragma once
// Takes a vocabulary from a file apart and refuses one that contradicts itself.

#include <nullm/core/abi.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/in_quotes.hpp>
#include <nullm/core/token.hpp>
#include <nullm/core/utf8.hpp>
#include <nullm/text/bpe_vocabulary.hpp>
#include <nullm/text/byte_alphabet.hpp>
#include <nullm/text/merge_table.hpp>
#include <nullm/text/token_index.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// A vocabulary in the form the tokenizer works on. The constructor throws `error` unless: there is at least
/// one token; token_types is empty or as long as tokens, with known kinds; bos, eos and eot are ids of the
/// vocabulary; no token is empty or there twice; normal tokens are spelled in the byte alphabet, special ones
/// in UTF-8, byte ones
/// "<0xAB>"; every merge is "left right" of normal tokens whose joint spelling is a normal token, and none is
/// there twice. (Merges cannot go in circles: each result is longer than its parts.)
struct checked_vocabulary {
    token_bytes tokens;
    std::vector<token_kind> kinds;
    token_index words;     ///< normal tokens by their bytes
    token_index specials;  ///< control, unknown and user-defined tokens by their text
    merge_table merges;

    explicit checked_vocabulary(const bpe_vocabulary& source)
        : words(source.tokens.size()), merges(source.merges.size()) {
        if (source.tokens.empty()) throw error("vocabulary", "at least one token", "none");
        if (source.tokens.size() > static_cast<std::size_t>(std::numeric_limits<token_id>::max())) {
            throw error("vocabulary", "fewer than 2^31 tokens", std::to_string(source.tokens.size()));
        }
        if (!source.token_types.empty() && source.token_types.size() != source.tokens.size()) {
            throw error("vocabulary", std::to_string(source.tokens.size()) + " token types, one a token",
                        std::to_string(source.token_types.size()));
        }
        take_kinds(source);
        specials =
            token_index(static_cast<std::size_t>(std::count_if(kinds.begin(), kinds.end(), is_special)));
        std::size_t spelled = 0;  // no token's bytes outnumber its spelling's
        for (const auto& spelling : source.tokens) spelled += spelling.size();
        tokens.reserve(source.tokens.size(), spelled);
        for (std::size_t i = 0; i < source.tokens.size(); ++i)
            take_token(static_cast<token_id>(i), source.tokens[i]);
        take_merges(source.merges);
    }

 private:
    static bool is_special(token_kind kind) {
        return kind == token_kind::unknown || kind == token_kind::control || kind == token_kind::user_defined;
    }

    static std::string place(std::string_view what, std::size_t index) {
        return "vocabulary " + std::string(what) + " " + std::to_string(index);
    }

    void take_kinds(const bpe_vocabulary& source) {
        kinds.assign(source.tokens.size(), token_kind::normal);
        for (std::size_t i = 0; i < source.token_types.size(); ++i) {
            const std::int32_t type = source.token_types[i];
            if (type < 1 || type > 6)
                throw error(place("token", i), "a type from 1 to 6", std::to_string(type));
            kinds[i] = static_cast<token_kind>(type);
        }
        // What begins and ends sequences is control, whatever the file calls it: text must never produce it.
        const auto mark = [&](const char* name, std::optional<token_id> id) {
            if (!id) return;
            if (*id < 0 || static_cast<std::size_t>(*id) >= kinds.size()) {
                throw error("vocabulary", std::string(name) + " below " + std::to_string(kinds.size()),
                            std::to_string(*id));
            }
            kinds[static_cast<std::size_t>(*id)] = token_kind::control;
        };
        mark("bos", source.bos);
        mark("eos", source.eos);
        mark("eot", source.eot);
    }

    void take_token(token_id id, const std::string& spelling) {
        const auto i = static_cast<std::size_t>(id);
        if (kinds[i] == token_kind::unused) return tokens.push_back({});
        if (spelling.empty()) throw error(place("token", i), "at least one character", "none");
        if (kinds[i] == token_kind::byte) {
            const char byte = parse_byte(i, spelling);
            return tokens.push_back({&byte, 1});
        }
        const bool normal = kinds[i] == token_kind::normal;
        if (normal) {
            const auto bytes = from_byte_alphabet(spelling);
            if (!bytes)
                throw error(place("token", i), "characters of the byte-level alphabet", in_quotes(spelling));
            tokens.push_back(*bytes);
        } else {
            if (check_utf8(spelling).status != utf8_status::complete) {
                throw error(place("token", i), "valid UTF-8", in_quotes(spelling));
            }
            tokens.push_back(spelling);
        }
        const token_id same = (normal ? words : specials).insert(id, tokens);
        if (same != token_index::none) {
            throw error(place("token", i), "distinct tokens",
                        in_quotes(spelling) + ", which is " + std::to_string(same) + " too");
        }
    }

    void take_merges(const std::vector<std::string>& lines) {
        if (lines.size() >= merge_table::no_merge) {
            throw error("vocabulary", "fewer than 2^32 - 1 merges", std::to_string(lines.size()));
        }
        for (std::size_t rank = 0; rank < lines.size(); ++rank) {
            const std::string_view line = lines[rank];
            const std::size_t space = line.find(' ');
            if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos) {
                throw error(place("merge", rank), "two tokens with a space between", in_quotes(line));
            }
            const token_id left = word(rank, line.substr(0, space));
            const token_id right = word(rank, line.substr(space + 1));
            const std::string joint = std::string(tokens[left]) + std::string(tokens[right]);
            const token_id result = words.find(joint, tokens);
            if (result == token_index::none) {
                throw error(place("merge", rank), "parts that join to a token", in_quotes(line));
            }
            if (!merges.insert(left, right, static_cast<std::uint32_t>(rank), result)) {
                throw error(place("merge", rank), "distinct merges", in_quotes(line) + " again");
            }
        }
    }

    token_id word(std::size_t rank, std::string_view spelling) const {
        const auto bytes = from_byte_alphabet(spelling);
        const token_id id = bytes ? words.find(*bytes, tokens) : token_index::none;
        if (id == token_index::none) throw error(place("merge", rank), "normal tokens", in_quotes(spelling));
        return id;
    }

    static char parse_byte(std::size_t i, std::string_view spelling) {
        const auto digit = [](char c) {
            return c >= '0' && c <= '9'   ? c - '0'
                   : c >= 'A' && c <= 'F' ? c - 'A' + 10
                   : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                          : -1;
        };
        if (spelling.size() == 6 && spelling.starts_with("<0x") && spelling[5] == '>') {
            const int high = digit(spelling[3]), low = digit(spelling[4]);
            if (high >= 0 && low >= 0) return static_cast<char>(high * 16 + low);
        }
        throw error(place("token", i), "a byte as in <0x0A>", in_quotes(spelling));
    }
};

}  // namespace nullm::inline NULLM_ABI
