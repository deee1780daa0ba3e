#pragma once
// A regular expression that a line of any length can be held against without trouble.

#include <nullm/core/error.hpp>
#include <nullm/core/in_quotes.hpp>

#include <regex.h>

#include <cctype>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace cli {

/// A POSIX extended regular expression, as grep -E takes it, over bytes. std::regex is no choice here: it
/// backtracks, and libstdc++'s recurses once a byte, so that a long line overflows the stack. Back-references
/// are refused, since they alone would bring the exponential time back.
class line_pattern {
 public:
    /// Throws nullm::error in the name of `option` if `pattern` is empty or malformed.
    line_pattern(const std::string& option, const std::string& pattern) {
        const auto refuse = [&](const std::string& expected) {
            throw nullm::error(option, expected, nullm::in_quotes(pattern));
        };
        if (pattern.empty()) refuse("a pattern that is not empty");
        if (pattern.find('\0') != pattern.npos) refuse("a pattern without a zero byte");
        for (std::size_t i = 0; i + 1 < pattern.size(); ++i) {
            if (pattern[i] != '\\') continue;
            if (std::isdigit(static_cast<unsigned char>(pattern[++i])) != 0)
                refuse("a pattern without back-references");
        }
        auto made = std::make_unique<regex_t>();
        if (const int wrong = regcomp(made.get(), pattern.c_str(), REG_EXTENDED | REG_NOSUB); wrong != 0) {
            char reason[128];
            regerror(wrong, made.get(), reason, sizeof reason);
            refuse("an extended regular expression (" + std::string(reason) + ")");
        }
        compiled_ = {made.release(), [](regex_t* r) {
                         regfree(r);
                         delete r;
                     }};
    }

    /// Whether it occurs in the line, which may hold any bytes.
    bool found_in(std::string_view line) const {
        regmatch_t range{};
        range.rm_eo = static_cast<regoff_t>(line.size());
        return regexec(compiled_.get(), line.data(), 0, &range, REG_STARTEND) == 0;
    }

 private:
    std::shared_ptr<regex_t> compiled_;
};

}  // namespace cli
