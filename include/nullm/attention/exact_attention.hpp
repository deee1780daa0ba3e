#pragma once
// Exact causal attention over the chunked cache: online softmax, each chunk's result merged in order of
// position.

#include <nullm/attention/concepts.hpp>
#include <nullm/attention/kv_cache.hpp>
#include <nullm/core/aligned.hpp>
#include <nullm/core/matrix_view.hpp>
#include <nullm/core/simd.hpp>
#include <nullm/core/thread_pool.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

// Register tile of the kernels below, in vectors of sixteen lanes: what fits the register file. It never
// shows in the results, since each output is a sum of its own.
namespace nullm::inline NULLM_ABI {
namespace scalar {
inline constexpr int attention_tile = 2;
}
namespace avx2 {
inline constexpr int attention_tile = 2;
}
namespace avx512 {
inline constexpr int attention_tile = 4;
}
}  // namespace nullm::inline NULLM_ABI

#define NULLM_KERNELS <nullm/attention/exact_attention.inl>
#include <nullm/core/simd/foreach_isa.hpp>

namespace nullm::inline NULLM_ABI {

/// o = softmax(q K / sqrt(head_size)) V over the keys at and below each query's position, with keys and
/// values stored as T = float, f16 or bf16, and all arithmetic in float. Query heads that share a KV head
/// share its loads.
///
/// Scores are fma chains over the head; weights are taken relative to the largest score of their 256-key
/// chunk; a chunk's values are added in order of position, and the chunks merged in order. Work is split over
/// (rows, KV head, chunk), so a single row at depth n still occupies min(n / 256 x KV heads) threads. Cost of
/// a row at position p: 2 (p + 1) x heads x head_size fma, and one read of the layer's cache below p. Keys
/// that lie in rows (kv_cache) are interleaved first, once for sixteen rows: the result has the same bits.
template <CacheElement T = f16>
struct exact_attention {
    using cache_type = T;

    isa level = active_isa();

    /// Scratch memory, grown as needed and kept: the chunks' results before they are merged.
    struct state {
        state(const exact_attention&, const attention_shape& shape) : heads(shape.heads) {}

        std::size_t heads;
        aligned_vector<float> maximum;               // (row, head, chunk)
        aligned_vector<float> total;                 // (row, head, chunk)
        aligned_vector<float> partial;               // (row, head, chunk, value stride)
        std::vector<aligned_vector<T>> interleaved;  // of each range of tasks: one chunk's keys
    };

    /// See the Attention concept. The shapes are the caller's promise: they are not checked here.
    void attend(state& scratch, std::size_t layer, matrix_view<const float> q, std::size_t first,
                const kv_cache<T>& cache, matrix_view<float> o, thread_pool& pool) const {
        if (q.rows == 0) return;
        const std::size_t heads = scratch.heads;
        const std::size_t chunks = chunk_of(first + q.rows - 1) + 1;
        // Few enough rows at a time that their results stay in cache, but a task's worth.
        const std::size_t rows_at_once =
            std::min(q.rows, std::max(block_rows, results_kept / (heads * chunks)));
        const std::size_t results = rows_at_once * heads * chunks;
        if (scratch.maximum.size() < results) {
            scratch.maximum.resize(results);
            scratch.total.resize(results);
            scratch.partial.resize(results * cache.value_stride());
        }
        for (std::size_t begin = 0; begin < q.rows; begin += rows_at_once) {
            const std::size_t count = std::min(rows_at_once, q.rows - begin);
            attend_rows(scratch, layer, q.subrows(begin, count), first + begin, cache,
                        o.subrows(begin, count), pool);
        }
    }

 private:
    static constexpr std::size_t chunk_positions = kv_cache<T>::chunk_positions;
    // Rows of a task: they share a chunk while it is in the second-level cache.
    static constexpr std::size_t block_rows = 16;
    // Results kept before merging; of 64 elements, a megabyte.
    static constexpr std::size_t results_kept = 4096;
    // Multiplications below which waking threads does not pay.
    static constexpr std::size_t serial_work = 16384;

    static std::size_t chunk_of(std::size_t position) { return position / chunk_positions; }

    void attend_rows(state& scratch, std::size_t layer, matrix_view<const float> q, std::size_t first,
                     const kv_cache<T>& cache, matrix_view<float> o, thread_pool& pool) const {
        const auto& shape = cache.shape();
        const std::size_t chunks = chunk_of(first + q.rows - 1) + 1;
        const std::size_t blocks = (q.rows + block_rows - 1) / block_rows;
        const std::size_t tasks = blocks * shape.kv_heads * chunks;
        const std::size_t task_work = std::min(block_rows, q.rows) * scratch.heads / shape.kv_heads *
                                      std::min(first + q.rows, chunk_positions) * shape.head_size;
        const bool in_rows = cache.keys_in_rows(layer);
        std::size_t grain = serial_work / task_work + 1;
        if (in_rows) {
            // A range of tasks has memory of its own, so there are but a few ranges.
            grain = std::max(grain, (tasks + 4 * pool.size() - 1) / (4 * pool.size()));
            const std::size_t ranges = (tasks + grain - 1) / grain;
            if (scratch.interleaved.size() < ranges) scratch.interleaved.resize(ranges);
        }
        pool.for_each_range(tasks, grain, [&](std::size_t begin, std::size_t end) {
            for (std::size_t task = begin; task < end; ++task) {
                const std::size_t chunk = task % chunks;
                const std::size_t kv_head = task / chunks % shape.kv_heads;
                const std::size_t block = task / chunks / shape.kv_heads;
                const T* keys = cache.keys(chunk, layer, kv_head);
                if (in_rows) keys = interleave(keys, cache, scratch.interleaved[begin / grain]);
                attend_block(scratch, layer, kv_head, keys, chunk, chunks, q, first, block * block_rows,
                             cache);
            }
        });
        const std::size_t merges = q.rows * scratch.heads;
        pool.for_each_range(
            merges, serial_work / (chunks * shape.head_size) + 1, [&](std::size_t begin, std::size_t end) {
                for (std::size_t i = begin; i < end; ++i) {
                    const std::size_t row = i / scratch.heads;
                    float* out = o[row] + i % scratch.heads * shape.head_size;
                    NULLM_DISPATCH(
                        level, merge_chunks(chunk_of(first + row) + 1, scratch.maximum.data() + i * chunks,
                                            scratch.total.data() + i * chunks,
                                            scratch.partial.data() + i * chunks * cache.value_stride(),
                                            cache.value_stride(), shape.head_size, out));
                }
            });
    }

    // A chunk's keys as [16 groups][head_size][16 keys], from rows. Those not yet stored are whatever is
    // there.
    static const T* interleave(const T* rows, const kv_cache<T>& cache, aligned_vector<T>& to) {
        const std::size_t size = cache.shape().head_size;
        const std::size_t stride = cache.value_stride();
        constexpr std::size_t lanes = kv_cache<T>::group_keys;
        to.resize(chunk_positions * size);
        for (std::size_t group = 0; group < chunk_positions / lanes; ++group) {
            const T* from = rows + group * lanes * stride;
            T* out = to.data() + group * lanes * size;
            for (std::size_t d = 0; d < size; ++d) {
                for (std::size_t l = 0; l < lanes; ++l) out[d * lanes + l] = from[l * stride + d];
            }
        }
        return to.data();
    }

    // One KV head's queries of a block of rows over one chunk, four at a time.
    void attend_block(state& scratch, std::size_t layer, std::size_t kv_head, const T* keys,
                      std::size_t chunk, std::size_t chunks, matrix_view<const float> q, std::size_t first,
                      std::size_t first_row, const kv_cache<T>& cache) const {
        const auto& shape = cache.shape();
        const std::size_t group = scratch.heads / shape.kv_heads;
        const std::size_t stride = cache.value_stride();
        const float scale = 1.0F / std::sqrt(static_cast<float>(shape.head_size));
        const T* values = cache.values(chunk, layer, kv_head);
        const std::size_t chunk_first = chunk * chunk_positions;
        // Rows that stand before the chunk see nothing of it.
        const std::size_t last_row = std::min(first_row + block_rows, q.rows);
        if (first + first_row < chunk_first) first_row = std::min(last_row, chunk_first - first);

        const std::size_t queries = (last_row - first_row) * group;
        for (std::size_t begin = 0; begin < queries; begin += 4) {
            const std::size_t tile = std::min<std::size_t>(4, queries - begin);
            const float* query[4];
            std::size_t count[4];
            float* partial[4];
            std::size_t slot[4];
            float maximum[4];
            float total[4];
            for (std::size_t i = 0; i < tile; ++i) {
                const std::size_t row = first_row + (begin + i) / group;
                const std::size_t head = kv_head * group + (begin + i) % group;
                query[i] = q[row] + head * shape.head_size;
                count[i] = std::min(chunk_positions, first + row - chunk_first + 1);
                slot[i] = (row * scratch.heads + head) * chunks + chunk;
                partial[i] = scratch.partial.data() + slot[i] * stride;
            }
            NULLM_DISPATCH(level, attend_chunk(tile, keys, values, shape.head_size, stride, scale, query,
                                               count, maximum, total, partial));
            for (std::size_t i = 0; i < tile; ++i) {
                scratch.maximum[slot[i]] = maximum[i];
                scratch.total[slot[i]] = total[i];
            }
        }
    }
};

static_assert(Attention<exact_attention<float>> && Attention<exact_attention<f16>> &&
              Attention<exact_attention<bf16>>);

}  // namespace nullm::inline NULLM_ABI
