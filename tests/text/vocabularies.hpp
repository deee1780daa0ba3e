#pragma once
// What the tests of this room share: small vocabularies made on the spot, random texts, the model's
// vocabulary.

#include <nullm/core/error.hpp>
#include <nullm/text/bpe_vocabulary.hpp>
#include <nullm/text/byte_alphabet.hpp>

#include <initializer_list>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace text_test {

inline const std::vector<std::string> pre_tokenizer_names = {"gpt-2", "smollm", "llama-bpe", "qwen2"};

/// Ids 0-255 are the bytes, then `merges` tokens that join two random earlier ones, then these special
/// tokens.
inline nullm::bpe_vocabulary small_vocabulary(const std::string& pre_tokenizer, std::size_t merges = 600,
                                              bool with_user_defined = false) {
    nullm::bpe_vocabulary vocabulary;
    vocabulary.pre_tokenizer = pre_tokenizer;
    std::vector<std::string> bytes;
    for (int byte = 0; byte < 256; ++byte) bytes.emplace_back(1, static_cast<char>(byte));
    // Bytes that occur together in the random texts, so that merges of merges are found in them.
    std::string frequent = "aaeiostnr  \n'\xE4\xB8\xAD\xD0\x9F\xCC\x81\xF0\x9F\x98\x80";
    std::vector<std::string> parts;
    for (const char c : frequent) parts.emplace_back(1, c);
    std::set<std::string> known(bytes.begin(), bytes.end());
    std::mt19937 random(7);
    while (bytes.size() < 256 + merges) {
        const bool first = bytes.size() == 256;  // "aa" is always there, for the long runs of one letter
        const std::string left = first ? "a" : parts[random() % parts.size()];
        const std::string right = first ? "a" : parts[random() % parts.size()];
        if (left.size() + right.size() > 12 || !known.insert(left + right).second) continue;
        bytes.push_back(left + right);
        parts.push_back(left + right);
        vocabulary.merges.push_back(nullm::to_byte_alphabet(left) + " " + nullm::to_byte_alphabet(right));
    }
    for (const auto& token : bytes) vocabulary.tokens.push_back(nullm::to_byte_alphabet(token));
    vocabulary.token_types.assign(bytes.size(), 1);
    const auto add = [&](const char* text, int type) {
        vocabulary.tokens.emplace_back(text);
        vocabulary.token_types.push_back(type);
    };
    for (const char* text : {"<|im_start|>", "<|im_end|>", "<|endoftext|>"}) add(text, 3);
    if (with_user_defined) {
        for (const char* text : {"<tool>", "<tool", "  \n", "\xC2\xA0\xC2\xA0", "12"}) add(text, 4);
    }
    vocabulary.bos = static_cast<nullm::token_id>(bytes.size());
    vocabulary.eos = static_cast<nullm::token_id>(bytes.size() + 1);
    return vocabulary;
}

/// Up to `length` pieces of all that splitters distinguish. Only characters that every Unicode version since
/// 8 classes alike, because the PCRE2 it is compared with may know another version than our tables.
inline std::string random_text(std::mt19937& random, std::size_t length) {
    static const std::vector<std::string> pieces = {"a",
                                                    "e",
                                                    "s",
                                                    "t",
                                                    "Z",
                                                    "word",
                                                    "The",
                                                    " ",
                                                    " ",
                                                    " ",
                                                    "  ",
                                                    "   ",
                                                    "\n",
                                                    "\n",
                                                    "\n\n",
                                                    "\r\n",
                                                    "\r",
                                                    "\t",
                                                    "\v",
                                                    "\f",
                                                    "\x1C",
                                                    "0",
                                                    "1",
                                                    "12",
                                                    "345",
                                                    "67890",
                                                    "'s",
                                                    "'t",
                                                    "'re",
                                                    "'ve",
                                                    "'m",
                                                    "'ll",
                                                    "'d",
                                                    "'S",
                                                    "'RE",
                                                    "'Ll",
                                                    "'\xC5\xBF",
                                                    "'",
                                                    "''",
                                                    "'r",
                                                    "'v",
                                                    "'l",
                                                    "'x",
                                                    "!",
                                                    "?!",
                                                    "...",
                                                    "-",
                                                    "_",
                                                    "(",
                                                    "<",
                                                    "<|im_end|>",
                                                    "<tool",
                                                    "<tool>",
                                                    "\xC2\x85",
                                                    "\xC2\xA0",
                                                    "\xE1\x9A\x80",
                                                    "\xE2\x80\x83",
                                                    "\xE2\x80\xA8",
                                                    "\xE2\x80\xA9",
                                                    "\xE2\x80\xAF",
                                                    "\xE3\x80\x80",
                                                    "\xE2\x80\x8B",
                                                    "\xE4\xB8\xAD",
                                                    "\xE6\x96\x87",
                                                    "\xE3\x83\x86",
                                                    "\xEF\xBC\x9A",
                                                    "\xED\x95\x9C",
                                                    "\xF0\x9F\x98\x80",
                                                    "\xF0\x9F\x91\x8D\xF0\x9F\x8F\xBD",
                                                    "\xE2\x80\x8D",
                                                    "\xEF\xB8\x8F",
                                                    "e\xCC\x81",
                                                    "\xCC\x81",
                                                    "\xE0\xA4\xBF",
                                                    "\xD0\x9F\xD1\x80",
                                                    "\xD0\xB6",
                                                    "\xD9\x85",
                                                    "\xD9\xA3",
                                                    "\xE2\x85\xA7",
                                                    "\xC2\xBD",
                                                    "\xC2\xB2",
                                                    "\xE2\x91\xA0",
                                                    "\xF0\x9D\x9F\x99",
                                                    "\xEF\xAC\x81",
                                                    "\xC3\xA9",
                                                    "\xE2\x82\xAC",
                                                    "\xEE\x80\x80",
                                                    "\xF4\x8F\xBF\xBF",
                                                    std::string(1, '\0'),
                                                    "\x7F"};
    std::string text;
    for (std::size_t i = random() % (length + 1); i > 0; --i) text += pieces[random() % pieces.size()];
    return text;
}

/// The message of the nullm::error that `act` throws; empty if it throws none.
template <class Act>
std::string complaint_of(Act act) {
    try {
        act();
    } catch (const nullm::error& e) {
        return e.what();
    }
    return "";
}

inline bool mentions(const std::string& text, std::initializer_list<const char*> parts) {
    for (const char* part : parts) {
        if (text.find(part) == std::string::npos) return false;
    }
    return true;
}

}  // namespace text_test
