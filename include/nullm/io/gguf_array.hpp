#pragma once
// Arrays of a GGUF file's metadata, read where they lie.

#include <nullm/core/abi.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <string_view>

namespace nullm::inline NULLM_ABI {

/// Numbers inside the file's bytes, at any alignment.
template <class T>
class gguf_numbers {
 public:
    gguf_numbers() = default;
    gguf_numbers(const std::byte* first, std::size_t count) : first_(first), count_(count) {}

    std::size_t size() const { return count_; }
    T operator[](std::size_t i) const {
        T value;
        std::memcpy(&value, first_ + i * sizeof(T), sizeof(T));
        return value;
    }

 private:
    const std::byte* first_ = nullptr;
    std::size_t count_ = 0;
};

/// Strings inside the file's bytes, each behind its 64-bit length: a forward range of views. gguf_file walked
/// it once, so every length is known to lie inside the file.
class gguf_strings {
 public:
    class iterator {
     public:
        using iterator_category = std::forward_iterator_tag;
        using value_type = std::string_view;
        using difference_type = std::ptrdiff_t;
        using pointer = const std::string_view*;
        using reference = std::string_view;

        iterator() = default;
        iterator(const std::byte* at, std::size_t left) : at_(at), left_(left) {}

        std::string_view operator*() const { return {reinterpret_cast<const char*>(at_) + 8, length()}; }
        iterator& operator++() {
            at_ += 8 + length();
            --left_;
            return *this;
        }
        iterator operator++(int) {
            const iterator before = *this;
            ++*this;
            return before;
        }
        bool operator==(const iterator& other) const { return left_ == other.left_; }

     private:
        std::size_t length() const {
            std::uint64_t value = 0;
            std::memcpy(&value, at_, sizeof(value));
            return static_cast<std::size_t>(value);
        }
        const std::byte* at_ = nullptr;
        std::size_t left_ = 0;
    };

    gguf_strings() = default;
    gguf_strings(const std::byte* first, std::size_t count) : first_(first), count_(count) {}

    std::size_t size() const { return count_; }
    iterator begin() const { return {first_, count_}; }
    iterator end() const { return {nullptr, 0}; }

 private:
    const std::byte* first_ = nullptr;
    std::size_t count_ = 0;
};

}  // namespace nullm::inline NULLM_ABI
