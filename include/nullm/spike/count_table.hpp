#pragma once
// How often each of many keys was seen of late, in a fixed amount of memory.

#include <nullm/core/aligned.hpp>
#include <nullm/core/error.hpp>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>

namespace nullm::inline NULLM_ABI {

/// Counts of 64-bit hashes, in lines of 16 slots (16 bits of the key, 16 bits of count): one cache line a
/// look-up. A full line gives up its least counted key, but only after that one was worn down by newcomers,
/// as in Misra and Gries (1982), so what comes again and again stays. So counts are lower bounds, but for
/// keys that agree in line and slot bits (16 in 65536 look-ups of a full line). A value: copied as one block,
/// compared bit for bit.
class count_table {
 public:
    static constexpr std::size_t slots = 16;  // of a line

    /// 64 x lines bytes. lines: a power of two up to 2^20, else nullm::error.
    explicit count_table(std::size_t lines) {
        if (!std::has_single_bit(lines) || lines > std::size_t{1} << 20) {
            throw error("count_table lines", "a power of two up to 2^20", std::to_string(lines));
        }
        lines_.resize(lines);
    }

    std::uint32_t count(std::uint64_t key) const {
        const line& at = lines_[index_of(key)];
        const std::size_t slot = at.find(tag_of(key));
        return slot < slots ? at.counts[slot] : 0;
    }

    /// Counts the key once more, up to 65535.
    void add(std::uint64_t key) {
        line& at = lines_[index_of(key)];
        const std::size_t slot = at.find(tag_of(key));
        if (slot == slots) {
            at.insert(tag_of(key));
        } else if (at.counts[slot] < 0xFFFF) {
            ++at.counts[slot];
        }
    }

    /// Halves every count, rounding up: what was seen once is only forgotten when its place is needed.
    void halve() {
        for (line& at : lines_) {
            for (std::uint16_t& count : at.counts) count = static_cast<std::uint16_t>((count + 1) / 2);
        }
    }

    friend bool operator==(const count_table&, const count_table&) = default;

 private:
    struct alignas(cache_line) line {
        std::array<std::uint16_t, slots> tags{};  // 0: an empty slot
        std::array<std::uint16_t, slots> counts{};

        std::size_t find(std::uint16_t tag) const {
            std::uint32_t equal = 0;  // all compared, without a branch: the compiler makes vectors of it
            for (std::size_t i = 0; i < slots; ++i) equal |= static_cast<std::uint32_t>(tags[i] == tag) << i;
            return equal == 0 ? slots : static_cast<std::size_t>(std::countr_zero(equal));
        }
        /// In place of the oldest of the least counted; while that has more than 1 it only loses 1.
        void insert(std::uint16_t tag) {
            std::size_t victim = slots - 1;
            for (std::size_t i = slots - 1; i-- > 0;) {
                if (counts[i] < counts[victim]) victim = i;
            }
            if (counts[victim] > 1) {
                --counts[victim];
                return;
            }
            for (; victim > 0; --victim) {  // the newest stand first
                tags[victim] = tags[victim - 1];
                counts[victim] = counts[victim - 1];
            }
            tags[0] = tag;
            counts[0] = 1;
        }
        friend bool operator==(const line&, const line&) = default;
    };
    static_assert(sizeof(line) == cache_line);

    static std::uint16_t tag_of(std::uint64_t key) {
        const auto tag = static_cast<std::uint16_t>(key);
        return tag == 0 ? std::uint16_t{1} : tag;
    }
    std::size_t index_of(std::uint64_t key) const { return (key >> 16) & (lines_.size() - 1); }

    aligned_vector<line> lines_;
};

}  // namespace nullm::inline NULLM_ABI
