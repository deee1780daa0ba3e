#pragma once
// The prompts that writers continue: a folder of texts.

#include <nullm/core/error.hpp>
#include <nullm/model/checkpoint.hpp>
#include <nullm/text/chat_template.hpp>
#include <nullm/text/tokenizer.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace decode {

inline std::string read_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw nullm::error(path.string(), "a readable file", "none");
    return {std::istreambuf_iterator<char>(file), {}};
}

struct prompt {
    std::string name;
    std::vector<nullm::token_id> tokens;
};

/// Every .txt of the folder, by name, folders inside it left out. chat_*.txt is one message of a user to the
/// model's chat template, its last line break dropped; any other text is continued as it stands.
inline std::vector<prompt> load_prompts(const std::filesystem::path& folder, const nullm::checkpoint& file,
                                        const nullm::tokenizer& tokens) {
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        if (entry.path().extension() == ".txt") paths.push_back(entry.path());
    }
    std::sort(paths.begin(), paths.end());
    if (paths.empty()) throw nullm::error(folder.string(), "prompts in files named *.txt", "none");
    std::vector<prompt> prompts;
    for (const auto& path : paths) {
        prompt next{path.stem().string(), {}};
        std::string text = read_file(path);
        if (next.name.starts_with("chat_")) {
            const auto source = file.chat_template();
            if (!source) throw nullm::error(path.string(), "a model with a chat template", "none");
            if (text.ends_with('\n')) text.pop_back();
            const nullm::chat_message message{"user", std::move(text)};
            next.tokens = nullm::chat_template(*source).render(tokens, std::span(&message, 1));
        } else {
            next.tokens = tokens.encode(text);
            if (tokens.add_bos() && tokens.bos()) next.tokens.insert(next.tokens.begin(), *tokens.bos());
        }
        prompts.push_back(std::move(next));
    }
    return prompts;
}

/// Writes each prompt as one text, control tokens spelled out, for a program that encodes them with those
/// parsed.
inline void write_prompts(const std::filesystem::path& folder, const std::vector<prompt>& prompts,
                          const nullm::tokenizer& tokens) {
    std::filesystem::create_directories(folder);
    for (const prompt& p : prompts) {
        const auto path = folder / (p.name + ".txt");
        std::ofstream out(path, std::ios::binary);
        if (!(out << tokens.decode(p.tokens)).flush())
            throw nullm::error(path.string(), "a writable file", "none");
    }
}

}  // namespace decode
