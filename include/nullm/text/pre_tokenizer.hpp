#pragma once
// Splits text into pre-tokens, the pieces that byte pair merging never crosses, without a regex engine.

#include <nullm/core/abi.hpp>
#include <nullm/core/error.hpp>
#include <nullm/text/unicode.hpp>
#include <nullm/core/utf8.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace nullm::inline NULLM_ABI {

/// The supported splitters. The patterns are those of the models' tokenizer.json (Hugging Face tokenizers
/// 0.23, Oniguruma: Unicode \s and Unicode case folding, so `'` + U+017F counts as `'s` in the last two).
///
/// gpt2          's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
/// gpt2_digits   every \p{Nd} alone; what lies between them by the pattern of gpt2
/// gpt2_numbers  every \p{N} alone; what lies between them by the pattern of gpt2
/// llama3        (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*
///               |\s*[\r\n]+|\s+(?!\S)|\s+
/// qwen2         as llama3 with \p{N} for \p{N}{1,3}
enum class pre_tokenizer_rule : std::uint8_t { gpt2, gpt2_digits, gpt2_numbers, llama3, qwen2 };

/// One pre-token found by `pre_tokenizer::match`.
struct pre_token {
    std::size_t end = 0;   ///< one past its last byte, if the text ends where it was said to
    bool settled = false;  ///< the end of the text was not looked at: no continuation can change `end`
    /// If not settled and `in_run`: matching stopped inside a run of this class (`space` includes line ends).
    /// As long as only such characters follow, the pre-token stays unsettled: no need to match again.
    char_class run = char_class::other;
    bool in_run = false;
};

namespace detail {

/// Walks over valid UTF-8 and remembers whether it was asked for a character past the end.
struct text_cursor {
    std::string_view text;
    std::size_t at;
    bool saw_end = false;
    bool unsure_start = false;  // the end came before it was clear whether a contraction starts here

    struct character {
        char32_t code;
        char_class kind;
        std::uint32_t length;  // 0: the end of the text
    };

    constexpr character peek(std::size_t ahead = 0) {
        if (at + ahead >= text.size()) {
            saw_end = true;
            return {0, char_class::other, 0};
        }
        const utf8_sequence next = read_utf8(text, at + ahead);
        return {next.value, classify(next.value), next.length};
    }
    template <class Belongs>
    constexpr void skip(Belongs belongs) {
        for (character next = peek(); next.length != 0 && belongs(next.kind); next = peek())
            at += next.length;
    }
};

/// Length in bytes of the contraction that starts at the cursor's apostrophe, or 0.
template <bool fold_case>
constexpr std::size_t contraction_length(text_cursor& cursor) {
    const auto letter = [&](std::size_t ahead, std::uint32_t& length) -> char32_t {
        const auto next = cursor.peek(ahead);
        length = next.length;
        if constexpr (fold_case) {
            if (next.code == 0x17F) return U's';  // LATIN SMALL LETTER LONG S folds to s
            if (next.code >= U'A' && next.code <= U'Z') return next.code + (U'a' - U'A');
        }
        return next.code;
    };
    std::uint32_t length = 0;
    const char32_t first = letter(1, length);
    if (first == U's' || first == U't' || first == U'm' || first == U'd') return 1 + length;
    if (first != U'r' && first != U'v' && first != U'l') return 0;
    const char32_t second = letter(2, length);
    return second == (first == U'l' ? U'l' : U'e') ? 3 : 0;
}

/// Moves the cursor behind a contraction, if there is one.
template <bool fold_case>
constexpr bool skip_contraction(text_cursor& cursor) {
    if (cursor.text[cursor.at] != '\'') return false;
    const std::size_t length = contraction_length<fold_case>(cursor);
    cursor.unsure_start = cursor.saw_end;
    cursor.at += length;
    return length != 0;
}

}  // namespace detail

/// A splitter. Stateless; every byte of a text belongs to exactly one pre-token.
class pre_tokenizer {
 public:
    pre_tokenizer_rule rule;

    explicit constexpr pre_tokenizer(pre_tokenizer_rule chosen) : rule(chosen) {}

    /// By GGUF's name, `tokenizer.ggml.pre`: "gpt-2", "smollm", "llama-bpe" or "qwen2". Throws `error` on any
    /// other.
    ///
    /// "smollm" is gpt2_digits, the reading that all references of SmolLM2 share except at numbers that are
    /// not digits (U+00BD, U+00B2): SmolLM2's tokenizer.json and llama.cpp put these alone too
    /// (gpt2_numbers), while transformers 5 on a GGUF file, whose ids the tests hold, applies the plain
    /// pattern of gpt2.
    explicit pre_tokenizer(std::string_view name) : rule(from_name(name)) {}

    /// Whether a pre-token that is a token as a whole is that token, whatever the merges say
    /// (tokenizer.json's `ignore_merges`, which GGUF does not carry; llama.cpp, too, ties it to the name).
    constexpr bool whole_tokens_first() const noexcept { return rule == pre_tokenizer_rule::llama3; }

    /// The pre-token of `text` (valid UTF-8) that starts at `begin` < text.size(), itself a pre-token's start
    /// or 0. Linear in the characters looked at: those of the pre-token and of the white space behind it.
    constexpr pre_token match(std::string_view text, std::size_t begin) const {
        detail::text_cursor cursor{text, begin};
        switch (rule) {
            case pre_tokenizer_rule::gpt2:
                return match_gpt2<alone::none>(cursor);
            case pre_tokenizer_rule::gpt2_digits:
                return match_gpt2<alone::digits>(cursor);
            case pre_tokenizer_rule::gpt2_numbers:
                return match_gpt2<alone::numbers>(cursor);
            case pre_tokenizer_rule::llama3:
                return match_llama3<3>(cursor);
            case pre_tokenizer_rule::qwen2:
                return match_llama3<1>(cursor);
        }
        return {};
    }

    /// Whether a character of class `next` prolongs a run of class `run`.
    constexpr bool continues(char_class run, char_class next) const noexcept {
        if (run == char_class::space) return is_space(next);
        return next == run || (rule == pre_tokenizer_rule::gpt2 && is_number(run) && is_number(next));
    }

 private:
    /// The characters that are pieces of their own before the pattern of gpt2 is applied.
    enum class alone { none, digits, numbers };

    template <alone pieces>
    static constexpr bool stands_alone(char_class c) {
        if (pieces == alone::numbers) return is_number(c);
        return pieces == alone::digits && c == char_class::digit;
    }

    static pre_tokenizer_rule from_name(std::string_view name) {
        if (name == "gpt-2") return pre_tokenizer_rule::gpt2;
        if (name == "smollm") return pre_tokenizer_rule::gpt2_digits;
        if (name == "llama-bpe") return pre_tokenizer_rule::llama3;
        if (name == "qwen2") return pre_tokenizer_rule::qwen2;
        bool printable = name.size() <= 64;  // the name comes from a file
        for (const char c : name) printable = printable && c >= ' ' && c <= '~';
        throw error("tokenizer", "one of the pre-tokenizers gpt-2, smollm, llama-bpe, qwen2",
                    printable ? "\"" + std::string(name) + "\"" : "no printable name");
    }

    static constexpr pre_token fixed(const detail::text_cursor& cursor) {
        return {cursor.at, !cursor.saw_end};
    }
    static constexpr pre_token run_of(const detail::text_cursor& cursor, char_class kind) {
        const bool stopped_inside = cursor.at == cursor.text.size() && !cursor.unsure_start;
        return {cursor.at, !cursor.saw_end, kind, stopped_inside};
    }

    /// Skips the characters of one class.
    static constexpr pre_token skip_run(detail::text_cursor& cursor, char_class kind) {
        cursor.skip([kind](char_class next) { return next == kind; });
        return run_of(cursor, kind);
    }

    /// \s+(?!\S)|\s+, and before them \s*[\r\n]+ if asked for. A run that a piece's end follows is taken
    /// whole.
    template <bool lines_first, alone pieces>
    static constexpr pre_token match_space(detail::text_cursor& cursor) {
        const std::size_t begin = cursor.at;
        std::size_t last = begin, after_line = begin;
        for (auto next = cursor.peek(); next.length != 0 && is_space(next.kind); next = cursor.peek()) {
            last = cursor.at;
            cursor.at += next.length;
            if (next.kind == char_class::line_end) after_line = cursor.at;
        }
        pre_token found = run_of(cursor, char_class::space);
        if (lines_first && after_line > begin) {
            found.end = after_line;
        } else if (!cursor.saw_end && last > begin) {
            // The last space goes with what follows, unless that is a piece of its own.
            if (!stands_alone<pieces>(cursor.peek().kind)) found.end = last;
        }
        return found;
    }

    template <alone pieces>
    static constexpr pre_token match_gpt2(detail::text_cursor& cursor) {
        if (detail::skip_contraction<false>(cursor)) return fixed(cursor);
        const auto first = cursor.peek();
        auto start = first;
        if (first.code == U' ') {
            start = cursor.peek(1);
            // At the end of the text a lone space is \s+(?!\S); which run it will open is not known yet.
            if (start.length == 0) {
                cursor.at += 1;
                return run_of(cursor, char_class::space);
            }
            if (is_space(start.kind) || stands_alone<pieces>(start.kind)) {
                return match_space<false, pieces>(cursor);
            }
            cursor.at += 1;
        } else if (is_space(first.kind)) {
            return match_space<false, pieces>(cursor);
        }
        cursor.at += start.length;
        if (stands_alone<pieces>(start.kind)) return fixed(cursor);
        if (!is_number(start.kind)) return skip_run(cursor, start.kind);
        cursor.skip([](char_class next) { return is_number(next) && !stands_alone<pieces>(next); });
        return run_of(cursor, char_class::number);
    }

    template <int max_numbers>
    static constexpr pre_token match_llama3(detail::text_cursor& cursor) {
        if (detail::skip_contraction<true>(cursor)) return fixed(cursor);
        const auto first = cursor.peek();
        if (first.kind == char_class::letter) return skip_run(cursor, char_class::letter);
        if (is_number(first.kind)) {
            cursor.at += first.length;
            for (int i = 1; i < max_numbers; ++i) {
                const auto next = cursor.peek();
                if (next.length == 0 || !is_number(next.kind)) break;
                cursor.at += next.length;
            }
            return fixed(cursor);
        }
        if (first.kind == char_class::line_end) return match_space<true, alone::none>(cursor);
        const auto second = cursor.peek(first.length);
        if (second.length != 0 && second.kind == char_class::letter) {
            cursor.at += first.length;
            return skip_run(cursor, char_class::letter);
        }
        const bool space_and_other =
            first.code == U' ' && second.length != 0 && second.kind == char_class::other;
        if (first.kind == char_class::space && !space_and_other)
            return match_space<true, alone::none>(cursor);
        cursor.at += first.length;
        cursor.skip([](char_class next) { return next == char_class::other; });
        if (cursor.saw_end) {
            // One character and the end: a letter would still join it, so it is not yet a run.
            pre_token open = run_of(cursor, char_class::other);
            open.in_run = open.in_run && second.length != 0;
            return open;
        }
        return skip_run(cursor, char_class::line_end);
    }
};

}  // namespace nullm::inline NULLM_ABI
