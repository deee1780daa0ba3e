#pragma once
// Running text of a corpus, and sentences with pass keys to hide in it.

#include "prompts.hpp"

#include <nullm/core/error.hpp>
#include <nullm/text/tokenizer.hpp>

#include <algorithm>
#include <cstddef>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace decode {

using token_list = std::vector<nullm::token_id>;

struct needle {
    std::string name;
    std::string digits;
};

/// Ten, of different names.
inline std::vector<needle> make_needles(std::mt19937_64& random) {
    std::vector<std::string> left = {"Adams",  "Baker",  "Carter", "Dawson", "Evans",   "Fisher", "Grant",
                                     "Harris", "Irving", "Jensen", "Keller", "Lambert", "Mason",  "Norton",
                                     "Oliver", "Parker", "Quincy", "Rogers", "Sawyer",  "Turner"};
    std::vector<needle> made;
    for (std::size_t i = 0; i < 10; ++i) {
        const std::size_t pick = random() % left.size();
        made.push_back({left[pick], std::to_string(10000 + random() % 90000)});
        left.erase(left.begin() + static_cast<std::ptrdiff_t>(pick));
    }
    return made;
}

/// How a needle is told and asked for.
struct phrasing {
    std::string needle = " The pass key of NAME is KEY. Remember it: KEY is the pass key of NAME.\n";
    std::string question = "\n\n What is the pass key of NAME? The pass key of NAME is";

    std::string sentence(const decode::needle& n) const { return filled(needle, n); }
    std::string ask(const decode::needle& n) const { return filled(question, n); }

 private:
    static std::string filled(std::string text, const decode::needle& n) {
        const auto put = [&](std::string_view from, const std::string& to) {
            for (std::size_t at = text.find(from); at != std::string::npos;
                 at = text.find(from, at + to.size()))
                text.replace(at, from.size(), to);
        };
        put("NAME", n.name);
        put("KEY", n.digits);
        return text;
    }
};

/// A piece of running text.
struct passage {
    token_list text;
    std::vector<std::size_t> ends;  // of its lines: tokens up to there

    /// Where a sentence may stand: the first end of a line from `depth` on, or `depth` itself where none is
    /// near.
    std::size_t gap(std::size_t depth) const {
        const auto end = std::lower_bound(ends.begin(), ends.end(), depth);
        return depth == 0 || end == ends.end() || *end > depth + text.size() / 20 ? depth : *end;
    }
    std::span<const nullm::token_id> between(std::size_t begin, std::size_t end) const {
        return std::span(text).subspan(begin, std::max(begin, end) - begin);
    }
};

/// The corpus in lines, given out in order, and from the beginning again.
class hay {
 public:
    hay(const std::string& path, const nullm::tokenizer& words) {
        const std::string text = read_file(path);
        std::size_t tokens = 0;
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
            lines_.push_back(words.encode(std::string_view(text).substr(at, end - at)));
            tokens += lines_.back().size();
            at = end;
        }
        if (tokens == 0) throw nullm::error(path, "a text of one token or more", "none");
    }

    /// Lines of `count` tokens together; the last one may be cut.
    passage next(std::size_t count) {
        passage found;
        while (found.text.size() < count) {
            const token_list& line = lines_[at_++ % lines_.size()];
            found.text.insert(found.text.end(), line.begin(), line.end());
            found.ends.push_back(found.text.size());
        }
        found.text.resize(count);
        found.ends.back() = count;
        return found;
    }

 private:
    std::vector<token_list> lines_;
    std::size_t at_ = 0;
};

}  // namespace decode
