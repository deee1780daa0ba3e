#pragma once
// How far a long piece of work is, for a person who waits.

#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <string>
#include <utility>

namespace cli {

/// One line on stderr, rewritten as the work goes on and gone when it ends. Nothing where stderr is no
/// terminal.
class progress {
 public:
    explicit progress(std::string what) : what_(std::move(what)), shown_(::isatty(STDERR_FILENO) != 0) {}
    progress(const progress&) = delete;
    progress& operator=(const progress&) = delete;
    ~progress() {
        if (shown_) std::fputs("\r\033[K", stderr);
    }

    void at(std::size_t done, std::size_t all) const {
        if (!shown_ || done == 0) return;
        const double share = static_cast<double>(done) / static_cast<double>(all);
        const std::chrono::duration<double> gone = std::chrono::steady_clock::now() - start_;
        std::fprintf(stderr, "\r%s: %.0f %%, %.0f s left\033[K", what_.c_str(), 100 * share,
                     gone.count() * (1 - share) / share);
    }

 private:
    std::string what_;
    bool shown_;
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace cli
