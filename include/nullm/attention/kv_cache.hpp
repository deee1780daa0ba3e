#pragma once
// The keys and values of all positions, in chunks that copies of the cache share until one of them is
// written.

#include <nullm/core/aligned.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/simd.hpp>

#include <algorithm>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#define NULLM_KERNELS <nullm/attention/kv_store.inl>
#include <nullm/core/simd/foreach_isa.hpp>

namespace nullm::inline NULLM_ABI {

/// What keys and values may be stored as.
template <class T>
concept CacheElement = std::same_as<T, float> || std::same_as<T, f16> || std::same_as<T, bf16>;

/// What a cache holds of every position.
struct kv_shape {
    std::size_t layers = 0;
    std::size_t kv_heads = 0;
    std::size_t head_size = 0;
    friend bool operator==(const kv_shape&, const kv_shape&) = default;
};

/// Keys and values of positions [0, length()) for all layers and KV heads, stored as T = float, f16 or bf16.
///
/// Memory comes in chunks of 256 positions that begin at multiples of 256. Copying a cache copies pointers:
/// the copy shares the chunks, and whoever writes into a shared chunk first takes a copy of it. So a copy is
/// a snapshot, and sessions may share a prefix, on different threads too (each cache object itself belongs to
/// one thread).
///
/// A chunk holds, for each (layer, KV head), the values as [256][head_size rounded up to 16], the padding
/// being zero, and the keys in one of two ways, chosen by layer. Where all keys are read they are
/// interleaved, [16 groups][head_size][16 keys]: lanes are keys, so scores need no horizontal sum. Where a
/// few are picked out they lie in rows, as the values do: a key interleaved touches as much memory as
/// sixteen.
template <CacheElement T>
class kv_cache {
 public:
    using value_type = T;
    static constexpr std::size_t chunk_positions = 256;
    static constexpr std::size_t group_keys = 16;

    /// An empty cache for at most `capacity` positions; allocates nothing yet. Layer l has its keys in rows
    /// iff l < rows.size() and rows[l]. Throws error for an empty shape, or one whose chunk would not fit the
    /// address space.
    kv_cache(kv_shape shape, std::size_t capacity, std::vector<bool> rows = {})
        : shape_(shape), capacity_(capacity), rows_(std::move(rows)) {
        constexpr std::size_t most = 1U << 20U;  // of each factor: the products below fit 64 bits
        if (shape.layers == 0 || shape.kv_heads == 0 || shape.head_size == 0 || shape.layers > most ||
            shape.kv_heads > most || shape.head_size > most ||
            shape.layers * shape.kv_heads > (most << 10) / shape.head_size) {
            throw error("kv cache", "1 to 2^30 layers x KV heads x head size",
                        std::to_string(shape.layers) + " x " + std::to_string(shape.kv_heads) + " x " +
                            std::to_string(shape.head_size));
        }
    }

    const kv_shape& shape() const { return shape_; }
    /// Positions held.
    std::size_t length() const { return length_; }
    /// Positions that may be held.
    std::size_t capacity() const { return capacity_; }
    /// Whether a layer's keys lie in rows, one after another.
    bool keys_in_rows(std::size_t layer) const { return layer < rows_.size() && rows_[layer]; }
    /// Bytes of the chunks this cache refers to, shared ones included.
    std::size_t allocated_bytes() const { return chunks_.size() * chunk_elements() * sizeof(T); }

    /// Makes positions [length(), n) writable: allocates what is missing, copies what is shared. Cost: up to
    /// one chunk copied. Throws error if n exceeds capacity(); nothing has changed then.
    void prepare(std::size_t n) {
        if (n > capacity_) {
            throw error("kv cache", "at most " + std::to_string(capacity_) + " positions", std::to_string(n));
        }
        for (std::size_t c = length_ / chunk_positions; c * chunk_positions < n; ++c) {
            if (c == chunks_.size()) {
                chunks_.push_back(std::make_shared<chunk>(chunk_elements()));
            } else if (chunks_[c].use_count() != 1) {
                const bool holds_positions = c * chunk_positions < length_;
                chunks_[c] = holds_positions ? std::make_shared<chunk>(*chunks_[c])
                                             : std::make_shared<chunk>(chunk_elements());
            }
        }
        // use_count() is a relaxed read: what the last other owner did must be done before we write.
        std::atomic_thread_fence(std::memory_order_acquire);
    }

    /// Writes one position's keys and values of a layer, each kv_heads x head_size floats, rounded to T. The
    /// position must be prepared. Different positions may be written from different threads.
    void store(std::size_t layer, std::size_t position, std::span<const float> key,
               std::span<const float> value, isa level = active_isa()) {
        T* block = chunks_[position / chunk_positions]->data();
        const std::size_t at = position % chunk_positions;
        for (std::size_t head = 0; head < shape_.kv_heads; ++head) {
            T* keys = block + block_offset(layer, head);
            T* value_row = keys + (chunk_positions + at) * value_stride();
            const float* k = key.data() + head * shape_.head_size;
            const float* v = value.data() + head * shape_.head_size;
            if (keys_in_rows(layer)) {
                NULLM_DISPATCH(level, store_row(k, shape_.head_size, keys + at * value_stride()));
            } else {
                NULLM_DISPATCH(level, store_lane(k, shape_.head_size,
                                                 keys + at / group_keys * group_keys * shape_.head_size +
                                                     at % group_keys));
            }
            NULLM_DISPATCH(level, store_row(v, shape_.head_size, value_row));
        }
    }

    /// Declares the positions below n, prepared and stored in every layer, as held.
    void commit(std::size_t n) { length_ = n; }

    /// Forgets the positions from n on (n > length() changes nothing). Keeps one chunk in reserve, so that a
    /// writer who steps back and forth over a chunk's border does not allocate each time.
    void truncate(std::size_t n) {
        length_ = std::min(length_, n);
        const std::size_t used = (length_ + chunk_positions - 1) / chunk_positions;
        if (chunks_.size() > used + 1) chunks_.resize(used + 1);
    }

    /// Takes over the positions of another cache by sharing its chunks; the own capacity stays.
    /// Throws error if the shapes or their keys' places differ, or the positions exceed capacity(); nothing
    /// has changed then.
    void adopt(const kv_cache& other) {
        if (!(other.shape_ == shape_))
            throw error("kv cache", "a snapshot of the same model", "another shape");
        for (std::size_t layer = 0; layer < shape_.layers; ++layer) {
            if (other.keys_in_rows(layer) != keys_in_rows(layer)) {
                throw error("kv cache", "a snapshot of the same attention", "keys laid out for another");
            }
        }
        if (other.length_ > capacity_) {
            throw error("kv cache", "a snapshot of at most " + std::to_string(capacity_) + " positions",
                        std::to_string(other.length_));
        }
        chunks_ = other.chunks_;
        length_ = other.length_;
    }

    /// Keys of chunk c: [256][value_stride()] where they lie in rows, else [256 / 16][head_size][16].
    const T* keys(std::size_t c, std::size_t layer, std::size_t head) const {
        return chunks_[c]->data() + block_offset(layer, head);
    }
    /// Values of chunk c as [256][value_stride()].
    const T* values(std::size_t c, std::size_t layer, std::size_t head) const {
        return keys(c, layer, head) + chunk_positions * value_stride();
    }
    /// head_size rounded up to whole lanes.
    std::size_t value_stride() const { return round_up(shape_.head_size, group_keys); }

 private:
    using chunk = aligned_vector<T>;

    std::size_t block_elements() const { return 2 * chunk_positions * value_stride(); }
    std::size_t chunk_elements() const { return shape_.layers * shape_.kv_heads * block_elements(); }
    std::size_t block_offset(std::size_t layer, std::size_t head) const {
        return (layer * shape_.kv_heads + head) * block_elements();
    }

    kv_shape shape_;
    std::size_t capacity_;
    std::vector<bool> rows_;
    std::size_t length_ = 0;
    std::vector<std::shared_ptr<chunk>> chunks_;  // of positions 256 c .. 256 c + 255
};

}  // namespace nullm::inline NULLM_ABI
