#pragma once
// The bytes of every token, and the way back from bytes to the token.

#include <nullm/core/abi.hpp>
#include <nullm/core/token.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// All tokens' bytes, one behind the other in the order of their ids.
class token_bytes {
 public:
    void reserve(std::size_t tokens, std::size_t bytes) {
        ends_.reserve(tokens);
        pool_.reserve(bytes);
    }
    void push_back(std::string_view bytes) {
        pool_ += bytes;
        ends_.push_back(pool_.size());
    }
    std::size_t size() const noexcept { return ends_.size(); }
    /// id must be in [0, size()).
    std::string_view operator[](token_id id) const noexcept {
        const auto i = static_cast<std::size_t>(id);
        const std::size_t begin = i == 0 ? 0 : ends_[i - 1];
        return std::string_view(pool_).substr(begin, ends_[i] - begin);
    }

 private:
    std::string pool_;
    std::vector<std::size_t> ends_;
};

/// A hash table from bytes to the id of the token with these bytes. Open addressing, at most two thirds full.
class token_index {
 public:
    static constexpr token_id none = -1;

    token_index() = default;
    explicit token_index(std::size_t capacity) : slots_(std::bit_ceil(capacity + capacity / 2 + 2)) {}

    /// Returns `none`, or the id of a token already there with the same bytes, which then stays. At most
    /// `capacity` tokens may be inserted; their bytes are tokens[id].
    token_id insert(token_id id, const token_bytes& tokens) {
        const std::uint32_t code = hash(tokens[id]);
        std::size_t at = code & (slots_.size() - 1);
        for (; slots_[at].id != none; at = (at + 1) & (slots_.size() - 1)) {
            if (slots_[at].code == code && tokens[slots_[at].id] == tokens[id]) return slots_[at].id;
        }
        slots_[at] = {code, id};
        return none;
    }

    /// The token with these bytes, or `none`. Expected O(bytes).
    token_id find(std::string_view bytes, const token_bytes& tokens) const noexcept {
        if (slots_.empty()) return none;
        const std::uint32_t code = hash(bytes);
        for (std::size_t at = code & (slots_.size() - 1); slots_[at].id != none;
             at = (at + 1) & (slots_.size() - 1)) {
            if (slots_[at].code == code && tokens[slots_[at].id] == bytes) return slots_[at].id;
        }
        return none;
    }

 private:
    struct slot {
        std::uint32_t code = 0;
        token_id id = none;
    };
    std::vector<slot> slots_;

    /// Multiply and fold, eight bytes a step: cheap for the short strings that words are.
    static std::uint32_t hash(std::string_view bytes) noexcept {
        std::uint64_t code = bytes.size() * 0x9E3779B97F4A7C15ULL;
        const auto mix = [&](std::uint64_t word) {
            code = (code ^ word) * 0xD6E8FEB86659FD93ULL;
            code ^= code >> 32;
        };
        std::size_t at = 0;
        for (; at + 8 <= bytes.size(); at += 8) {
            std::uint64_t word;
            std::memcpy(&word, bytes.data() + at, 8);
            mix(word);
        }
        std::uint64_t rest = 0;
        for (; at < bytes.size(); ++at) rest = (rest << 8) | static_cast<std::uint8_t>(bytes[at]);
        mix(rest);
        return static_cast<std::uint32_t>(code);
    }
};

}  // namespace nullm::inline NULLM_ABI
