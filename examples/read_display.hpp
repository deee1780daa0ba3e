#pragma once
// What nullm_read shows of a text that it follows.

#include "compose.hpp"
#include "options.hpp"
#include "terminal.hpp"

#include <nullm/generate/spans.hpp>
#include <nullm/text/stream_decoder.hpp>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <iostream>
#include <span>
#include <string>
#include <vector>

namespace cli {

/// Token by token: the text as it comes, answers between; or a line of JSON a position.
class display {
 public:
    display(const options& chosen, const nullm::tokenizer& tokens)
        : chosen_(chosen), tokens_(tokens), decoder_(tokens) {}

    void show(nullm::token_id input, const nullm::step& step) {
        const std::string text = decoder_.push(input);
        const std::string answer = step.token ? text_of(tokens_, std::span(&*step.token, 1)) : std::string();
        if (chosen_.format == format::jsonl) {
            auto line = to_json(step, answer);
            line["input"] = input;
            std::cout << line << std::endl;  // whoever follows a stream wants it now
        } else {
            terminal_.write(text);
            if (step.token) answer_text(answer);
        }
    }
    void show_answer(const nullm::step& step) {
        const std::string answer = text_of(tokens_, std::span(&*step.token, 1));
        if (chosen_.format == format::jsonl)
            std::cout << to_json(step, answer) << std::endl;
        else
            answer_text(answer);
    }
    void finish() {
        if (chosen_.format == format::text) {
            terminal_.write(decoder_.finish());
            std::cout << '\n';
        }
        std::cout << std::flush;
    }

 private:
    // What the model expects next, set apart from the text itself; line breaks would tear it.
    void answer_text(std::string answer) {
        for (std::size_t at = 0; (at = answer.find('\n', at)) != std::string::npos;)
            answer.replace(at, 1, "\\n");
        terminal_.write("⟨" + answer + "⟩", "\033[36m");
    }

    const options& chosen_;
    const nullm::tokenizer& tokens_;
    nullm::stream_decoder decoder_;
    terminal_text terminal_;
};

/// Span by span: a line of JSON each; or the text with the answers between, and under a discard only what is
/// kept of it, with the number of spans dropped in between (answers would stand in the way there).
class span_display {
 public:
    span_display(const options& chosen, const nullm::tokenizer& tokens, bool discard, bool lines)
        : chosen_(chosen), tokens_(tokens), screen_(chosen, tokens), discard_(discard), lines_(lines) {}

    void show(nullm::token_id input) {
        if (chosen_.format == format::jsonl || discard_)
            open_.push_back(input);
        else
            screen_.show(input, {});
    }

    void end(const nullm::span_step& ended) {
        const nullm::step& step = ended.at_end;
        const std::string answer = step.token ? text_of(tokens_, std::span(&*step.token, 1)) : std::string();
        if (chosen_.format == format::jsonl) {
            auto line = to_json(step, answer);
            line["length"] = ended.length;
            line["fate"] = nullm::name_of(ended.fate);
            line["span"] = text_of(tokens_, open_);
            std::cout << line << std::endl;
        } else if (!discard_) {
            if (step.token) screen_.show_answer(step);
        } else if (ended.fate == nullm::span_fate::dropped) {
            ++suppressed_;
        } else {
            show_suppressed();
            terminal_.write(text_of(tokens_, open_));
        }
        open_.clear();
    }
    void show_answer(const nullm::step& step) {
        show_suppressed();
        screen_.show_answer(step);
    }
    void finish() {
        show_suppressed();
        if (discard_ && lines_)
            std::cout << std::flush;  // the last line has a newline of its own
        else
            screen_.finish();
    }

 private:
    void show_suppressed() {
        if (suppressed_ == 0) return;
        const std::string mark = "[x" + std::to_string(suppressed_) + " suppressed]";
        terminal_.write(lines_ ? mark + '\n' : ' ' + mark, "\033[2m");
        suppressed_ = 0;
    }

    const options& chosen_;
    const nullm::tokenizer& tokens_;
    display screen_;
    terminal_text terminal_;
    bool discard_;
    bool lines_;
    std::vector<nullm::token_id> open_;  // tokens of the span that has not ended
    std::uint64_t suppressed_ = 0;       // spans in a row
};

}  // namespace cli
