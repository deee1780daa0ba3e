#pragma once
// Attention of some queries over single keys picked out of the cache.

#include <nullm/attention/exact_attention.hpp>
#include <nullm/attention/key_mean.hpp>
#include <nullm/attention/key_sampler.hpp>
#include <nullm/attention/kv_cache.hpp>
#include <nullm/attention/normal_draw.hpp>
#include <nullm/attention/picked_row.hpp>
#include <nullm/core/aligned.hpp>
#include <nullm/core/simd.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#define NULLM_KERNELS <nullm/attention/picked_rows.inl>
#include <nullm/core/simd/foreach_isa.hpp>

namespace nullm::inline NULLM_ABI {

/// A softmax over some keys before it is divided: its maximum, the sum of weights e^(score - maximum), that
/// of their squares, and the sum of weighted values. Such parts add up: picked_rows.inl, merge_picked().
struct attention_part {
    float* maximum;
    float* total;
    float* square;
    float* values;  // value_stride() elements
};

/// Up to four queries of one KV head and the keys they read together. In this order: list(), dot(), the
/// surprisals filled in by the caller, mix().
template <CacheElement T>
class picked_rows {
 public:
    static constexpr std::size_t most_heads = 4;

    /// query.q: the queries that read; at `positions`, all of which are cached, what they read.
    void list(const kv_cache<T>& cache, const key_query& query, std::span<const std::uint32_t> positions) {
        heads_ = query.q.rows;
        size_ = query.q.cols;
        stride_ = cache.value_stride();
        count_ = positions.size();
        padded_ = round_up(count_, 16);
        picked_.resize(count_);
        const bool in_rows = cache.keys_in_rows(query.layer);
        if (!in_rows) copied_.assign(count_ * stride_, T{});
        for (std::size_t j = 0; j < count_; ++j) {
            constexpr std::size_t chunk = kv_cache<T>::chunk_positions;
            const std::size_t p = positions[j];
            const cached_key<T> key(cache, query.layer, query.kv_head, p);
            picked_[j] = {key.first,
                          cache.values(p / chunk, query.layer, query.kv_head) + p % chunk * stride_};
            if (in_rows) continue;
            T* const row = copied_.data() + j * stride_;
            for (std::size_t d = 0; d < size_; ++d) row[d] = key.first[d * key.stride];
            picked_[j].key = row;
        }
        queries_.assign(heads_ * stride_, 0.0F);
        for (std::size_t i = 0; i < heads_; ++i)
            std::copy_n(query.q[i], size_, queries_.data() + i * stride_);
        dots_.resize(heads_ * padded_);
        surprisal_.assign(heads_ * padded_, 0.0F);
        for (std::size_t j = 0; j < std::min(count_, rows_from_memory); ++j)
            ask_memory_for(picked_[j], stride_);
    }

    std::size_t heads() const { return heads_; }
    std::size_t rows() const { return count_; }
    /// Query i: value_stride() elements, what pads it 0.
    const float* query(std::size_t i) const { return queries_.data() + i * stride_; }
    /// Products of query i with the keys; behind mix() the weights.
    const float* dots(std::size_t i) const { return dots_.data() + i * padded_; }
    /// -log u of the keys for query i; 0 at first.
    float* surprisal(std::size_t i) { return surprisal_.data() + i * padded_; }

    void dot(isa level) {
        float* dots[most_heads] = {};
        const float* q[most_heads] = {};
        for (std::size_t i = 0; i < heads_; ++i) {
            dots[i] = dots_.data() + i * padded_;
            q[i] = query(i);
        }
        NULLM_DISPATCH(level, dot_picked(heads_, picked_.data(), count_, stride_, q, dots));
    }

    /// log of the sum of e^(dot / sqrt(head_size)) over the keys of query i, one at least; behind dot().
    float log_sum(std::size_t i, isa level) const {
        float largest = 0;
        const float sum = NULLM_DISPATCH(
            level, sum_exponentials(dots(i), count_, 1.0F / std::sqrt(static_cast<float>(size_)), largest));
        return largest + static_cast<float>(portable_log(static_cast<double>(sum)));
    }

    /// For each query, softmax(dots / sqrt(head_size) + surprisal) values. Meanwhile memory is asked for what
    /// `next`, if there is such, has listed.
    void mix(const attention_part* to, isa level, const picked_rows* next = nullptr) {
        const float scale = 1.0F / std::sqrt(static_cast<float>(size_));
        const float* weights[most_heads] = {};
        float* values[most_heads] = {};
        for (std::size_t i = 0; i < heads_; ++i) {
            float* const dots = dots_.data() + i * padded_;
            NULLM_DISPATCH(level,
                           weigh_picked(dots, surprisal(i), count_, scale, *to[i].maximum, *to[i].total));
            *to[i].square = NULLM_DISPATCH(level, square_weights(dots, count_));
            weights[i] = dots;
            values[i] = to[i].values;
        }
        const std::span<const picked_row<T>> rows = picked_;
        const std::span<const picked_row<T>> ahead =
            next == nullptr ? std::span<const picked_row<T>>() : std::span(next->picked_);
        NULLM_DISPATCH(level, mix_picked(heads_, rows, ahead, stride_, weights, values));
    }

    /// sum w^2 (1 - u) |v - o|^2 over the keys of query i, with w its weights over `total`.
    float variance(std::size_t i, float total, const float* o, isa level) {
        variances_.resize(padded_);
        NULLM_DISPATCH(level, weight_variances(dots(i), surprisal(i), count_, total, variances_.data()));
        return NULLM_DISPATCH(level, spread_picked(picked_.data(), variances_.data(), count_, size_, o));
    }

 private:
    std::size_t heads_ = 0;
    std::size_t size_ = 0;
    std::size_t stride_ = 0;
    std::size_t count_ = 0;
    std::size_t padded_ = 0;
    std::vector<picked_row<T>> picked_;
    aligned_vector<T> copied_;         // keys out of a cache that interleaves them
    aligned_vector<float> queries_;    // (query, value stride)
    aligned_vector<float> dots_;       // (query, row), then the weights
    aligned_vector<float> surprisal_;  // (query, row)
    aligned_vector<float> variances_;  // of each row
};

}  // namespace nullm::inline NULLM_ABI
