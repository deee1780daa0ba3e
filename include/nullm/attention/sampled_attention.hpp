#pragma once
// Attention over a random choice of keys, reweighted so that its sums have the full sums as their mean.

#include <nullm/attention/concepts.hpp>
#include <nullm/attention/exact_attention.hpp>
#include <nullm/attention/key_mean.hpp>
#include <nullm/attention/key_sampler.hpp>
#include <nullm/attention/picked_rows.hpp>
#include <nullm/attention/sampling_counts.hpp>
#include <nullm/core/aligned.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/simd.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// The estimator of MagicPIG (arXiv 2410.16179, Eq. 9 and 11) over any KeySampler: with s the scores q k /
/// sqrt(d) and u the probabilities to be chosen, o = softmax(s - log u) V over the chosen keys and some that
/// always are (u = 1). Numerator and denominator are unbiased, their ratio consistent.
///
/// A query at position p is sampled iff its layer is not dense, p >= sample_from, and at least
/// sampler.min_indexed keys lie between sinks and window: a rule on position alone. Any other is attended
/// exactly, by exact_attention. For a sampled one the keys fall into three ranges: the first `sinks`
/// positions and the last `window`, its own included, which it reads all, and those between, of which it
/// reads what the sampler chooses. A key enters the index when it leaves the window.
///
/// The sampler sees keys less their mean over the indexed keys of the first position that is sampled (the
/// scores, of whole keys, are shifted by that alike, so the softmax is not). Means and index follow the
/// cache: truncate() keeps what it does not touch, and drops all if it reaches into the range of the mean.
///
/// The error of a head is estimated from the keys it has read, by the delta method and as if they had been
/// chosen independently (a sketch_sampler's are): Var o = sum w^2 (1 - u) |v - o|^2 over w the weights that
/// mix o. It rests on the query, its position and what was chosen alone, so the decision what to read does,
/// too.
///
/// Cost of a sampled query head: the sampler's, and 2 head_size fma for each key read; heads of a group that
/// chose the same keys share their loads. The layers that are sampled want their keys in rows (picks_keys).
template <KeySampler S, CacheElement T = f16>
struct sampled_attention {
    using cache_type = T;

    S sampler{};
    std::size_t sinks = 4;
    std::size_t window = 64;
    /// Layers l with l % dense_every == 0 are attended exactly; 0: none is.
    std::size_t dense_every = 16;
    /// The certificate: where a head's estimated relative error |o - exact| / |exact| is above it, its group
    /// reads four times the keys, if the sampler can, and all of them if that is not enough. 0: no estimate,
    /// no limit.
    float error_limit = 0;
    isa level = active_isa();

    /// What the attention keeps of the keys, at one time. Shares memory with the state until that changes.
    struct snapshot {
        typename S::index index;
        std::vector<std::shared_ptr<const std::vector<float>>> means;
        std::size_t mean_end;
    };

    class state;

    /// Whether queries of this layer are ever sampled.
    bool samples(std::size_t layer) const { return dense_every == 0 || layer % dense_every != 0; }

    /// See PicksKeys.
    bool picks_keys(std::size_t layer) const { return samples(layer); }

    /// See the Attention concept. The shapes are the caller's promise: they are not checked here.
    void attend(state& s, std::size_t layer, matrix_view<const float> q, std::size_t first,
                const kv_cache<T>& cache, matrix_view<float> o, thread_pool& pool) const {
        const std::size_t exact_rows =
            samples(layer) ? std::min(q.rows, std::max(s.first_sampled_, first) - first) : q.rows;
        if (exact_rows != 0) {
            exact_attention<T>{.level = level}.attend(s.exact_, layer, q.subrows(0, exact_rows), first, cache,
                                                      o.subrows(0, exact_rows), pool);
        }
        if (exact_rows == q.rows) return;
        index_until(s, layer, first + q.rows - window, cache, pool);

        const std::size_t kv_heads = cache.shape().kv_heads;
        const std::size_t groups = (q.rows - exact_rows) * kv_heads;
        // A range of groups has memory of its own, so there are but a few; where there are hardly more groups
        // than threads, these share out the parts of each.
        const bool shared = error_limit == 0 && pool.size() > 1 && groups < 4 * pool.size();
        const std::size_t grain = shared ? 1 : (groups + 4 * pool.size() - 1) / (4 * pool.size());
        const std::size_t ranges = (groups + grain - 1) / grain;
        if (s.groups_.size() < ranges) s.groups_.resize(ranges);
        const auto set = [&](group_memory& m, std::size_t group) {
            const std::size_t row = exact_rows + group / kv_heads;
            const std::size_t kv_head = group % kv_heads;
            const std::size_t size = cache.shape().head_size;
            const std::size_t heads = s.heads_ / kv_heads;
            m.query = {.layer = layer,
                       .kv_head = kv_head,
                       .position = first + row,
                       .limit = first + row + 1 - window,
                       .q = {q[row] + kv_head * heads * size, heads, size}};
            m.out = o[row] + kv_head * heads * size;
        };
        if (shared) {
            for (std::size_t g = 0; g < groups; ++g) set(s.groups_[g], g);
            attend_shared(s, groups, cache, pool);
        } else {
            pool.for_each_range(groups, grain, [&](std::size_t from, std::size_t to) {
                group_memory& memory = s.groups_[from / grain];
                for (std::size_t g = from; g < to; ++g) {
                    set(memory, g);
                    attend_group(s, memory, cache);
                }
            });
        }
        for (std::size_t r = 0; r < ranges; ++r) s.counts_ += std::exchange(s.groups_[r].counts, {});
    }

    /// Forgets what belongs to positions from n on.
    void truncate(state& s, std::size_t n) const {
        if (n < s.mean_end_) {
            for (auto& mean : s.means_) mean.reset();
            n = 0;
        }
        s.index_.truncate(n);
    }

    snapshot save(const state& s) const { return {s.index_, s.means_, s.mean_end_}; }

    /// The snapshot must be of the same description and model. One of a session that samples from another
    /// position is not of use: its keys are centred on another mean. The index is then empty, and built again
    /// when needed.
    void restore(state& s, snapshot saved) const {  // by value: what follows does not throw
        if (saved.mean_end == s.mean_end_) {
            s.index_ = std::move(saved.index);
            s.means_ = std::move(saved.means);
        } else {
            truncate(s, 0);
        }
    }

    /// What has been sampled on this state so far.
    const sampling_counts& counts(const state& s) const { return s.counts_; }
    /// What the sampler keeps of the keys.
    const typename S::index& index(const state& s) const { return s.index_; }

 private:
    // Heads that chose the same keys of a part.
    struct tile {
        std::size_t first = 0;
        picked_rows<T> rows;
        std::vector<float> centred;  // products of a head with centred keys
    };
    // What a group reads at a time: the keys chosen of some range of positions, or sinks and window.
    struct part_memory {
        std::vector<key_selection> chosen;  // of each query head
        std::vector<tile> tiles;
        std::size_t used = 0;  // of the tiles
    };
    // The query heads of one row that share a KV head, and the memory it takes to attend them.
    struct group_memory {
        key_query query;
        float* out = nullptr;
        typename S::scratch sampler;
        std::vector<part_memory> parts;
        std::size_t used = 0;            // of the parts; the last is that of sinks and window
        std::vector<float> maximum;      // (query head, part), as what follows
        std::vector<float> total;
        std::vector<float> square;
        std::vector<float> factor;
        aligned_vector<float> values;    // (query head, part, value stride)
        std::uint64_t effective = 0;  // keys, of all heads
        sampling_counts counts;
    };

    // Brings the layer's index up to the keys below `end`.
    void index_until(state& s, std::size_t layer, std::size_t end, const kv_cache<T>& cache,
                     thread_pool& pool) const {
        const auto& shape = cache.shape();
        const std::size_t width = shape.kv_heads * shape.head_size;
        if (!s.means_[layer]) {
            std::vector<float> means(width);
            pool.for_each_range(shape.kv_heads, 1, [&](std::size_t begin, std::size_t stop) {
                for (std::size_t h = begin; h < stop; ++h) {
                    mean_key(cache, layer, h, sinks, s.mean_end_,
                             std::span(means.data() + h * shape.head_size, shape.head_size));
                }
            });
            s.means_[layer] = std::make_shared<const std::vector<float>>(std::move(means));
        }
        const float* means = s.means_[layer]->data();
        for (std::size_t first = s.index_.end(layer); first < end; first = s.index_.end(layer)) {
            const std::size_t rows = std::min(end - first, index_rows);
            s.centred_.resize(std::max(s.centred_.size(), rows * width));
            pool.for_each_range(rows, 16, [&](std::size_t begin, std::size_t stop) {
                for (std::size_t i = begin * shape.kv_heads; i < stop * shape.kv_heads; ++i) {
                    const std::size_t at = i % shape.kv_heads * shape.head_size;
                    centred_key(cache, layer, i % shape.kv_heads, first + i / shape.kv_heads,
                                std::span(means + at, shape.head_size),
                                std::span(s.centred_.data() + i * shape.head_size, shape.head_size));
                }
            });
            sampler.append(s.index_, layer, matrix_view<const float>(s.centred_.data(), rows, width), pool);
        }
    }

    // All at once, and again with more keys as long as the error is above the limit.
    void attend_group(const state& s, group_memory& m, const kv_cache<T>& cache) const {
        float error = attend_once(s, m, &sampler, cache);
        if (error_limit > 0 && !(error <= error_limit)) {
            m.counts.refined += m.query.q.rows;
            if constexpr (RefinesChoice<S>) {
                const S more = sampler.refined(4);
                error = attend_once(s, m, &more, cache);
            }
            if (!(error <= error_limit)) {
                m.counts.dense += m.query.q.rows;
                error = attend_once(s, m, nullptr, cache);
            }
        }
        count(m, error);
    }

    // `how` chooses; nothing where all keys are read.
    float attend_once(const state& s, group_memory& m, const S* how, const kv_cache<T>& cache) const {
        begin(s, m, how, cache);
        if constexpr (ScansKeys<S>) {
            for (std::size_t p = 0; how != nullptr && p + 1 < m.used; ++p)
                how->scan(s.index_, m.query, p, m.sampler);
            if (how != nullptr) how->settle(s.index_, m.query, m.sampler);
        }
        for (std::size_t p = 0; p < m.used; ++p) choose(s, m, p, how, cache);
        for (std::size_t p = 0; p < m.used; ++p) read(s, m, p, how, cache);
        return finish(m, cache);
    }

    // Some groups, whose parts are shared out to the threads.
    void attend_shared(state& s, std::size_t groups, const kv_cache<T>& cache, thread_pool& pool) const {
        s.jobs_.clear();
        for (std::size_t g = 0; g < groups; ++g) {
            begin(s, s.groups_[g], &sampler, cache);
            for (std::size_t p = 0; p < s.groups_[g].used; ++p) s.jobs_.push_back({g, p});
        }
        if constexpr (ScansKeys<S>) {
            pool.for_each(s.jobs_.size(), 1, [&](std::size_t j) {
                group_memory& m = s.groups_[s.jobs_[j].group];
                if (s.jobs_[j].part + 1 < m.used) sampler.scan(s.index_, m.query, s.jobs_[j].part, m.sampler);
            });
            pool.for_each(groups, 1, [&](std::size_t g) {
                sampler.settle(s.index_, s.groups_[g].query, s.groups_[g].sampler);
            });
        }
        // A thread mostly reads what it chose, and what it asked for meanwhile is there.
        pool.for_each(s.jobs_.size(), 1, [&](std::size_t j) {
            choose(s, s.groups_[s.jobs_[j].group], s.jobs_[j].part, &sampler, cache);
        });
        pool.for_each(s.jobs_.size(), 1, [&](std::size_t j) {
            read(s, s.groups_[s.jobs_[j].group], s.jobs_[j].part, &sampler, cache);
        });
        for (std::size_t g = 0; g < groups; ++g) count(s.groups_[g], finish(s.groups_[g], cache));
    }

    void begin(const state& s, group_memory& m, const S* how, const kv_cache<T>& cache) const {
        std::size_t parts = 1;
        if constexpr (ScansKeys<S>) {
            if (how != nullptr) parts = how->begin_scan(s.index_, m.query, m.sampler);
        }
        m.used = parts + 1;
        if (m.parts.size() < m.used) m.parts.resize(m.used);
        const std::size_t results = m.query.q.rows * m.used;
        m.maximum.resize(results);
        m.total.resize(results);
        m.square.resize(results);
        m.factor.resize(results);
        m.values.resize(results * cache.value_stride());
    }

    // A part of the group: which keys are read. They are asked for.
    void choose(const state& s, group_memory& m, std::size_t number, const S* how,
                const kv_cache<T>& cache) const {
        part_memory& part = m.parts[number];
        part.chosen.resize(m.query.q.rows);
        const bool always = number + 1 == m.used;
        if (always || how == nullptr) {
            for (key_selection& chosen : part.chosen) {
                list_all(m.query, always, chosen.positions);
                chosen.surprisal.assign(chosen.positions.size(), 0.0F);
                chosen.floored = 0;
            }
        } else if constexpr (ScansKeys<S>) {
            how->draw(s.index_, m.query, number, m.sampler, part.chosen);
        } else {
            how->select(s.index_, m.query, part.chosen, m.sampler);
        }
        part.used = 0;
        // Heads that read the same keys read them together.
        for (std::size_t begin = 0, end = 0; begin < part.chosen.size(); begin = end) {
            for (end = begin + 1; end < part.chosen.size() && end - begin < picked_rows<T>::most_heads; ++end) {
                if (part.chosen[end].positions != part.chosen[begin].positions) break;
            }
            if (part.tiles.size() == part.used) part.tiles.emplace_back();
            tile& t = part.tiles[part.used++];
            t.first = begin;
            key_query query = m.query;
            query.q = query.q.subrows(begin, end - begin);
            t.rows.list(cache, query, part.chosen[begin].positions);
        }
    }

    // Attention over what was chosen of it.
    void read(const state& s, group_memory& m, std::size_t number, const S* how,
              const kv_cache<T>& cache) const {
        part_memory& part = m.parts[number];
        for (std::size_t k = 0; k < part.used; ++k) {
            tile& t = part.tiles[k];
            t.rows.dot(level);
            attention_part to[picked_rows<T>::most_heads] = {};
            for (std::size_t i = 0; i < t.rows.heads(); ++i) {
                key_selection& chosen = part.chosen[t.first + i];
                if (number + 1 != m.used && how != nullptr) weigh(s, m, t, t.first + i, *how, chosen);
                std::copy(chosen.surprisal.begin(), chosen.surprisal.end(), t.rows.surprisal(i));
                const std::size_t slot = (t.first + i) * m.used + number;
                to[i] = {&m.maximum[slot], &m.total[slot], &m.square[slot],
                         m.values.data() + slot * cache.value_stride()};
            }
            t.rows.mix(to, level);
        }
    }

    // Sinks and window, or all that lies between them.
    void list_all(const key_query& query, bool always, std::vector<std::uint32_t>& positions) const {
        positions.resize(always ? sinks + window : query.limit - sinks);
        const auto cut = positions.begin() + static_cast<std::ptrdiff_t>(always ? sinks : 0);
        std::iota(positions.begin(), cut, 0U);
        std::iota(cut, positions.end(), static_cast<std::uint32_t>(always ? query.limit : sinks));
    }

    // The sampler weighs by products with centred keys: q (k - mean) = q k - q mean.
    void weigh(const state& s, const group_memory& m, tile& t, std::size_t head, const S& how,
               key_selection& chosen) const {
        const std::size_t size = m.query.q.cols;
        const float* mean = s.means_[m.query.layer]->data() + m.query.kv_head * size;
        const float shift = NULLM_DISPATCH(level, dot_of(t.rows.query(head - t.first), mean, size));
        const float* const dots = t.rows.dots(head - t.first);
        t.centred.resize(chosen.positions.size());
        for (std::size_t j = 0; j < t.centred.size(); ++j) t.centred[j] = dots[j] - shift;
        how.weigh(s.index_, m.query, head, t.centred, m.sampler, chosen);
    }

    // The group's outputs from its parts. Returns the largest estimated error of a head, if there is a limit.
    float finish(group_memory& m, const kv_cache<T>& cache) const {
        float largest = 0;
        const std::size_t stride = cache.value_stride();
        const std::size_t size = m.query.q.cols;
        for (std::size_t p = 0; p < m.used; ++p) {
            for (std::size_t t = 0; t < m.parts[p].used; ++t) m.counts.rows += m.parts[p].tiles[t].rows.rows();
        }
        m.effective = 0;
        for (std::size_t i = 0; i < m.query.q.rows; ++i) {
            const std::size_t slot = i * m.used;
            float* const o = m.out + i * size;
            float total = 0;
            float square = 0;
            NULLM_DISPATCH(level, merge_picked(m.used, &m.maximum[slot], &m.total[slot], &m.square[slot],
                                               m.values.data() + slot * stride, stride, size, o, &m.factor[slot],
                                               total, square));
            m.effective += static_cast<std::uint64_t>(total * total / square + 0.5F);
            if (error_limit == 0) continue;
            float variance = 0;
            for (std::size_t p = 0; p < m.used; ++p) {
                part_memory& part = m.parts[p];
                std::size_t t = part.used - 1;
                while (part.tiles[t].first > i) --t;
                variance += part.tiles[t].rows.variance(i - part.tiles[t].first, total / m.factor[slot + p], o,
                                                        level);
            }
            const float length = NULLM_DISPATCH(level, dot_of(o, o, size));
            const float error = variance == 0 ? 0.0F : std::sqrt(variance / length);
            if (!(error <= largest) && !std::isnan(largest)) largest = error;  // a NaN stays one
        }
        return largest;
    }

    void count(group_memory& m, float error) const {
        const std::uint64_t heads = m.query.q.rows;
        m.counts += {.queries = heads,
                     .candidates = heads * (m.query.limit - sinks),
                     .always = heads * (sinks + window),
                     .effective = m.effective,
                     .error = heads * static_cast<std::uint64_t>(std::min(error, 1e6F) * 1e6F)};
        for (std::size_t p = 0; p + 1 < m.used; ++p) {
            for (const key_selection& chosen : m.parts[p].chosen) {
                m.counts.chosen += chosen.positions.size();
                m.counts.floored += chosen.floored;
            }
        }
    }

    // Keys centred and appended at once.
    static constexpr std::size_t index_rows = 256;
};

/// Means, index and scratch memory of one session. Belongs to the description it was made for.
template <KeySampler S, CacheElement T>
class sampled_attention<S, T>::state {
 public:
    /// Throws error for a window of 0, or numbers of keys that are no context's.
    state(const sampled_attention& attention, const attention_shape& shape)
        : heads_(shape.heads),
          first_sampled_(first_sampled(attention, shape)),
          mean_end_(first_sampled_ + 1 - attention.window),
          exact_(exact_attention<T>{.level = attention.level}, shape),
          index_(attention.sampler, shape, attention.sinks),
          means_(shape.cache.layers) {}

    /// The first position whose query is sampled.
    std::size_t first_sampled() const { return first_sampled_; }

 private:
    friend sampled_attention;

    static std::size_t first_sampled(const sampled_attention& a, const attention_shape& shape) {
        constexpr std::size_t most = std::size_t{1} << 31U;  // positions are counted in 32 bits
        if (!(a.error_limit >= 0)) {
            throw error("sampled attention", "an error limit of 0 or more", std::to_string(a.error_limit));
        }
        if (a.window == 0 || a.window > most || a.sinks > most || a.sampler.min_indexed > most) {
            throw error("sampled attention",
                        "a window of 1 or more, and sinks, window and min_indexed up to 2^31",
                        std::to_string(a.window) + ", " + std::to_string(a.sinks) + " and " +
                            std::to_string(a.sampler.min_indexed));
        }
        // From here on [sinks, p - window] holds min_indexed keys, and one at least.
        const std::size_t least = std::max<std::size_t>(a.sampler.min_indexed, 1);
        return std::max(shape.sample_from, a.sinks + a.window + least - 1);
    }

    std::size_t heads_;
    std::size_t first_sampled_;
    std::size_t mean_end_;
    typename exact_attention<T>::state exact_;
    typename S::index index_;
    std::vector<std::shared_ptr<const std::vector<float>>> means_;  // of each layer: (KV head, head_size)
    aligned_vector<float> centred_;                                 // (position, KV head, head_size)
    std::vector<group_memory> groups_;  // of groups that are attended at one time
    struct job {
        std::size_t group, part;
    };
    std::vector<job> jobs_;
    sampling_counts counts_;
};

}  // namespace nullm::inline NULLM_ABI
