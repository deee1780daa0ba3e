#pragma once
// Conversations to prompts, for the two families of templates that are recognised: ChatML and Llama 3.

#include <nullm/core/abi.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/token.hpp>
#include <nullm/text/tokenizer.hpp>
#include <nullm/text/unicode.hpp>
#include <nullm/core/utf8.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// One turn. The role is "system", "user" or "assistant": what both families render alike.
struct chat_message {
    std::string role, content;
};

enum class chat_family : std::uint8_t {
    chatml,  ///< <|im_start|>role\ncontent<|im_end|>\n
    llama3   ///< <|start_header_id|>role<|end_header_id|>\n\ncontent<|eot_id|> behind <|begin_of_text|>
};

/// What a checkpoint's Jinja template amounts to. It is recognised, not run: a template that does more than
/// is said here (tools apart) is refused, because a prompt slightly off is worse than none.
class chat_template {
 public:
    chat_family family = chat_family::chatml;
    /// System message of a conversation that does not begin with one; none: no system turn.
    std::optional<std::string> default_system;
    /// Llama 3.1 and later: what stands in front of the system message ("Cutting Knowledge Date: ..."), with
    /// the date that the template names as its default, so that a prompt does not depend on the day.
    std::string system_preamble;

    chat_template() = default;

    /// Recognises `jinja`, the text of `tokenizer.chat_template`. Throws `error` if it is of neither family,
    /// or of a variant with other turns (reasoning blocks, other separators, trimmed ChatML).
    explicit chat_template(std::string_view jinja) {
        const auto has = [&](std::string_view part) { return jinja.find(part) != std::string_view::npos; };
        for (const std::string_view part : {"<think>", "reasoning_content", "<|im_sep|>"}) {
            if (has(part)) refuse("a template with " + std::string(part));
        }
        if (has("<|im_start|>") && has("<|im_end|>") && !has("<|start_header_id|>")) {
            if (has("trim") || has(".strip")) refuse("a ChatML template that trims messages");
            take_default_system(jinja);
        } else if (has("<|start_header_id|>") && has("<|end_header_id|>") && has("<|eot_id|>") &&
                   !has("<|im_start|>")) {
            if (!has("trim")) refuse("a Llama 3 template that does not trim messages");
            family = chat_family::llama3;
            take_preamble(jinja);
        } else {
            refuse("a template of another family");
        }
    }

    /// The prompt as text, with markers spelled out: for people to read. Content is copied as it is, so this
    /// text must not be encoded with special tokens parsed; `render` is for that.
    std::string render_text(std::span<const chat_message> messages, bool add_generation_prompt = true) const {
        std::string text;
        write(
            messages, add_generation_prompt, [&](std::string_view marker) { text += marker; },
            [&](std::string_view plain) { text += plain; });
        return text;
    }

    /// The prompt as tokens: markers as control tokens, everything else as plain text in which nothing
    /// becomes one. Complete, begin-of-text included where the family has it: add no bos. Throws `error` if
    /// the vocabulary lacks a marker, on another role, or if a content is not UTF-8.
    std::vector<token_id> render(const tokenizer& vocabulary, std::span<const chat_message> messages,
                                 bool add_generation_prompt = true) const {
        std::vector<token_id> ids;
        std::string plain;  // adjacent plain texts are one text to the tokenizer: the split may span them
        const auto flush = [&] {
            const auto more = vocabulary.encode(plain);
            ids.insert(ids.end(), more.begin(), more.end());
            plain.clear();
        };
        write(
            messages, add_generation_prompt,
            [&](std::string_view marker) {
                flush();
                const auto id = vocabulary.find(marker);
                if (!id || !vocabulary.is_control(*id)) {
                    throw error("chat template",
                                "a control token " + std::string(marker) + " in the vocabulary", "none");
                }
                ids.push_back(*id);
            },
            [&](std::string_view text) { plain += text; });
        flush();
        return ids;
    }

 private:
    [[noreturn]] static void refuse(const std::string& found) {
        throw error("chat template", "plain ChatML (SmolLM2, Qwen2.5) or Llama 3", found);
    }

    /// Calls marker(text) and plain(text) in the order of the prompt.
    template <class Marker, class Plain>
    void write(std::span<const chat_message> messages, bool prompt, Marker marker, Plain plain) const {
        const bool chatml = family == chat_family::chatml;
        const auto open = [&](std::string_view role) {
            check_role(role);
            marker(chatml ? "<|im_start|>" : "<|start_header_id|>");
            plain(role);
            if (!chatml) marker("<|end_header_id|>");
            plain(chatml ? "\n" : "\n\n");
        };
        const auto close = [&] {
            marker(chatml ? "<|im_end|>" : "<|eot_id|>");
            if (chatml) plain("\n");
        };
        if (!chatml) marker("<|begin_of_text|>");
        const bool own_system = !messages.empty() && messages.front().role == "system";
        if (!own_system && !(chatml && messages.empty()) && (default_system || !system_preamble.empty())) {
            open("system");
            plain(system_preamble);
            if (default_system) plain(*default_system);
            close();
        }
        for (std::size_t i = 0; i < messages.size(); ++i) {
            open(messages[i].role);
            if (i == 0 && own_system) plain(system_preamble);
            plain(chatml ? std::string_view(messages[i].content) : trimmed(messages[i].content));
            close();
        }
        if (prompt) open("assistant");
    }

    static void check_role(std::string_view role) {
        if (role != "system" && role != "user" && role != "assistant") {
            throw error("chat message", "the role system, user or assistant", "another");
        }
    }

    /// The literal between <|im_start|>system\n and <|im_end|>, if there is one; templates write the line end
    /// as the character or as an escape.
    void take_default_system(std::string_view jinja) {
        constexpr std::string_view opening = "<|im_start|>system";
        for (std::size_t at = jinja.find(opening); at != std::string_view::npos;
             at = jinja.find(opening, at)) {
            at += opening.size();
            std::string_view rest = jinja.substr(at);
            if (rest.starts_with("\n")) {
                rest.remove_prefix(1);
            } else if (rest.starts_with("\\n")) {
                rest.remove_prefix(2);
            } else {
                continue;
            }
            const std::string_view text = rest.substr(0, rest.find("<|im_end|>"));
            if (text.size() == rest.size() || text.find_first_of("'\"{}\\") != std::string_view::npos)
                continue;
            default_system = std::string(text);
            return;
        }
    }

    void take_preamble(std::string_view jinja) {
        const auto until_quote = [&](std::size_t at) {
            return std::string(jinja.substr(at, jinja.find_first_of("\\\n\"'", at) - at));
        };
        const std::size_t cut = jinja.find("Cutting Knowledge Date: ");
        if (cut == std::string_view::npos) return;
        constexpr std::string_view date = "date_string = \"";
        const std::size_t day = jinja.find(date);
        if (day == std::string_view::npos) refuse("a Llama 3 template without a default date");
        system_preamble = until_quote(cut) + "\nToday Date: " + until_quote(day + date.size()) + "\n\n";
    }

    /// Without white space at both ends, as Jinja's trim (Python's str.strip: White_Space and U+001C to
    /// U+001F).
    static std::string_view trimmed(std::string_view text) {
        const auto blank = [](char32_t c) { return is_space(classify(c)) || (c >= 0x1C && c <= 0x1F); };
        std::size_t begin = 0, end = 0;
        bool started = false;
        for (std::size_t at = 0; at < text.size();) {
            const utf8_sequence next = read_utf8(text, at);
            if (!blank(next.value)) {
                if (!started) begin = at;
                started = true;
                end = at + next.length;
            }
            at += next.length;
        }
        return text.substr(begin, end - begin);
    }
};

}  // namespace nullm::inline NULLM_ABI
