#pragma once
// What the reference model is asked in the tests: the fixtures' prompts, a chat, and six texts of 300 tokens
// and more.

#include <nullm/model/checkpoint.hpp>
#include <nullm/text/chat_template.hpp>
#include <nullm/text/tokenizer.hpp>

#include <support/catch.hpp>
#include <support/golden.hpp>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <vector>

namespace smollm2 {

using tokens_of = std::vector<nullm::token_id>;

struct named_prompt {
    std::string name;
    tokens_of tokens;
    bool grounded;  // the answer repeats the prompt, so that drafts are often right
};

inline std::vector<named_prompt> all_prompts(const nullm::checkpoint& file, const nullm::tokenizer& words) {
    std::vector<named_prompt> prompts;
    for (const auto& item : golden::read_json("smollm2_reference.json").at("cases")) {
        prompts.push_back({item.at("prompt"), words.encode(item.at("prompt").get<std::string>()), false});
    }
    const nullm::chat_message question{"user", "What is the capital of France?"};
    prompts.push_back(
        {"chat", nullm::chat_template(*file.chat_template()).render(words, std::span(&question, 1)), false});
    for (const char* name : {"summary", "rewriting", "code", "more/list", "more/dialogue", "article"}) {
        std::ifstream text(std::filesystem::path(NULLM_PROMPTS_DIR) / (std::string(name) + ".txt"));
        REQUIRE(text);
        const std::string content(std::istreambuf_iterator<char>(text), {});
        const std::string which = name;
        prompts.push_back(
            {which, words.encode(content), which == "rewriting" || which == "code" || which == "more/list"});
        CHECK(prompts.back().tokens.size() >= 300);
    }
    return prompts;
}

/// The texts one after the other, again and again, up to `length` tokens.
inline tokens_of long_text(const nullm::checkpoint& file, const nullm::tokenizer& words, std::size_t length) {
    const auto prompts = all_prompts(file, words);
    tokens_of text;
    for (std::size_t i = 0; text.size() < length; ++i) {
        const auto& next = prompts[prompts.size() - 1 - i % 6].tokens;
        text.insert(text.end(), next.begin(), next.end());
    }
    text.resize(length);
    return text;
}

}  // namespace smollm2
