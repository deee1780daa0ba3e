#pragma once
// Finds the tokens that are looked for in raw text, before pre-tokenizing: the leftmost, and the longest
// there.

#include <nullm/core/abi.hpp>
#include <nullm/core/token.hpp>
#include <nullm/text/token_index.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// A set of tokens matched literally (Hugging Face: added tokens, Aho-Corasick with leftmost-longest
/// matches).
class special_matcher {
 public:
    /// Where the search stopped.
    struct hit {
        std::size_t at = 0;      ///< start of the token; text.size() if there is none
        std::size_t length = 0;  ///< 0: none found
        token_id id = token_index::none;
    };

    special_matcher() = default;
    /// `ids` name distinct non-empty tokens.
    special_matcher(const std::vector<token_id>& ids, const token_bytes& tokens) : index_(ids.size()) {
        for (const token_id id : ids) {
            index_.insert(id, tokens);
            auto& place = buckets_[static_cast<std::uint8_t>(tokens[id].front())];
            place.ids.push_back(id);
            place.lengths.push_back(tokens[id].size());
            longest_ = std::max(longest_, tokens[id].size());
        }
        for (auto& place : buckets_) {
            std::sort(place.lengths.begin(), place.lengths.end(), std::greater<>{});
            place.lengths.erase(std::unique(place.lengths.begin(), place.lengths.end()), place.lengths.end());
        }
    }

    /// Searches text[from..]. With `more_may_follow`, a place where the rest of the text begins a token that
    /// does not end in it stops the search as well: `at` is that place and `length` 0.
    hit find(std::string_view text, std::size_t from, const token_bytes& tokens, bool more_may_follow) const {
        if (longest_ == 0) return {text.size()};
        for (std::size_t at = from; at < text.size(); ++at) {
            const auto& place = buckets_[static_cast<std::uint8_t>(text[at])];
            if (place.lengths.empty()) continue;
            const std::string_view rest = text.substr(at);
            if (more_may_follow && rest.size() < longest_) {
                for (const token_id id : place.ids) {
                    if (tokens[id].size() > rest.size() && tokens[id].starts_with(rest)) return {at};
                }
            }
            for (const std::size_t length : place.lengths) {
                if (length > rest.size()) continue;
                const token_id id = index_.find(rest.substr(0, length), tokens);
                if (id != token_index::none) return {at, length, id};
            }
        }
        return {text.size()};
    }

 private:
    struct bucket {
        std::vector<token_id> ids;
        std::vector<std::size_t> lengths;  // distinct, longest first
    };
    token_index index_;
    std::array<bucket, 256> buckets_{};  // by first byte
    std::size_t longest_ = 0;
};

}  // namespace nullm::inline NULLM_ABI
