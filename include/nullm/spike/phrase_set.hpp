#pragma once
// Words and phrases that a user names, as the tokens that spell them.

#include <nullm/core/error.hpp>
#include <nullm/core/token.hpp>
#include <nullm/spike/token_window.hpp>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// Finds where one of a set of token sequences ends. A word is spelled as in running text, most often with
/// its leading space: tokenizer::encode(" photosynthesis"). Immutable; copies share one table.
class phrase_set {
 public:
    static constexpr std::size_t longest = token_window::length + 1;  // tokens of a phrase

    phrase_set() = default;

    /// Each phrase of 1 to 9 tokens, each token below `vocabulary`; else nullm::error, whose first words are
    /// `where`.
    phrase_set(std::vector<std::vector<token_id>> phrases, std::size_t vocabulary, std::string_view where) {
        for (std::vector<token_id>& phrase : phrases) {
            if (phrase.empty() || phrase.size() > longest) {
                throw error(where, "words of 1 to " + std::to_string(longest) + " tokens",
                            "one of " + std::to_string(phrase.size()));
            }
            for (const token_id token : phrase) {
                if (token < 0 || static_cast<std::size_t>(token) >= vocabulary) {
                    throw error(where, "token ids below " + std::to_string(vocabulary),
                                std::to_string(token));
                }
            }
            std::reverse(phrase.begin(), phrase.end());
        }
        std::sort(phrases.begin(), phrases.end());
        if (!phrases.empty()) backwards_ = std::make_shared<const table>(std::move(phrases));
    }

    bool empty() const { return backwards_ == nullptr; }

    /// Whether a phrase ends with `token` after the tokens `before` it. O(log phrases) where none ends with
    /// the token.
    bool ends_at(const token_window& before, token_id token) const {
        if (empty()) return false;
        auto phrase =
            std::lower_bound(backwards_->begin(), backwards_->end(), token,
                             [](const std::vector<token_id>& a, token_id b) { return a.front() < b; });
        for (; phrase != backwards_->end() && phrase->front() == token; ++phrase) {
            if (std::equal(phrase->begin() + 1, phrase->end(), before.tokens.begin())) return true;
        }
        return false;
    }

 private:
    using table = std::vector<std::vector<token_id>>;
    std::shared_ptr<const table> backwards_;  // each phrase from its last token on, sorted
};

}  // namespace nullm::inline NULLM_ABI
