#pragma once
// A file that appears whole or not at all.

#include <nullm/core/abi.hpp>
#include <nullm/core/error.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace nullm::inline NULLM_ABI {

/// Writes beside `path`, in a file named `<path>.part-<process>-<n>`, and puts it in place by commit(). Until
/// then, and for ever if the writer fails or is killed, `path` is as it was: absent, or the older file. A
/// killed process may leave the part behind, never `path`; an exception removes it. Every failure is a
/// nullm::error that names the file and the system's reason ("No space left on device").
class atomic_file {
 public:
    /// Throws nullm::error if the directory cannot be written, or `path` is there and no regular file.
    explicit atomic_file(std::filesystem::path path) : path_(std::move(path)) {
        struct stat status = {};
        const int found = ::stat(path_.c_str(), &status);
        if (found == 0 && !S_ISREG(status.st_mode)) {
            throw error(path_.string(), "a file to write",
                        S_ISDIR(status.st_mode) ? "a directory" : "a device, pipe or socket");
        }
        const bool replaces = found == 0;
        if (replaces)
            path_ = std::filesystem::canonical(path_);  // what a link points to is replaced, not the link
        for (unsigned n = 0; file_ < 0; ++n) {
            part_ = path_.string() + ".part-" + std::to_string(::getpid()) + "-" + std::to_string(n);
            file_ = ::open(part_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
            if (file_ < 0 && (errno != EEXIST || n == 1000)) {
                throw error(path_.string(), "a file that can be written", reason(errno));
            }
        }
        if (replaces) static_cast<void>(::fchmod(file_, status.st_mode & 07777));  // as private as it was
    }
    atomic_file(const atomic_file&) = delete;
    atomic_file& operator=(const atomic_file&) = delete;
    ~atomic_file() {
        if (file_ >= 0) ::close(file_);
        if (!part_.empty()) ::unlink(part_.c_str());
    }

    void write(std::span<const std::byte> bytes) {
        constexpr std::size_t most = std::size_t{1} << 30;  // Linux writes less than 2 GB at once
        while (!bytes.empty()) {
            const auto done = ::write(file_, bytes.data(), std::min(bytes.size(), most));
            if (done < 0 && errno == EINTR) continue;
            if (done < 0) {
                const int code = errno;
                if (file_ >= 0)
                    ::close(std::exchange(file_, -1));  // what is half written is never put in place
                fail("room for " + std::to_string(bytes.size()) + " more bytes", code);
            }
            bytes = bytes.subspan(static_cast<std::size_t>(done));
        }
    }
    void write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }

    /// Waits until the bytes are on the disk, and gives the file its name. Nothing may be written afterwards.
    void commit() {
        if (file_ < 0)
            throw error(path_.string(), "a file that is whole", "one that failed or was put in place");
        if (::fsync(file_) != 0) fail("a file that can be written", errno);
        if (::close(std::exchange(file_, -1)) != 0) fail("a file that can be written", errno);
        if (::rename(part_.c_str(), path_.c_str()) != 0) fail("a file that can be written", errno);
        part_.clear();
        // The name is on the disk when its directory is. Where that cannot be asked for, the file is whole
        // anyway.
        const auto parent = path_.has_parent_path() ? path_.parent_path() : std::filesystem::path(".");
        const int directory = ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (directory >= 0) {
            ::fsync(directory);
            ::close(directory);
        }
    }

 private:
    static std::string reason(int code) { return '"' + std::generic_category().message(code) + '"'; }
    [[noreturn]] void fail(const std::string& expected, int code) const {
        throw error(path_.string(), expected, reason(code));
    }

    std::filesystem::path path_;
    std::string part_;
    int file_ = -1;
};

}  // namespace nullm::inline NULLM_ABI
