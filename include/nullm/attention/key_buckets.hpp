#pragma once
// Hash tables that no longer change: the keys of every code, one after the other.

#include <nullm/core/abi.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <variant>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// For each of a number of tables, the positions of [first, end) sorted by their code, ascending inside a
/// bucket, and where each bucket begins. Two bytes a key and table while positions fit them, else four.
class key_buckets {
 public:
    /// `row(table, position)` gives the run of codes of that table from `position` on, as far as it is
    /// contiguous. Codes are below 2^bits. Cost: two passes over (end - first) x tables codes.
    template <class CodeRun>
    key_buckets(std::size_t first, std::size_t end, std::size_t bits, std::size_t tables, CodeRun&& row)
        : first_(first), end_(end), bits_(bits) {
        if (end <= 0xFFFF) {
            arrays_ = sorted<std::uint16_t>(tables, row);
        } else {
            arrays_ = sorted<std::uint32_t>(tables, row);
        }
    }

    /// The positions held: [first given, end()).
    std::size_t end() const { return end_; }

    std::size_t bytes() const {
        return std::visit(
            [](const auto& a) {
                return a.positions.size() * sizeof(a.positions[0]) + a.starts.size() * sizeof(a.starts[0]);
            },
            arrays_);
    }

    /// Calls hit(positions), ascending, with the bucket of codes[t] in each table t.
    template <class Hit>
    void look_up(std::span<const std::uint16_t> codes, Hit&& hit) const {
        const std::size_t count = end_ - first_;
        const std::size_t buckets = (std::size_t{1} << bits_) + 1;
        std::visit(
            [&](const auto& a) {
                const auto start = [&](std::size_t t) { return a.starts.data() + t * buckets + codes[t]; };
                for (std::size_t t = 0; t < codes.size(); ++t) {
                    // Each table is two misses, one behind the other: let those of several tables overlap.
                    if (t + 2 * ahead < codes.size()) __builtin_prefetch(start(t + 2 * ahead));
                    if (t + ahead < codes.size()) {
                        __builtin_prefetch(a.positions.data() + (t + ahead) * count + *start(t + ahead));
                    }
                    hit(std::span(a.positions.data() + t * count + start(t)[0],
                                  static_cast<std::size_t>(start(t)[1] - start(t)[0])));
                }
            },
            arrays_);
    }

 private:
    static constexpr std::size_t ahead = 12;

    template <class Id>
    struct arrays {
        std::vector<Id> positions;  // [tables][end - first]
        std::vector<Id> starts;     // [tables][2^bits + 1]
    };

    template <class Id, class CodeRun>
    arrays<Id> sorted(std::size_t tables, CodeRun&& row) const {
        const std::size_t count = end_ - first_;
        const std::size_t buckets = std::size_t{1} << bits_;
        arrays<Id> made{std::vector<Id>(tables * count), std::vector<Id>(tables * (buckets + 1))};
        std::vector<Id> next(buckets);
        for (std::size_t t = 0; t < tables; ++t) {
            Id* start = made.starts.data() + t * (buckets + 1);
            for_each_code(t, row, [&](std::size_t, std::uint16_t code) { ++start[code + 1]; });
            for (std::size_t b = 0; b < buckets; ++b) {
                next[b] = start[b];
                start[b + 1] = static_cast<Id>(start[b + 1] + start[b]);
            }
            Id* positions = made.positions.data() + t * count;
            for_each_code(t, row, [&](std::size_t position, std::uint16_t code) {
                positions[next[code]++] = static_cast<Id>(position);
            });
        }
        return made;
    }

    template <class CodeRun, class F>
    void for_each_code(std::size_t table, CodeRun& row, F&& f) const {
        for (std::size_t position = first_; position < end_;) {
            for (const std::uint16_t code : row(table, position)) {
                if (position == end_) break;
                f(position++, code);
            }
        }
    }

    std::size_t first_;
    std::size_t end_;
    std::size_t bits_;
    std::variant<arrays<std::uint16_t>, arrays<std::uint32_t>> arrays_;
};

}  // namespace nullm::inline NULLM_ABI
