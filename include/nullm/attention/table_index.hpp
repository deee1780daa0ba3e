#pragma once
// The hash tables of one KV head's keys, growing at the end, cut at the end, shared by copies.

#include <nullm/attention/equal_codes.hpp>
#include <nullm/attention/key_buckets.hpp>
#include <nullm/attention/lsh_shape.hpp>
#include <nullm/core/aligned.hpp>
#include <nullm/core/simd.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#define NULLM_KERNELS <nullm/attention/table_scan.inl>
#include <nullm/core/simd/foreach_isa.hpp>

namespace nullm::inline NULLM_ABI {

/// Which keys share a query's code in at least two tables, over the positions [first, end()).
///
/// Two parts: up to some position the keys sit in buckets (key_buckets: immutable, shared by copies); the
/// tail behind it is found by comparing codes, and joins the buckets when it has reached a given length. What
/// is found never depends on where the parts meet. The codes of all keys are kept, in chunks of 256 positions
/// that copies share until one of them is written, as in kv_cache. Per key and table: 2 bytes of code, 2 of
/// bucket (4 from position 65535 on); a key's norm, 4 bytes.
class table_index {
 public:
    static constexpr std::size_t chunk_positions = 256;

    /// The memory of a look-up: a bit for every position.
    struct scratch {
        std::vector<std::uint64_t> once;
        std::vector<std::uint64_t> twice;
    };

    table_index(lsh_shape shape, std::size_t first)
        : shape_(shape), first_(first), end_(first), merged_(first) {}

    std::size_t first() const { return first_; }
    std::size_t end() const { return end_; }
    /// Keys found by comparison.
    std::size_t tail() const { return end_ - merged_; }
    /// Bytes referred to, shared ones included.
    std::size_t bytes() const {
        return chunks_.size() * (sizeof(chunk) + shape_.tables * chunk_positions * sizeof(std::uint16_t)) +
               (buckets_ ? buckets_->bytes() : 0);
    }

    /// Appends keys at end(), end() + 1, ...: key i has the codes at codes + i * code_stride, one a table,
    /// and an inverse norm; 0 marks a key that every query finds. Once the tail is `merge_at` long it joins
    /// the buckets: two passes over all codes.
    void append(const std::uint16_t* codes, std::size_t code_stride, std::span<const float> inverse_norms,
                std::size_t merge_at) {
        make_writable(end_ + inverse_norms.size());
        for (std::size_t i = 0; i < inverse_norms.size(); ++i) {
            chunk& c = *chunks_[(end_ + i) / chunk_positions];
            const std::size_t at = (end_ + i) % chunk_positions;
            for (std::size_t t = 0; t < shape_.tables; ++t) {
                c.codes[t * chunk_positions + at] = codes[i * code_stride + t];
            }
            c.inverse_norm[at] = inverse_norms[i];
            const std::uint64_t bit = std::uint64_t{1} << at % 64;
            c.always[at / 64] = inverse_norms[i] == 0 ? c.always[at / 64] | bit : c.always[at / 64] & ~bit;
        }
        end_ += inverse_norms.size();
        if (tail() >= std::max<std::size_t>(merge_at, 1)) merge();
    }

    /// Forgets the positions from n on.
    void truncate(std::size_t n) {
        end_ = std::min(end_, std::max(n, first_));
        merged_ = std::min(merged_, end_);
        if (merged_ == first_) buckets_.reset();
        const std::size_t used = (end_ + chunk_positions - 1) / chunk_positions;
        if (chunks_.size() > used + 1) chunks_.resize(used + 1);
    }

    /// The positions in [first, limit) that share their code with `codes` (one a table) in at least two
    /// tables, and those that are always found, ascending. limit <= end().
    void find(const std::uint16_t* codes, std::size_t limit, scratch& s, std::vector<std::uint32_t>& found,
              isa level = active_isa()) const {
        found.clear();
        if (limit <= first_) return;
        const std::size_t bucket_end = buckets_ ? buckets_->end() : 0;
        s.once.assign(words_of(std::max(limit, bucket_end)), 0);
        s.twice.assign(s.once.size(), 0);
        const std::size_t cut = std::min(merged_, limit);
        if (cut > first_) {
            std::uint64_t* once = s.once.data();
            std::uint64_t* twice = s.twice.data();
            buckets_->look_up({codes, shape_.tables}, [&](const auto& positions) {
                for (const std::size_t p : positions) {
                    const std::uint64_t bit = std::uint64_t{1} << p % 64;
                    twice[p / 64] |= once[p / 64] & bit;
                    once[p / 64] |= bit;
                }
            });
            // The buckets may hold later positions, or such as were forgotten since.
            for (std::size_t w = cut / 64; w < s.twice.size(); ++w) s.twice[w] &= bits_below(cut, w);
        }
        for (std::size_t c = cut / chunk_positions; c * chunk_positions < limit; ++c) {
            scan(c, codes, cut, limit, s.twice, level);
        }
        for (std::size_t w = first_ / 64; w * 64 < limit; ++w) {
            std::uint64_t hits = s.twice[w];
            hits |= chunks_[w / 4]->always[w % 4] & bits_below(limit, w) & ~bits_below(first_, w);
            for (; hits != 0; hits &= hits - 1) {
                found.push_back(static_cast<std::uint32_t>(w * 64) +
                                static_cast<std::uint32_t>(std::countr_zero(hits)));
            }
        }
    }

    /// 1 / |key| of a position held, 0 if it is found always.
    float inverse_norm(std::size_t position) const {
        return chunks_[position / chunk_positions]->inverse_norm[position % chunk_positions];
    }
    std::uint16_t code(std::size_t table, std::size_t position) const {
        return chunks_[position / chunk_positions]
            ->codes[table * chunk_positions + position % chunk_positions];
    }

    /// The same keys at the same positions. Which part holds them, and what is shared, does not count.
    friend bool operator==(const table_index& a, const table_index& b) {
        if (!(a.shape_ == b.shape_) || a.first_ != b.first_ || a.end_ != b.end_) return false;
        for (std::size_t p = a.first_; p < a.end_; ++p) {
            if (a.inverse_norm(p) != b.inverse_norm(p)) return false;
            for (std::size_t t = 0; t < a.shape_.tables; ++t) {
                if (a.code(t, p) != b.code(t, p)) return false;
            }
        }
        return true;
    }

 private:
    struct chunk {
        explicit chunk(unsigned tables) : codes(tables * chunk_positions) {}
        aligned_vector<std::uint16_t> codes;  // [tables][256]
        std::array<float, chunk_positions> inverse_norm{};
        std::array<std::uint64_t, chunk_positions / 64> always{};
    };

    static std::size_t words_of(std::size_t positions) { return (positions + 63) / 64; }
    // The bits of word w that belong to positions below n.
    static std::uint64_t bits_below(std::size_t n, std::size_t w) {
        if (n >= w * 64 + 64) return ~std::uint64_t{0};
        return n <= w * 64 ? 0 : (std::uint64_t{1} << (n - w * 64)) - 1;
    }

    // Makes positions [end_, n) writable: allocates what is missing, copies what is shared.
    void make_writable(std::size_t n) {
        chunks_.reserve((n + chunk_positions - 1) / chunk_positions);
        for (std::size_t c = end_ / chunk_positions; c * chunk_positions < n; ++c) {
            // Those wholly before the first position stay empty, but they have their place.
            while (chunks_.size() <= c) chunks_.push_back(std::make_shared<chunk>(shape_.tables));
            if (chunks_[c].use_count() != 1) chunks_[c] = std::make_shared<chunk>(*chunks_[c]);
        }
        // use_count() is a relaxed read: what the last other owner did must be done before we write.
        std::atomic_thread_fence(std::memory_order_acquire);
    }

    void merge() {
        buckets_ = std::make_shared<const key_buckets>(
            first_, end_, shape_.bits, shape_.tables, [&](std::size_t table, std::size_t position) {
                const std::size_t at = position % chunk_positions;
                return std::span(
                    chunks_[position / chunk_positions]->codes.data() + table * chunk_positions + at,
                    chunk_positions - at);
            });
        merged_ = end_;
    }

    // Adds the positions of chunk c in [from, limit) whose codes match twice.
    void scan(std::size_t c, const std::uint16_t* codes, std::size_t from, std::size_t limit,
              std::vector<std::uint64_t>& twice, isa level) const {
        constexpr std::size_t chunk_words = chunk_positions / 64;
        const std::size_t first = std::max(from / 64, c * chunk_words);
        const std::size_t last = std::min(words_of(limit), (c + 1) * chunk_words);
        const std::uint16_t* keys = chunks_[c]->codes.data() + (first - c * chunk_words) * 64;
        std::uint64_t once[chunk_words];
        std::uint64_t again[chunk_words];
        NULLM_DISPATCH(level,
                       scan_codes(keys, chunk_positions, codes, shape_.tables, last - first, once, again));
        for (std::size_t w = first; w < last; ++w) {
            twice[w] |= again[w - first] & bits_below(limit, w) & ~bits_below(from, w);
        }
    }

    lsh_shape shape_;
    std::size_t first_;
    std::size_t end_;
    std::size_t merged_;  // positions below it are found in the buckets, the others by comparison
    std::vector<std::shared_ptr<chunk>> chunks_;  // of positions 256 c .. 256 c + 255
    std::shared_ptr<const key_buckets> buckets_;
};

}  // namespace nullm::inline NULLM_ABI
