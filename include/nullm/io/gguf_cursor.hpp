#pragma once
// Reads a byte range from front to back and never past its end.

#include <nullm/core/abi.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/in_quotes.hpp>
#include <nullm/core/utf8.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace nullm::inline NULLM_ABI {

/// Every read checks what is left first and throws nullm::error, naming the file, the byte and the thing read
/// (which may itself be a name from the file).
/// `file` and the bytes must outlive the cursor.
class gguf_cursor {
 public:
    gguf_cursor(std::span<const std::byte> bytes, std::string_view file) : bytes_(bytes), file_(file) {}

    std::size_t position() const { return position_; }
    std::size_t remaining() const { return bytes_.size() - position_; }
    std::string where() const { return std::string(file_) + ", byte " + std::to_string(position_); }

    void skip(std::uint64_t count, std::string_view what) {
        if (count > remaining()) {
            throw error(where(), std::to_string(count) + " bytes of " + escaped(what),
                        std::to_string(remaining()) + " bytes to the end of the file");
        }
        position_ += static_cast<std::size_t>(count);
    }

    template <class T>
    T number(std::string_view what) {
        const std::size_t begin = position_;
        skip(sizeof(T), what);
        T value;
        std::memcpy(&value, bytes_.data() + begin, sizeof(T));
        return value;
    }

    /// A 64-bit length and that many bytes of UTF-8; a view of them, nothing is copied.
    std::string_view text(std::string_view what) {
        const auto size = number<std::uint64_t>(what);
        const std::size_t begin = position_;
        skip(size, what);
        const std::string_view found(reinterpret_cast<const char*>(bytes_.data()) + begin,
                                     static_cast<std::size_t>(size));
        if (!is_utf8(found)) throw error(where(), escaped(what) + " in UTF-8", in_quotes(found));
        return found;
    }

    /// A count of things of at least `least` bytes each: no more than what is left can hold, nor than
    /// `limit`.
    std::uint64_t count(std::string_view what, std::uint64_t least, std::uint64_t limit) {
        const std::string place = where();
        const auto found = number<std::uint64_t>(what);
        check_count(place, found, what, least, limit);
        return found;
    }
    void check_count(std::string_view place, std::uint64_t found, std::string_view what, std::uint64_t least,
                     std::uint64_t limit) const {
        const std::uint64_t room = remaining() / least;
        if (found > room) {
            throw error(place, "at most " + std::to_string(room) + " " + std::string(what) + " (file size)",
                        std::to_string(found));
        }
        if (found > limit) {
            throw error(place, "at most " + std::to_string(limit) + " " + std::string(what),
                        std::to_string(found));
        }
    }

 private:
    std::span<const std::byte> bytes_;
    std::string_view file_;
    std::size_t position_ = 0;
};

}  // namespace nullm::inline NULLM_ABI
