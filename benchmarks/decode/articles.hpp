#pragma once
// A corpus as documents: the articles of WikiText, or pieces of equal length where a text has none.

#include "prompts.hpp"

#include <nullm/core/error.hpp>
#include <nullm/core/token.hpp>
#include <nullm/text/tokenizer.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace decode {

struct article {
    std::string title;
    std::vector<nullm::token_id> tokens;
};

/// " = Title = ", and neither a section (" = = Section = = ") nor anything else.
inline bool is_title(std::string_view line) {
    return line.size() > 6 && line.starts_with(" = ") && line[3] != '=' && line.ends_with(" = ") &&
           line[line.size() - 4] != '=';
}

/// Splits at lines that are titles; line feeds alone end a line (carriage returns are dropped). In WikiText
/// an equation that stands on a line of its own looks like a title: a piece of fewer than `shortest` tokens
/// belongs to the article before it. A text without two titles is cut every 4096 tokens. Throws nullm::error
/// for a text without a token.
inline std::vector<article> read_articles(const std::string& path, const nullm::tokenizer& tokens,
                                          std::size_t shortest = 512) {
    std::string text = read_file(path);
    std::erase(text, '\r');
    std::vector<article> found;
    const auto add = [&](std::string_view title, std::string_view body) {
        const auto ids = tokens.encode(body);
        if (!found.empty() && (ids.size() < shortest || found.back().tokens.size() < shortest)) {
            auto& before = found.back().tokens;
            if (before.size() < shortest) found.back().title = title;  // what stands before the first title
            before.insert(before.end(), ids.begin(), ids.end());
        } else {
            found.push_back({std::string(title), ids});
        }
    };
    std::size_t begin = 0;
    std::string_view title;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        const std::string_view line = std::string_view(text).substr(at, end - at);
        if (is_title(line)) {
            if (at > begin) add(title, std::string_view(text).substr(begin, at - begin));
            begin = at;
            title = line.substr(3, line.size() - 6);
        }
        at = end + 1;
    }
    add(title, std::string_view(text).substr(begin));

    if (found.size() < 2) {
        constexpr std::size_t piece = 4096;
        const std::vector<nullm::token_id> all = std::move(found.front().tokens);
        found.clear();
        for (std::size_t at = 0; at < all.size(); at += piece) {
            const auto part = std::span(all).subspan(at, std::min(piece, all.size() - at));
            found.push_back({"piece " + std::to_string(found.size() + 1), {part.begin(), part.end()}});
        }
    }
    if (found.empty()) throw nullm::error(path, "a text of one token or more", "none");
    return found;
}

}  // namespace decode
