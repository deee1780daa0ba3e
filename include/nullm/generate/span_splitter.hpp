#pragma once
// Finds where the spans of a text end, token by token, so that a reader of spans needs to know no text.

#include <nullm/core/token.hpp>
#include <nullm/generate/sentence_boundary.hpp>
#include <nullm/text/tokenizer.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace nullm::inline NULLM_ABI {

enum class span_kind : std::uint8_t { line, sentence };

/// Where a token about to be pushed ends a span: the span before it, or the one that it is the last token of.
struct span_cut {
    bool before = false;
    bool after = false;
    friend bool operator==(const span_cut&, const span_cut&) = default;
};

/// A line ends with the token that holds its newline; a sentence as sentence_boundary says, before the first
/// token of the next one where that token decides it. A control token (a turn's frame) begins a span of its
/// own, up to the next newline. A text's last span has no end: whoever pushes the tokens ends it.
///     const span_cut cut = splitter.push(state, token);
///     if (cut.before && reader.open_span_length() > 0) reader.end_span();
///     reader.push(token);
///     if (cut.after) reader.end_span();
/// The tokenizer must outlive the splitter. O(bytes of the token).
class span_splitter {
 public:
    struct state {
        sentence_boundary::state sentence;
        bool empty = true;   // the span has no token yet
        bool frame = false;  // it began with a control token
        friend bool operator==(const state&, const state&) = default;
    };

    span_splitter(const tokenizer& words, span_kind kind) : words_(&words), kind_(kind) {}

    state initial() const { return {}; }

    /// Throws nullm::error on an id outside the vocabulary.
    span_cut push(state& s, token_id token) const {
        if (words_->is_control(token)) {
            const bool before = !s.empty && !s.frame;
            s = {.sentence = {}, .empty = false, .frame = true};
            return {.before = before, .after = false};
        }
        const std::string_view piece = words_->piece(token);
        const bool newline = piece.find('\n') != piece.npos;
        span_cut cut;
        if (kind_ == span_kind::sentence && !s.frame) {
            cut = sentence_cut(s.sentence, piece);
        } else {
            cut.after = newline;
        }
        cut.before = cut.before && !s.empty;
        if (cut.after && s.frame) s.sentence = {};
        s.empty = cut.after;
        s.frame = s.frame && !cut.after;
        return cut;
    }

 private:
    static span_cut sentence_cut(sentence_boundary::state& s, std::string_view piece) {
        using end = sentence_boundary::end;
        span_cut cut;
        const std::size_t first = piece.find_first_not_of(" \t\n\v\f\r");
        for (std::size_t i = 0; i < piece.size(); ++i) {
            const end found = sentence_boundary::push(s, piece[i]);
            // White space in front of a sentence goes with its first token.
            if (found == end::before && i <= first) cut.before = true;
            if (found == end::after || (found == end::before && i > first)) cut.after = true;
        }
        return cut;
    }

    const tokenizer* words_;
    span_kind kind_;
};

/// The tokens that are not text (turns' frames, the beginning of a text), ascending: what a reader that
/// discards should never drop, since a chat template without one of them says something else.
inline std::vector<token_id> control_tokens(const tokenizer& words) {
    std::vector<token_id> found;
    for (token_id id = 0; static_cast<std::size_t>(id) < words.size(); ++id) {
        if (words.is_control(id)) found.push_back(id);
    }
    return found;
}

}  // namespace nullm::inline NULLM_ABI
