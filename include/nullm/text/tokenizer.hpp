#pragma once
// Byte-level BPE: text to tokens and back, equal to Hugging Face's tokenizers on the same vocabulary.

#include <nullm/core/abi.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/token.hpp>
#include <nullm/text/bpe_vocabulary.hpp>
#include <nullm/text/merge_table.hpp>
#include <nullm/text/pre_tokenizer.hpp>
#include <nullm/text/special_matcher.hpp>
#include <nullm/text/token_index.hpp>
#include <nullm/core/utf8.hpp>
#include <nullm/text/vocabulary_check.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// Whether control tokens ("<|im_end|>") spelled out in a text become these tokens. What a user wrote is
/// encoded with `ignore`, so that it cannot close a turn. User-defined tokens are ordinary vocabulary: found
/// in either case.
enum class special_tokens : std::uint8_t { ignore, parse };

/// Immutable after construction; any number of threads may share one. Text is not normalised: models whose
/// tokenizer.json asks for NFC (Qwen) get the reference's ids for text in NFC.
class tokenizer {
 public:
    /// Takes a vocabulary apart. Throws `error` if it contradicts itself: see `checked_vocabulary` and
    /// `pre_tokenizer`. About 30 ms for 49,152 tokens.
    explicit tokenizer(const bpe_vocabulary& source) : tokenizer(checked_vocabulary(source), source) {}

    /// Text to tokens; `bos` is not added. Throws `error` with the byte offset if `text` is not valid UTF-8.
    /// A byte that has no token of its own (SmolLM2 lacks 21, ten of which occur in UTF-8) vanishes before
    /// merging, as in the reference; `first_lost_byte` tells. O(n log n) in the longest pre-token, linear in
    /// the text.
    std::vector<token_id> encode(std::string_view text, special_tokens mode = special_tokens::ignore) const {
        if (const utf8_prefix valid = check_utf8(text); valid.status != utf8_status::complete) {
            throw error("tokenizer", "valid UTF-8",
                        "a malformed sequence at byte " + std::to_string(valid.length));
        }
        std::vector<token_id> ids;
        ids.reserve(text.size() / 4 + 1);
        merge_table::state work;
        const special_matcher& specials = matcher(mode);
        for (std::size_t at = 0; at < text.size();) {
            const auto special = specials.find(text, at, tokens_, false);
            const std::string_view piece = text.substr(0, special.at);
            while (at < piece.size()) {
                const std::size_t end = splitter_.match(piece, at).end;
                append_pre_token(piece.substr(at, end - at), work, ids);
                at = end;
            }
            if (special.length != 0) ids.push_back(special.id);
            at += special.length;
        }
        return ids;
    }

    /// The bytes of the tokens, control tokens spelled out. They need not be whole UTF-8 sequences: see
    /// `stream_decoder`. Throws `error` on an id outside the vocabulary.
    std::string decode(std::span<const token_id> ids) const {
        std::string text;
        for (const token_id id : ids) text += piece(id);
        return text;
    }

    /// The bytes of one token; empty for an unused one. Valid as long as the tokenizer. Throws `error` on an
    /// id outside the vocabulary.
    std::string_view piece(token_id id) const {
        check(id);
        return tokens_[id];
    }

    /// Control (or unknown) tokens steer; they are not text. Throws `error` on an id outside the vocabulary.
    bool is_control(token_id id) const {
        check(id);
        return kinds_[static_cast<std::size_t>(id)] == token_kind::control ||
               kinds_[static_cast<std::size_t>(id)] == token_kind::unknown;
    }

    /// The token with exactly these bytes; a special token, if one is spelled like that.
    std::optional<token_id> find(std::string_view bytes) const {
        token_id id = specials_.find(bytes, tokens_);
        if (id == token_index::none) id = words_.find(bytes, tokens_);
        return id == token_index::none ? std::nullopt : std::optional(id);
    }

    /// Number of tokens.
    std::size_t size() const noexcept { return tokens_.size(); }
    std::optional<token_id> bos() const noexcept { return bos_; }
    std::optional<token_id> eos() const noexcept { return eos_; }
    std::optional<token_id> eot() const noexcept { return eot_; }
    /// Whether the model expects `bos` in front of a text. `encode` leaves that to the caller.
    bool add_bos() const noexcept { return add_bos_; }

    /// The tokens that end an answer: eos, eot, and those of <|im_end|>, <|eot_id|>, <|endoftext|>, </s> that
    /// are control tokens here. Ascending.
    std::vector<token_id> stop_tokens() const {
        std::vector<token_id> ids;
        for (const auto& id : {eos_, eot_}) {
            if (id) ids.push_back(*id);
        }
        for (const std::string_view name : {"<|im_end|>", "<|eot_id|>", "<|endoftext|>", "</s>"}) {
            if (const token_id id = specials_.find(name, tokens_);
                id != token_index::none && is_control(id)) {
                ids.push_back(id);
            }
        }
        std::sort(ids.begin(), ids.end());
        ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
        return ids;
    }

    /// Offset of the first byte of `text` that no token can stand for (then decode(encode(text)) is not
    /// `text`).
    std::optional<std::size_t> first_lost_byte(std::string_view text) const noexcept {
        for (std::size_t at = 0; at < text.size(); ++at) {
            if (bytes_[static_cast<std::uint8_t>(text[at])] == token_index::none) return at;
        }
        return std::nullopt;
    }

    // The parts `encode` is made of, for who encodes piecewise (`stream_encoder`).
    const pre_tokenizer& splitter() const noexcept { return splitter_; }
    const special_matcher& matcher(special_tokens mode) const noexcept {
        return mode == special_tokens::parse ? all_specials_ : user_defined_;
    }
    const token_bytes& tokens() const noexcept { return tokens_; }

    /// Appends the ids of one pre-token of at most 2^32 - 1 bytes (`error` if longer).
    void append_pre_token(std::string_view word, merge_table::state& work, std::vector<token_id>& ids) const {
        if (const token_id id = words_.find(word, tokens_); id != token_index::none) {
            if (splitter_.whole_tokens_first() || merges_to_itself_[static_cast<std::size_t>(id)]) {
                ids.push_back(id);
                return;
            }
        }
        merge(word, work);
        ids.insert(ids.end(), work.symbols.begin(), work.symbols.end());
    }

 private:
    pre_tokenizer splitter_;
    token_bytes tokens_;
    std::vector<token_kind> kinds_;
    std::array<token_id, 256> bytes_{};  // the token of each byte, or none
    token_index words_, specials_;       // normal tokens; control, unknown and user-defined ones
    merge_table merges_;
    /// Whether merging a normal token's bytes gives the token: then one look-up does. Never so for long
    /// tokens: a file's one huge token must not cost a multiple of its size in buffers.
    static constexpr std::size_t longest_direct = 1024;
    std::vector<bool> merges_to_itself_;
    special_matcher user_defined_, all_specials_;
    std::optional<token_id> bos_, eos_, eot_;
    bool add_bos_;

    tokenizer(checked_vocabulary&& vocabulary, const bpe_vocabulary& source)
        : splitter_(std::string_view(source.pre_tokenizer)),
          tokens_(std::move(vocabulary.tokens)),
          kinds_(std::move(vocabulary.kinds)),
          words_(std::move(vocabulary.words)),
          specials_(std::move(vocabulary.specials)),
          merges_(std::move(vocabulary.merges)),
          merges_to_itself_(tokens_.size()),
          bos_(source.bos),
          eos_(source.eos),
          eot_(source.eot),
          add_bos_(source.add_bos) {
        for (std::size_t byte = 0; byte < bytes_.size(); ++byte) {
            const char c = static_cast<char>(byte);
            bytes_[byte] = words_.find({&c, 1}, tokens_);
        }
        std::vector<token_id> user_defined, all;
        merge_table::state work;
        for (token_id id = 0; id < static_cast<token_id>(tokens_.size()); ++id) {
            const auto i = static_cast<std::size_t>(id);
            if (kinds_[i] == token_kind::normal) {
                if (tokens_[id].size() > longest_direct) continue;
                merge(tokens_[id], work);
                merges_to_itself_[i] = work.symbols.size() == 1 && work.symbols[0] == id;
            } else if (kinds_[i] != token_kind::unused && kinds_[i] != token_kind::byte) {
                all.push_back(id);
                if (kinds_[i] == token_kind::user_defined) user_defined.push_back(id);
            }
        }
        user_defined_ = special_matcher(user_defined, tokens_);
        all_specials_ = special_matcher(all, tokens_);
    }

    void check(token_id id) const {
        if (id < 0 || static_cast<std::size_t>(id) >= tokens_.size()) {
            throw error("tokenizer", "a token id below " + std::to_string(tokens_.size()),
                        std::to_string(id));
        }
    }

    void merge(std::string_view word, merge_table::state& work) const {
        if (word.size() >= merge_table::no_merge) {
            throw error("tokenizer", "a pre-token below 4 GiB", std::to_string(word.size()) + " bytes");
        }
        work.symbols.clear();
        for (const char c : word) {
            const token_id id = bytes_[static_cast<std::uint8_t>(c)];
            if (id != token_index::none) work.symbols.push_back(id);
        }
        merges_.apply(work);
    }
};

}  // namespace nullm::inline NULLM_ABI
