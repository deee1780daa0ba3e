#pragma once
// Text to tokens as it comes: the ids of encode() of the whole, whatever the chunks.

#include <nullm/core/abi.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/token.hpp>
#include <nullm/text/merge_table.hpp>
#include <nullm/text/pre_tokenizer.hpp>
#include <nullm/text/tokenizer.hpp>
#include <nullm/text/unicode.hpp>
#include <nullm/core/utf8.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// Gives out a token as soon as no continuation can change it. Held back: a cut UTF-8 sequence, what may
/// become a special token, and the last pre-token until the text behind it has decided its end (a run of
/// white space is one piece until then, since `\s*[\r\n]+` may still claim all of it). The total cost is
/// linear in the text, also for long pre-tokens pushed byte by byte. The tokenizer must outlive the encoder.
class stream_encoder {
 public:
    /// Bytes that a pre-token may have, or that may be held back for one. A text without boundaries would
    /// otherwise grow the buffer for ever; to cut it would give other ids than encode(), so it is refused
    /// instead.
    static constexpr std::size_t default_max_pre_token = std::size_t{1} << 20;

    explicit stream_encoder(const tokenizer& source, special_tokens mode = special_tokens::ignore,
                            std::size_t max_pre_token = default_max_pre_token)
        : source_(&source), mode_(mode), max_pre_token_(max_pre_token) {}

    /// The tokens that became certain. Chunks may cut anything. Throws `error` on malformed UTF-8, with its
    /// offset in the stream, and on a pre-token over the limit; after an error only `reset` may be called.
    std::vector<token_id> push(std::string_view bytes) {
        text_ += bytes;
        const utf8_prefix checked = check_utf8(text_, valid_);
        valid_ = checked.length;
        if (checked.status == utf8_status::invalid) refuse();
        return drain(false);
    }

    /// The end of the stream: the rest of the tokens. Throws `error` if a UTF-8 sequence is left open, or as
    /// `push`. Ready for another stream.
    std::vector<token_id> finish() {
        if (valid_ != text_.size()) refuse();
        std::vector<token_id> ids = drain(true);
        reset();
        return ids;
    }

    /// Forgets all that was pushed.
    void reset() {
        text_.clear();
        valid_ = searched_ = scanned_ = given_ = 0;
        in_run_ = false;
    }

    /// Bytes pushed for which no token has been given out yet.
    std::size_t pending() const noexcept { return text_.size(); }

 private:
    const tokenizer* source_;
    special_tokens mode_;
    std::size_t max_pre_token_;
    merge_table::state work_;
    std::string text_;          // begins where the first unsettled pre-token does
    std::size_t valid_ = 0;     // text_[0, valid_) is whole UTF-8 sequences
    std::size_t searched_ = 0;  // no special token starts in text_[0, searched_)
    std::size_t given_ = 0;     // bytes of the stream before text_
    // The first pre-token is a run of run_ characters up to scanned_ at least, open at its end.
    bool in_run_ = false;
    char_class run_ = char_class::other;
    std::size_t scanned_ = 0;

    std::vector<token_id> drain(bool at_end) {
        std::vector<token_id> ids;
        const std::string_view text = std::string_view(text_).substr(0, valid_);
        std::size_t begin = 0;
        for (;;) {
            const auto special = source_->matcher(mode_).find(text, searched_, source_->tokens(), !at_end);
            const bool closed = special.length != 0 || at_end;
            begin = split(text.substr(0, special.at), begin, closed, ids);
            searched_ = special.at;
            if (special.length == 0) break;
            ids.push_back(special.id);
            begin = searched_ = special.at + special.length;
        }
        text_.erase(0, begin);
        given_ += begin;
        valid_ -= begin;
        searched_ -= begin;
        scanned_ -= in_run_ ? begin : scanned_;
        return ids;
    }

    /// Encodes the pre-tokens of piece[begin..], all of them if the piece ends there; returns where it
    /// stopped.
    std::size_t split(std::string_view piece, std::size_t begin, bool closed, std::vector<token_id>& ids) {
        while (begin < piece.size()) {
            if (!closed && run_goes_on(piece)) {
                limit(begin, piece.size());
                return begin;
            }
            const pre_token found = source_->splitter().match(piece, begin);
            limit(begin, closed || found.settled ? found.end : piece.size());
            in_run_ = !closed && !found.settled && found.in_run;
            if (!closed && !found.settled) {
                run_ = found.run;
                scanned_ = piece.size();
                return begin;
            }
            source_->append_pre_token(piece.substr(begin, found.end - begin), work_, ids);
            begin = found.end;
        }
        in_run_ = false;
        return begin;
    }

    bool run_goes_on(std::string_view piece) {
        if (!in_run_) return false;
        while (scanned_ < piece.size()) {
            const utf8_sequence next = read_utf8(piece, scanned_);
            const char_class kind = classify(next.value);
            if (!source_->splitter().continues(run_, kind)) return false;
            scanned_ += next.length;
        }
        return true;
    }

    void limit(std::size_t begin, std::size_t end) const {
        if (end - begin > max_pre_token_) {
            throw error(
                "stream_encoder", "a boundary within " + std::to_string(max_pre_token_) + " bytes",
                "none in " + std::to_string(end - begin) + " from byte " + std::to_string(given_ + begin));
        }
    }

    [[noreturn]] void refuse() const {
        throw error("stream_encoder", "valid UTF-8",
                    "a malformed sequence at byte " + std::to_string(given_ + valid_));
    }
};

}  // namespace nullm::inline NULLM_ABI
