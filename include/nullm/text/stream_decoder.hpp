#pragma once
// Tokens to text as they come, never cutting a UTF-8 sequence.

#include <nullm/core/abi.hpp>
#include <nullm/core/token.hpp>
#include <nullm/text/tokenizer.hpp>
#include <nullm/core/utf8.hpp>

#include <string>
#include <string_view>

namespace nullm::inline NULLM_ABI {

/// Joins the bytes of tokens into valid UTF-8: each maximal ill-formed subpart becomes one U+FFFD, as
/// Python's bytes.decode("utf-8", errors="replace") does. At most three bytes are held back. The tokenizer
/// must outlive it.
class stream_decoder {
 public:
    explicit stream_decoder(const tokenizer& source) : source_(&source) {}

    /// The text that is certain once `id` is known; may be empty. Throws `error` on an id outside the
    /// vocabulary.
    std::string push(token_id id) { return push_bytes(source_->piece(id)); }

    /// As `push`, for bytes from elsewhere.
    std::string push_bytes(std::string_view bytes) {
        held_ += bytes;
        std::string text;
        std::size_t at = 0;
        while (at < held_.size()) {
            const utf8_sequence next = read_utf8(held_, at);
            if (next.status == utf8_status::truncated) break;
            append_utf8(text, next.value);
            at += next.length;
        }
        held_.erase(0, at);
        return text;
    }

    /// The end of the stream: U+FFFD if a sequence was left open, else nothing. Ready for another stream.
    std::string finish() {
        std::string text;
        if (!held_.empty()) append_utf8(text, 0xFFFD);
        held_.clear();
        return text;
    }

 private:
    const tokenizer* source_;
    std::string held_;
};

}  // namespace nullm::inline NULLM_ABI
