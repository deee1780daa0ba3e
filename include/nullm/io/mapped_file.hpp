#pragma once
// A whole file as read-only memory.

#include <nullm/core/abi.hpp>
#include <nullm/core/error.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <system_error>
#include <utility>

namespace nullm::inline NULLM_ABI {

/// Maps a regular, non-empty file (POSIX mmap). Bytes are read from disk when first touched; nothing is
/// copied. The file must not be shortened while it is mapped: reading past its new end would raise SIGBUS.
class mapped_file {
 public:
    /// Throws nullm::error if the file cannot be opened, is not a regular file, or is empty.
    explicit mapped_file(const std::filesystem::path& path) {
        // O_NONBLOCK: opening a named pipe would otherwise wait for a writer before we could refuse it.
        const descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
        if (file.number < 0) fail(path, "a readable file", errno);
        struct stat status = {};
        if (::fstat(file.number, &status) != 0) fail(path, "a readable file", errno);
        if (S_ISDIR(status.st_mode)) throw error(path.string(), "a file", "a directory");
        if (!S_ISREG(status.st_mode))
            throw error(path.string(), "a regular file", "a device, pipe or socket");
        if (status.st_size <= 0) throw error(path.string(), "a file with content", "an empty file");
        if (static_cast<std::uintmax_t>(status.st_size) > std::numeric_limits<std::size_t>::max() / 2) {
            throw error(path.string(), "a file that fits the address space", "a larger one");
        }
        const auto size = static_cast<std::size_t>(status.st_size);
        void* const data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.number, 0);
        if (data == MAP_FAILED) fail(path, "a file that can be mapped", errno);
        bytes_ = {static_cast<const std::byte*>(data), size};
    }
    mapped_file(mapped_file&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
    mapped_file& operator=(mapped_file&& other) noexcept {
        std::swap(bytes_, other.bytes_);
        return *this;
    }
    ~mapped_file() {
        if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
    }

    std::span<const std::byte> bytes() const { return bytes_; }

 private:
    struct descriptor {
        int number;
        descriptor(const descriptor&) = delete;
        explicit descriptor(int opened) : number(opened) {}
        ~descriptor() {
            if (number >= 0) ::close(number);
        }
    };

    [[noreturn]] static void fail(const std::filesystem::path& path, const char* expected, int code) {
        throw error(path.string(), expected, '"' + std::generic_category().message(code) + '"');
    }

    std::span<const std::byte> bytes_;
};

}  // namespace nullm::inline NULLM_ABI
