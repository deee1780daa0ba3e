#pragma once
// The sketches of one KV head's keys, growing at the end, cut at the end, shared by copies.

#include <nullm/attention/sketch_code.hpp>
#include <nullm/attention/sketch_kernels.hpp>
#include <nullm/core/aligned.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// Codes, scales and spreads (sketch_code.hpp) of the keys at positions [first, end()), in chunks of 1024
/// positions that copies share until one of them is written, as in kv_cache: long ones, because a scan runs
/// on over memory that lies together. Per key: bits x width / 8 bytes of code and 4 of scale and spread.
template <int bits>
class sketch_index {
 public:
    using code = sketch_code<bits>;
    static constexpr std::size_t chunk_positions = 1024;
    /// What score() takes at a time.
    static constexpr std::size_t piece_positions = 256;

    sketch_index(std::size_t width, std::size_t first) : width_(width), first_(first), end_(first) {}

    std::size_t first() const { return first_; }
    std::size_t end() const { return end_; }
    /// Bytes referred to, shared ones included.
    std::size_t bytes() const {
        return chunks_.size() * (sizeof(chunk) + chunk_positions / 16 * stride() * sizeof(std::int32_t));
    }

    /// What score() reads of a position.
    std::size_t bytes_a_key() const { return (code::words(width_) + 1) * sizeof(std::int32_t); }

    /// Makes positions [end(), n) writable: allocates what is missing, copies what is shared.
    void prepare(std::size_t n) {
        for (std::size_t c = end_ / chunk_positions; c * chunk_positions < n; ++c) {
            // Those wholly before the first position stay empty, but they have their place.
            while (chunks_.size() <= c) chunks_.push_back(std::make_shared<chunk>(chunk_positions / 16 * stride()));
            if (chunks_[c].use_count() != 1) chunks_[c] = std::make_shared<chunk>(*chunks_[c]);
        }
        // use_count() is a relaxed read: what the last other owner did must be done before we write.
        std::atomic_thread_fence(std::memory_order_acquire);
    }
    /// Stores the sketch of a rotated key, `width` elements, at a prepared position. `codes`: scratch memory.
    /// Different positions of one chunk may not be stored from different threads.
    void store(std::size_t position, const float* rotated, std::vector<std::int32_t>& codes, isa level) {
        chunk& c = *chunks_[position / chunk_positions];
        const std::size_t at = position % chunk_positions;
        codes.resize(2 * width_);
        std::int32_t* const words = c.codes.data() + at / 16 * stride() + at % 16;
        const std::int32_t scale = code::encode(rotated, width_, codes.data(), words, level);
        words[16 * code::words(width_)] = scale;
        const std::uint64_t bit = std::uint64_t{1} << at % 64;
        std::uint64_t& always = c.always[at / 64];
        always = code::scale(scale) == 0 ? always | bit : always & ~bit;
    }
    /// Declares the positions below n, prepared and stored, as held.
    void commit(std::size_t n) { end_ = n; }

    /// Forgets the positions from n on.
    void truncate(std::size_t n) {
        end_ = std::min(end_, std::max(n, first_));
        const std::size_t used = (end_ + chunk_positions - 1) / chunk_positions;
        if (chunks_.size() > used + 1) chunks_.resize(used + 1);
    }

    /// Proxy logits of the first `groups` x 16 of 256 positions, those from 256 piece on, for up to four
    /// queries: sketch_scan.inl.
    void score(std::size_t piece, std::size_t groups, std::size_t queries, const std::int8_t* const* q,
               const std::int32_t* offset, const float* factor, const float* square, float* const* scores,
               isa level) const {
        // Far enough ahead for memory to answer, whose pages a processor's own prefetching does not cross.
        const std::size_t next = piece + 4 < chunks_.size() * pieces ? piece + 4 : piece;
        score_codes<bits>(level, queries, begin_of(piece), code::words(width_), groups, begin_of(next), q, offset,
                          factor, square, scores);
    }
    /// A bit for each of 64 positions, those from 64 word on: set if its key has no direction.
    std::uint64_t always(std::size_t word) const {
        return chunks_[word / (chunk_positions / 64)]->always[word % (chunk_positions / 64)];
    }
    /// Where a position's chunk lies: the same for copies that share it.
    const void* chunk_of(std::size_t position) const { return chunks_[position / chunk_positions].get(); }

    /// A position's scale and spread; 0 if its key has no direction.
    std::int32_t scale(std::size_t position) const { return lane(position)[16 * code::words(width_)]; }
    /// A position's code of coordinate d.
    std::int32_t code_of(std::size_t position, std::size_t d) const { return code::code(lane(position), d); }

    /// The same keys at the same positions. What is shared does not count.
    friend bool operator==(const sketch_index& a, const sketch_index& b) {
        if (a.width_ != b.width_ || a.first_ != b.first_ || a.end_ != b.end_) return false;
        for (std::size_t p = a.first_; p < a.end_; ++p) {
            if (a.scale(p) != b.scale(p)) return false;
            for (std::size_t d = 0; d < a.width_; ++d) {
                if (a.code_of(p, d) != b.code_of(p, d)) return false;
            }
        }
        return true;
    }

 private:
    static constexpr std::size_t pieces = chunk_positions / piece_positions;  // of a chunk

    struct chunk {
        explicit chunk(std::size_t words) : codes(words) {}
        aligned_vector<std::int32_t> codes;  // [1024 / 16][words + 1][16], the last of a group scale and spread
        std::array<std::uint64_t, chunk_positions / 64> always{};
    };

    std::size_t stride() const { return (code::words(width_) + 1) * 16; }  // of a group of 16
    const std::int32_t* begin_of(std::size_t piece) const {
        return chunks_[piece / pieces]->codes.data() + piece % pieces * (piece_positions / 16) * stride();
    }
    const std::int32_t* lane(std::size_t position) const {
        const std::size_t at = position % chunk_positions;
        return chunks_[position / chunk_positions]->codes.data() + at / 16 * stride() + at % 16;
    }

    std::size_t width_;
    std::size_t first_;
    std::size_t end_;
    std::vector<std::shared_ptr<chunk>> chunks_;  // of positions 1024 c .. 1024 c + 1023
};

}  // namespace nullm::inline NULLM_ABI
