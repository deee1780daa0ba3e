#pragma once
// Text that is filled in: a NULL stands as a dim mark until what it skipped is settled.

#include <sys/ioctl.h>
#include <unistd.h>

#include <clocale>
#include <cstddef>
#include <cstdlib>
#include <cwchar>
#include <iostream>
#include <string>
#include <string_view>

namespace cli {

/// Standard output. Marks appear only on a terminal; elsewhere the text alone is written.
class terminal_text {
 public:
    terminal_text() : interactive_(::isatty(STDOUT_FILENO) != 0) {
        std::setlocale(LC_CTYPE, "C.UTF-8");  // so that wcwidth knows how wide a character stands
        winsize size{};
        if (interactive_ && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
            width_ = size.ws_col;
    }

    bool interactive() const { return interactive_; }

    /// A NULL. Marks that would not fit on the line are left out, since the cursor could not go back over
    /// them.
    void mark_null() {
        if (!interactive_ || column_ + marks_ + 1 >= width_) return;
        std::cout << "\033[2m∅\033[0m" << std::flush;
        ++marks_;
    }

    /// Takes back all marks; what follows is written in their place.
    void clear_marks() {
        if (marks_ == 0) return;
        std::cout << "\033[" << marks_ << "D\033[K";
        marks_ = 0;
    }

    void write(std::string_view text, std::string_view style = "") {
        if (interactive_ && !style.empty())
            std::cout << style << text << "\033[0m";
        else
            std::cout << text;
        std::cout << std::flush;
        if (interactive_) advance(std::string(text));
    }

 private:
    void advance(const std::string& text) {
        std::mbstate_t state{};
        for (const char *at = text.data(), *end = at + text.size(); at < end;) {
            wchar_t c = 0;
            const std::size_t used = std::mbrtowc(&c, at, static_cast<std::size_t>(end - at), &state);
            if (used == 0 || used > text.size()) return;
            at += used;
            if (c == L'\n' || c == L'\r') {
                column_ = 0;
                continue;
            }
            const int columns = c == L'\t' ? static_cast<int>(8 - column_ % 8) : ::wcwidth(c);
            column_ += columns > 0 ? static_cast<std::size_t>(columns) : 0;
            if (column_ >= width_) column_ -= width_;
        }
    }

    bool interactive_;
    std::size_t width_ = 80;
    std::size_t column_ = 0;
    std::size_t marks_ = 0;
};

}  // namespace cli
