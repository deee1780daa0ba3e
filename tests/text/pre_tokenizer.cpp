// The hand-written splitters against the original patterns, run by PCRE2.
#define PCRE2_CODE_UNIT_WIDTH 8
#include <nullm/text/pre_tokenizer.hpp>
#include <nullm/core/utf8.hpp>

#include <support/catch.hpp>
#include <text/vocabularies.hpp>

#include <pcre2.h>

#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace {

using rule = nullm::pre_tokenizer_rule;
const std::vector<rule> all_rules = {rule::gpt2, rule::gpt2_digits, rule::gpt2_numbers, rule::llama3,
                                     rule::qwen2};

// PCRE2's \s has U+180E besides White_Space, which Oniguruma's has not: so \s and \S are spelled out.
const std::string space_set =
    R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";

std::string spelled_out(std::string pattern) {
    const auto replace = [&](const std::string& from, const std::string& to) {
        for (std::size_t at = 0; (at = pattern.find(from, at)) != std::string::npos; at += to.size()) {
            pattern.replace(at, from.size(), to);
        }
    };
    replace(R"([^\s)", "[^" + space_set);
    replace(R"(\s)", "[" + space_set + "]");
    replace(R"(\S)", "[^" + space_set + "]");
    return pattern;
}

class regex {
 public:
    explicit regex(const std::string& pattern) {
        int code = 0;
        PCRE2_SIZE where = 0;
        const std::string spelled = spelled_out(pattern);
        code_ = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(spelled.data()), spelled.size(),
                              PCRE2_UTF | PCRE2_UCP, &code, &where, nullptr);
        if (code_ == nullptr)
            throw std::runtime_error("pattern does not compile at " + std::to_string(where));
        pcre2_jit_compile(code_, PCRE2_JIT_COMPLETE);
        match_ = pcre2_match_data_create_from_pattern(code_, nullptr);
    }
    regex(const regex&) = delete;
    regex& operator=(const regex&) = delete;
    ~regex() {
        pcre2_match_data_free(match_);
        pcre2_code_free(code_);
    }

    /// Length of the match that starts at `at`; 0 if none.
    std::size_t match(std::string_view text, std::size_t at) const {
        const int found = pcre2_match(code_, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at,
                                      PCRE2_ANCHORED, match_, nullptr);
        if (found == PCRE2_ERROR_NOMATCH) return 0;
        if (found < 0) throw std::runtime_error("pcre2_match fails with " + std::to_string(found));
        const PCRE2_SIZE* range = pcre2_get_ovector_pointer(match_);
        return range[1] - range[0];
    }

    std::vector<std::string> split(std::string_view text) const {
        std::vector<std::string> pieces;
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t length = match(text, at);
            if (length == 0) throw std::runtime_error("the pattern leaves a gap");
            pieces.emplace_back(text.substr(at, length));
            at += length;
        }
        return pieces;
    }

 private:
    pcre2_code* code_ = nullptr;
    pcre2_match_data* match_ = nullptr;
};

const regex& gpt2_pattern() {
    static const regex pattern(
        R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)");
    return pattern;
}
const regex& llama3_pattern() {
    static const regex pattern(R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
                               R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)");
    return pattern;
}
const regex& qwen2_pattern() {
    static const regex pattern(R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)"
                               R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)");
    return pattern;
}

std::vector<std::string> reference(rule name, std::string_view text) {
    if (name == rule::gpt2) return gpt2_pattern().split(text);
    if (name == rule::llama3) return llama3_pattern().split(text);
    if (name == rule::qwen2) return qwen2_pattern().split(text);
    // Two steps, the second of which sees each stretch between the first one's pieces as a text of its own
    // (Hugging Face: Sequence[Digits(individual_digits), ByteLevel(use_regex)]).
    static const regex digit(R"(\p{Nd})"), number(R"(\p{N})");
    const regex& alone = name == rule::gpt2_digits ? digit : number;
    std::vector<std::string> pieces;
    std::size_t begin = 0, at = 0;
    const auto flush = [&] {
        for (auto& piece : gpt2_pattern().split(text.substr(begin, at - begin)))
            pieces.push_back(std::move(piece));
    };
    while (at < text.size()) {
        const std::size_t length = alone.match(text, at);
        if (length == 0) {
            at += nullm::read_utf8(text, at).length;
            continue;
        }
        flush();
        pieces.emplace_back(text.substr(at, length));
        begin = at += length;
    }
    flush();
    return pieces;
}

std::vector<std::string> split(const nullm::pre_tokenizer& splitter, std::string_view text) {
    std::vector<std::string> pieces;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = splitter.match(text, at).end;
        REQUIRE(end > at);
        REQUIRE(end <= text.size());
        pieces.emplace_back(text.substr(at, end - at));
        at = end;
    }
    return pieces;
}

}  // namespace

TEST_CASE("a splitter cuts 24,000 random texts as the original pattern does", "[text]") {
    for (const rule name : all_rules) {
        const nullm::pre_tokenizer splitter(name);
        std::mt19937 random(20250101);
        for (int i = 0; i < 24000; ++i) {
            const std::string text = text_test::random_text(random, 24);
            const auto found = split(splitter, text), expected = reference(name, text);
            if (found != expected) {
                CAPTURE(static_cast<int>(name), i, text, found, expected);
                FAIL("the pieces differ");
            }
        }
    }
}

TEST_CASE("a splitter cuts every short string over the characters that decide as the original pattern does",
          "[text]") {
    const std::vector<std::string> alphabet = {"a",       "s", "'", " ", "\n", "\t", "1", "!", "\xE3\x80\x80",
                                               "\xC5\xBF"};
    for (const rule name : all_rules) {
        const nullm::pre_tokenizer splitter(name);
        for (int code = 0; code < 100000; ++code) {
            std::string text;
            for (int i = 0, rest = code; i < 5; ++i, rest /= 10)
                text += alphabet[static_cast<std::size_t>(rest % 10)];
            if (split(splitter, text) != reference(name, text)) {
                CAPTURE(static_cast<int>(name), text);
                FAIL("the pieces differ");
            }
        }
    }
}

TEST_CASE("a settled pre-token stays as it is whatever follows, and a run stays open while it goes on",
          "[text]") {
    std::mt19937 random(3);
    for (const rule name : all_rules) {
        const nullm::pre_tokenizer splitter(name);
        for (int i = 0; i < 20000; ++i) {
            const std::string text = text_test::random_text(random, 6),
                              more = text_test::random_text(random, 3);
            if (text.empty()) continue;
            const auto first = splitter.match(text, 0), later = splitter.match(text + more, 0);
            CAPTURE(static_cast<int>(name), text, more);
            if (first.settled) {
                REQUIRE(later.settled);
                REQUIRE(later.end == first.end);
            } else if (first.in_run) {
                bool goes_on = true;
                for (std::size_t at = 0; at < more.size(); at += nullm::read_utf8(more, at).length) {
                    const auto kind = nullm::classify(nullm::read_utf8(more, at).value);
                    goes_on = goes_on && splitter.continues(first.run, kind);
                }
                if (goes_on) REQUIRE(!later.settled);
            }
        }
    }
}

TEST_CASE("the last bytes before the end of a text are held back only as long as they can change", "[text]") {
    using nullm::pre_tokenizer;
    CHECK(pre_tokenizer("gpt-2").match("word ", 0).settled);
    CHECK(!pre_tokenizer("gpt-2").match("word", 0).settled);
    CHECK(pre_tokenizer("gpt-2").match("'ll", 0).settled);
    CHECK(!pre_tokenizer("gpt-2").match("'l", 0).settled);
    CHECK(pre_tokenizer("smollm").match("1", 0).settled);
    CHECK(!pre_tokenizer("smollm").match("\xC2\xBD", 0).settled);
    CHECK(pre_tokenizer(rule::gpt2_numbers).match("\xC2\xBD", 0).settled);
    CHECK(!pre_tokenizer("gpt-2").match("1", 0).settled);
    CHECK(!pre_tokenizer("llama-bpe").match("12", 0).settled);
    CHECK(pre_tokenizer("llama-bpe").match("123", 0).settled);
    CHECK(pre_tokenizer("qwen2").match("1", 0).settled);
    CHECK(!pre_tokenizer("qwen2").match("\n  ", 0).settled);  // a line end may follow and claim all of it
}

TEST_CASE("an unknown pre-tokenizer is refused by name with the ones there are", "[text]") {
    CHECK(text_test::mentions(text_test::complaint_of([&] { nullm::pre_tokenizer("tekken"); }),
                              {"tekken", "smollm", "gpt-2", "llama-bpe", "qwen2"}));
    CHECK_THROWS_AS(nullm::pre_tokenizer(""), nullm::error);
    CHECK(text_test::mentions(text_test::complaint_of([&] { nullm::pre_tokenizer("\x1B[2J"); }),
                              {"no printable"}));
}
