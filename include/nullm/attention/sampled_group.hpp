#pragma once
// The query heads of one position that share a KV head, attended over what a sampler chooses for them.

#include <nullm/attention/key_sampler.hpp>
#include <nullm/attention/kv_cache.hpp>
#include <nullm/attention/picked_rows.hpp>
#include <nullm/attention/sampling_counts.hpp>
#include <nullm/core/aligned.hpp>
#include <nullm/core/simd.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// A group and the memory it takes to attend it. What it reads comes in parts: of what is chosen, one for
/// each part of the sampler's scan (ScansKeys), or a single one; the last part are sinks and window. Parts
/// are cut by positions and merged in order, so the result does not depend on who read which. In this order:
/// set(), begin(), scan() of each part, settle(), choose() of each, read() of each - parts from different
/// threads, if one likes - and finish(); attend() is the last six.
template <KeySampler S, CacheElement T>
class sampled_group {
 public:
    /// What a group reads from.
    struct source {
        const kv_cache<T>& cache;
        const typename S::index& index;
        const float* means;  // of the layer's keys, (KV head, head_size)
        std::size_t sinks;
        std::size_t window;
        isa level;
    };

    /// `out`: (query head, head_size). Both are referred to.
    void set(const key_query& query, float* out) {
        query_ = query;
        out_ = out;
    }

    /// `how` chooses, here and in what follows; where it is null, all keys are read.
    void begin(const source& from, const S* how) {
        std::size_t parts = 1;
        if constexpr (ScansKeys<S>) {
            if (how != nullptr) parts = how->begin_scan(from.index, query_, scratch_);
        }
        used_ = parts + 1;
        if (parts_.size() < used_) parts_.resize(used_);
        const std::size_t results = query_.q.rows * used_;
        maximum_.resize(results);
        total_.resize(results);
        square_.resize(results);
        factor_.resize(results);
        values_.resize(results * from.cache.value_stride());
    }

    std::size_t parts() const { return used_; }

    /// Of the last part, too: what its keys weigh tells how much is left for those that are chosen.
    void scan(const source& from, const S* how, std::size_t number) {
        if constexpr (ScansKeys<S>) {
            if (how == nullptr) return;
            if (!is_last(number)) return how->scan(from.index, query_, number, scratch_);
            list(from, how, number);
            part& p = parts_[number];
            always_.resize(query_.q.rows);
            for (std::size_t k = 0; k < p.used; ++k) {
                tile& t = p.tiles[k];
                t.rows.dot(from.level);
                for (std::size_t i = 0; i < t.rows.heads(); ++i) {
                    const float shift =
                        mean_product(from, t, i) / std::sqrt(static_cast<float>(query_.q.cols));
                    always_[t.first + i] =
                        t.rows.log_sum(i, from.level) - shift;  // as the sampler has its logits
                }
            }
        }
    }

    void settle(const source& from, const S* how) {
        if constexpr (ScansKeys<S>) {
            if (how != nullptr) how->settle(from.index, query_, always_, scratch_);
        }
    }

    /// Which keys of a part are read. They are asked for.
    void choose(const source& from, const S* how, std::size_t number) {
        if (!was_scanned(how, number)) list(from, how, number);
    }

    /// What the first heads read of a part that has been chosen.
    const picked_rows<T>* chosen_rows(std::size_t number) const { return &parts_[number].tiles[0].rows; }

    /// Attention over what was chosen of a part. `next`: rows to be asked for meanwhile, or null.
    void read(const source& from, const S* how, std::size_t number, const picked_rows<T>* next = nullptr) {
        part& p = parts_[number];
        for (std::size_t k = 0; k < p.used; ++k) {
            tile& t = p.tiles[k];
            if (!was_scanned(how, number)) t.rows.dot(from.level);
            attention_part to[picked_rows<T>::most_heads] = {};
            for (std::size_t i = 0; i < t.rows.heads(); ++i) {
                key_selection& chosen = p.of(t.first + i);
                if constexpr (!ScansKeys<S>) {
                    if (!is_last(number) && how != nullptr) weigh(from, *how, t, i, chosen);
                }
                std::copy(chosen.surprisal.begin(), chosen.surprisal.end(), t.rows.surprisal(i));
                const std::size_t slot = (t.first + i) * used_ + number;
                to[i] = {&maximum_[slot], &total_[slot], &square_[slot],
                         values_.data() + slot * from.cache.value_stride()};
            }
            t.rows.mix(to, from.level, k + 1 < p.used ? &p.tiles[k + 1].rows : next);
        }
    }

    /// Writes the outputs. `how`: as before. Returns the largest estimated relative error of a head
    /// (sampled_attention.hpp has the formula), 0 where none is asked for.
    float finish(const source& from, const S* how, bool estimate) {
        const std::size_t stride = from.cache.value_stride();
        const std::size_t size = query_.q.cols;
        std::uint64_t rows = 0;
        for (std::size_t p = 0; p < used_; ++p) {
            for (std::size_t t = 0; t < parts_[p].used; ++t) rows += parts_[p].tiles[t].rows.rows();
        }
        counts_.rows += rows;
        counts_.bytes += rows * 2 * stride * sizeof(T);
        if constexpr (CountsIndexBytes<S>) {
            if (how != nullptr) counts_.bytes += how->index_bytes(from.index, query_, scratch_);
        }
        effective_ = 0;
        float largest = 0;
        for (std::size_t i = 0; i < query_.q.rows; ++i) {
            const std::size_t slot = i * used_;
            float* const o = out_ + i * size;
            float total = 0;
            float square = 0;
            NULLM_DISPATCH(from.level, merge_picked(used_, &maximum_[slot], &total_[slot], &square_[slot],
                                                    values_.data() + slot * stride, stride, size, o,
                                                    &factor_[slot], total, square));
            effective_ += static_cast<std::uint64_t>(total * total / square + 0.5F);
            if (!estimate) continue;
            const float error = error_of(from, i, total, o);
            if (!(error <= largest) && !std::isnan(largest)) largest = error;  // a NaN stays one
        }
        return largest;
    }

    float attend(const source& from, const S* how, bool estimate) {
        begin(from, how);
        for (std::size_t p = 0; p < used_; ++p) scan(from, how, p);
        settle(from, how);
        for (std::size_t p = 0; p < used_; ++p) {
            choose(from, how, p);
            if (p != 0) read(from, how, p - 1, chosen_rows(p));
        }
        read(from, how, used_ - 1);
        return finish(from, how, estimate);
    }

    /// Counts the heads as attended, with what they chose last; rows and bytes have been counted by finish().
    void count(const source& from, float error) {
        const std::uint64_t heads = query_.q.rows;
        counts_ += {.queries = heads,
                    .candidates = heads * (query_.limit - from.sinks),
                    .always = heads * (from.sinks + from.window),
                    .effective = effective_,
                    .error = heads * static_cast<std::uint64_t>(std::min(error, 1e6F) * 1e6F)};
        for (std::size_t p = 0; p + 1 < used_; ++p) {
            for (std::size_t i = 0; i < heads; ++i) {
                counts_.chosen += parts_[p].of(i).positions.size();
                counts_.floored += parts_[p].of(i).floored;
            }
        }
    }

    void count_refined() { counts_.refined += query_.q.rows; }
    void count_dense() { counts_.dense += query_.q.rows; }
    /// What was counted since the last call.
    sampling_counts take_counts() { return std::exchange(counts_, {}); }

 private:
    // Heads that chose the same keys of a part.
    struct tile {
        std::size_t first = 0;
        picked_rows<T> rows;
        std::vector<float> centred;  // products of a head with centred keys
    };
    struct part {
        std::vector<key_selection> chosen;  // of each query head, or of all
        std::vector<tile> tiles;
        std::size_t used = 0;  // of the tiles

        key_selection& of(std::size_t head) { return chosen[chosen.size() == 1 ? 0 : head]; }
    };

    static bool same_keys(part& p, std::size_t head, std::size_t other) {
        return &p.of(head) == &p.of(other) || p.of(head).positions == p.of(other).positions;
    }
    bool is_last(std::size_t number) const { return number + 1 == used_; }
    // Whether scan() listed the part's keys and multiplied by them.
    bool was_scanned(const S* how, std::size_t number) const {
        return ScansKeys<S> && how != nullptr && is_last(number);
    }

    // What a part reads: keys, and the heads that read them together.
    void list(const source& from, const S* how, std::size_t number) {
        part& p = parts_[number];
        p.used = 0;
        if (is_last(number) || how == nullptr) {
            p.chosen.resize(1);
            key_selection& chosen = p.chosen[0];
            if (is_last(number)) {
                list_always(from, chosen.positions);
            } else {
                list_between(from, chosen.positions);
            }
            chosen.surprisal.assign(chosen.positions.size(), 0.0F);
            chosen.floored = 0;
        } else if constexpr (ScansKeys<S>) {
            p.chosen.resize(1);
            how->draw(from.index, query_, number, scratch_, p.chosen[0]);
        } else {
            p.chosen.resize(query_.q.rows);
            how->select(from.index, query_, p.chosen, scratch_);
        }
        // Heads that read the same keys read them together.
        for (std::size_t begin = 0, end = 0; begin < query_.q.rows; begin = end) {
            for (end = begin + 1; end < query_.q.rows && end - begin < picked_rows<T>::most_heads; ++end) {
                if (!same_keys(p, begin, end)) break;
            }
            if (p.tiles.size() == p.used) p.tiles.emplace_back();
            tile& t = p.tiles[p.used++];
            t.first = begin;
            key_query query = query_;
            query.q = query.q.subrows(begin, end - begin);
            t.rows.list(from.cache, query, p.of(begin).positions);
        }
    }

    void list_always(const source& from, std::vector<std::uint32_t>& positions) const {
        positions.resize(from.sinks + from.window);
        const auto window = positions.begin() + static_cast<std::ptrdiff_t>(from.sinks);
        std::iota(positions.begin(), window, 0U);
        std::iota(window, positions.end(), static_cast<std::uint32_t>(query_.limit));
    }
    void list_between(const source& from, std::vector<std::uint32_t>& positions) const {
        positions.resize(query_.limit - from.sinks);
        std::iota(positions.begin(), positions.end(), static_cast<std::uint32_t>(from.sinks));
    }

    // The sampler knows products with centred keys: q (k - mean) = q k - q mean.
    float mean_product(const source& from, const tile& t, std::size_t i) const {
        const float* const mean = from.means + query_.kv_head * query_.q.cols;
        return NULLM_DISPATCH(from.level, dot_of(t.rows.query(i), mean, query_.q.cols));
    }
    void weigh(const source& from, const S& how, tile& t, std::size_t i, key_selection& chosen) const {
        const float shift = mean_product(from, t, i);
        const float* const dots = t.rows.dots(i);
        t.centred.resize(chosen.positions.size());
        for (std::size_t j = 0; j < t.centred.size(); ++j) t.centred[j] = dots[j] - shift;
        how.weigh(from.index, query_, t.first + i, t.centred, scratch_, chosen);
    }

    // Of head i, whose weights add up to `total`.
    float error_of(const source& from, std::size_t i, float total, const float* o) {
        float variance = 0;
        for (std::size_t p = 0; p < used_; ++p) {
            std::size_t t = parts_[p].used - 1;
            while (parts_[p].tiles[t].first > i) --t;
            tile& read = parts_[p].tiles[t];
            variance += read.rows.variance(i - read.first, total / factor_[i * used_ + p], o, from.level);
        }
        const float square = NULLM_DISPATCH(from.level, dot_of(o, o, query_.q.cols));
        return variance == 0 ? 0.0F : std::sqrt(variance / square);
    }

    key_query query_;
    float* out_ = nullptr;
    typename S::scratch scratch_;
    std::vector<part> parts_;
    std::size_t used_ = 0;        // of the parts
    std::vector<float> maximum_;  // (query head, part), as what follows: see attention_part
    std::vector<float> total_;
    std::vector<float> square_;
    std::vector<float> factor_;     // e^(own maximum - that of all parts)
    aligned_vector<float> values_;  // (query head, part, value stride)
    std::vector<float> always_;     // of each query head: log of the last part's sum of e^logit
    std::uint64_t effective_ = 0;   // keys, of all heads
    sampling_counts counts_;
};

}  // namespace nullm::inline NULLM_ABI
