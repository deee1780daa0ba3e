#pragma once
// Byte pair merging: which pairs of tokens merge, in which order, and the merging itself.

#include <nullm/core/abi.hpp>
#include <nullm/core/token.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// The merges of a vocabulary by pair of ids. Open addressing, at most two thirds full.
class merge_table {
 public:
    static constexpr std::uint32_t no_merge = 0xFFFFFFFF;

    /// What a pair becomes; the lowest rank goes first.
    struct merge {
        std::uint32_t rank = no_merge;
        token_id result = -1;
    };

    /// Buffers of `apply`, kept by the caller so that a text needs no allocation a word.
    struct state {
        std::vector<token_id> symbols;
        std::vector<merge> pairs;
        std::vector<std::uint32_t> previous, next;
        std::vector<std::uint64_t> queue;
    };

    merge_table() = default;
    explicit merge_table(std::size_t capacity) : slots_(std::bit_ceil(capacity + capacity / 2 + 2)) {}

    /// False if the pair is already there. At most `capacity` pairs, rank < no_merge, ids not negative.
    bool insert(token_id left, token_id right, std::uint32_t rank, token_id result) {
        const std::uint64_t key = key_of(left, right);
        std::size_t at = place_of(key);
        for (; slots_[at].key != empty; at = (at + 1) & (slots_.size() - 1)) {
            if (slots_[at].key == key) return false;
        }
        slots_[at] = {key, {rank, result}};
        return true;
    }

    merge find(token_id left, token_id right) const noexcept {
        if (slots_.empty()) return {};
        const std::uint64_t key = key_of(left, right);
        for (std::size_t at = place_of(key); slots_[at].key != empty; at = (at + 1) & (slots_.size() - 1)) {
            if (slots_[at].key == key) return slots_[at].found;
        }
        return {};
    }

    /// Merges work.symbols in place: again and again the adjacent pair of lowest rank, the leftmost of equals
    /// (Hugging Face tokenizers 0.23, `Word::merge_all`). O(n log n); fewer than 2^32 symbols.
    void apply(state& work) const {
        if (work.symbols.size() <= short_word) {
            apply_short(work);
        } else {
            apply_long(work);
        }
    }

    /// Up to this many symbols a scan for the lowest rank beats a queue.
    static constexpr std::size_t short_word = 48;

    /// The two ways of `apply`, equal in result; the first takes O(n^2).
    void apply_short(state& work) const {
        auto& symbols = work.symbols;
        auto& pairs = work.pairs;
        if (symbols.size() < 2) return;
        pairs.resize(symbols.size() - 1);
        for (std::size_t i = 0; i < pairs.size(); ++i) pairs[i] = find(symbols[i], symbols[i + 1]);
        while (!pairs.empty()) {
            std::size_t best = 0;
            for (std::size_t i = 1; i < pairs.size(); ++i) {
                if (pairs[i].rank < pairs[best].rank) best = i;
            }
            if (pairs[best].rank == no_merge) return;
            symbols[best] = pairs[best].result;
            symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
            pairs.erase(pairs.begin() + static_cast<std::ptrdiff_t>(best));
            if (best > 0) pairs[best - 1] = find(symbols[best - 1], symbols[best]);
            if (best < pairs.size()) pairs[best] = find(symbols[best], symbols[best + 1]);
        }
    }

    void apply_long(state& work) const {
        auto& symbols = work.symbols;
        auto& pairs = work.pairs;
        auto& queue = work.queue;
        const auto count = static_cast<std::uint32_t>(symbols.size());
        // A chain over positions; pairs[i] is the pair that starts at i, without rank once i is swallowed.
        // Since a rank belongs to one pair, a queue entry (rank, position) is stale iff the position's rank
        // has changed.
        work.previous.resize(count);
        work.next.resize(count);
        pairs.assign(count, {});
        queue.clear();
        const auto later = std::greater<std::uint64_t>{};
        const auto entry = [&](std::uint32_t i) { return (std::uint64_t{pairs[i].rank} << 32) | i; };
        for (std::uint32_t i = 0; i < count; ++i) {
            work.previous[i] = i - 1;  // wraps for 0; never followed there
            work.next[i] = i + 1;
            if (i + 1 < count) pairs[i] = find(symbols[i], symbols[i + 1]);
            if (pairs[i].rank != no_merge) queue.push_back(entry(i));
        }
        std::make_heap(queue.begin(), queue.end(), later);
        const auto renew = [&](std::uint32_t i) {
            pairs[i] = work.next[i] < count ? find(symbols[i], symbols[work.next[i]]) : merge{};
            if (pairs[i].rank == no_merge) return;
            queue.push_back(entry(i));
            std::push_heap(queue.begin(), queue.end(), later);
        };
        while (!queue.empty()) {
            std::pop_heap(queue.begin(), queue.end(), later);
            const auto rank = static_cast<std::uint32_t>(queue.back() >> 32);
            const auto left = static_cast<std::uint32_t>(queue.back());
            queue.pop_back();
            if (pairs[left].rank != rank) continue;
            const std::uint32_t right = work.next[left];
            symbols[left] = pairs[left].result;
            pairs[right] = {};
            work.next[left] = work.next[right];
            if (work.next[left] < count) work.previous[work.next[left]] = left;
            renew(left);
            if (left > 0) renew(work.previous[left]);
        }
        std::size_t kept = 0;
        for (std::uint32_t i = 0; i < count; i = work.next[i]) symbols[kept++] = symbols[i];
        symbols.resize(kept);
    }

 private:
    static constexpr std::uint64_t empty = 0xFFFFFFFFFFFFFFFFULL;
    struct slot {
        std::uint64_t key = empty;
        merge found;
    };
    std::vector<slot> slots_;

    static std::uint64_t key_of(token_id left, token_id right) noexcept {
        return (std::uint64_t{static_cast<std::uint32_t>(left)} << 32) | static_cast<std::uint32_t>(right);
    }
    std::size_t place_of(std::uint64_t key) const noexcept {
        const std::uint64_t code = key * 0x9E3779B97F4A7C15ULL;
        return (code ^ (code >> 32)) & (slots_.size() - 1);
    }
};

}  // namespace nullm::inline NULLM_ABI
