#pragma once
// Attention over a random choice of keys, reweighted so that its sums have the full sums as their mean.

#include <nullm/attention/concepts.hpp>
#include <nullm/attention/exact_attention.hpp>
#include <nullm/attention/key_mean.hpp>
#include <nullm/attention/key_sampler.hpp>
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
#include <vector>

#define NULLM_KERNELS <nullm/attention/sampled_attention.inl>
#include <nullm/core/simd/foreach_isa.hpp>

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
        const std::size_t tasks = (q.rows - exact_rows) * kv_heads;
        // A range of tasks has memory of its own, so there are but a few ranges.
        const std::size_t grain = (tasks + 4 * pool.size() - 1) / (4 * pool.size());
        const std::size_t ranges = (tasks + grain - 1) / grain;
        if (s.tasks_.size() < ranges) s.tasks_.resize(ranges);
        pool.for_each_range(tasks, grain, [&](std::size_t begin, std::size_t end) {
            auto& memory = s.tasks_[begin / grain];
            memory.counts = {};
            for (std::size_t task = begin; task < end; ++task) {
                attend_group(s, memory, layer, task % kv_heads, q, exact_rows + task / kv_heads, first, cache,
                             o);
            }
        });
        for (std::size_t r = 0; r < ranges; ++r) s.counts_ += s.tasks_[r].counts;
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
    // The memory of one thread.
    struct task_memory {
        typename S::scratch sampler;
        std::vector<key_selection> chosen;     // of each query head of the group
        std::vector<std::uint32_t> positions;  // sinks, chosen keys, window: what a tile of heads reads
        std::vector<const T*> keys;            // of each of these
        std::vector<const T*> values;
        aligned_vector<T> picked;         // keys copied out of a cache that interleaves them
        aligned_vector<float> q;          // (head of the tile, value stride)
        aligned_vector<float> dots;       // (head of the tile, position read), then the weights
        std::vector<float> centred;       // products of a head with the chosen keys, centred
        aligned_vector<float> surprisal;  // (head of the tile, position read)
        aligned_vector<float> variances;  // of each position read
        std::vector<float> effective;     // of each query head of the group
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

    // The query heads of one row that share a KV head.
    void attend_group(const state& s, task_memory& m, std::size_t layer, std::size_t kv_head,
                      matrix_view<const float> q, std::size_t row, std::size_t first,
                      const kv_cache<T>& cache, matrix_view<float> o) const {
        const std::size_t size = cache.shape().head_size;
        const std::size_t heads = s.heads_ / cache.shape().kv_heads;
        const std::size_t position = first + row;
        const key_query query{.layer = layer,
                              .kv_head = kv_head,
                              .position = position,
                              .limit = position + 1 - window,
                              .q = {q[row] + kv_head * heads * size, heads, size}};
        m.chosen.resize(heads);
        m.effective.resize(heads);
        float* const out = o[row] + kv_head * heads * size;
        sampler.select(s.index_, query, m.chosen, m.sampler);
        float error = attend_heads(s, m, query, &sampler, cache, out);
        if (error_limit > 0 && !(error <= error_limit)) {
            m.counts.refined += heads;
            if constexpr (RefinesChoice<S>) {
                const S more = sampler.refined(4);
                more.select(s.index_, query, m.chosen, m.sampler);
                error = attend_heads(s, m, query, &more, cache, out);
            }
            if (!(error <= error_limit)) {
                m.counts.dense += heads;
                for (key_selection& chosen : m.chosen) {
                    chosen.positions.resize(query.limit - sinks);
                    std::iota(chosen.positions.begin(), chosen.positions.end(),
                              static_cast<std::uint32_t>(sinks));
                    chosen.surprisal.assign(chosen.positions.size(), 0.0F);
                    chosen.floored = 0;
                }
                error = attend_heads(s, m, query, nullptr, cache, out);
            }
        }
        for (std::size_t i = 0; i < heads; ++i) {
            m.counts += {.queries = 1,
                         .candidates = query.limit - sinks,
                         .chosen = m.chosen[i].positions.size(),
                         .always = sinks + window,
                         .floored = m.chosen[i].floored,
                         .effective = static_cast<std::uint64_t>(m.effective[i] + 0.5F),
                         .error = static_cast<std::uint64_t>(std::min(error, 1e6F) * 1e6F)};
        }
    }

    // All heads of a group over what they chose; `how` weighs it, nothing where all keys are read. Returns
    // the largest estimated error of a head.
    float attend_heads(const state& s, task_memory& m, const key_query& query, const S* how,
                       const kv_cache<T>& cache, float* o) const {
        float error = 0;
        // Heads that read the same keys read them together.
        for (std::size_t begin = 0, end = 0; begin < query.q.rows; begin = end) {
            for (end = begin + 1; end < query.q.rows && end - begin < tile; ++end) {
                if (m.chosen[end].positions != m.chosen[begin].positions) break;
            }
            // A NaN stays one.
            const float found =
                attend_tile(s, m, query, how, begin, end - begin, cache, o + begin * query.q.cols);
            error = found <= error ? error : found;
        }
        return error;
    }

    // `count` heads of the group from head `begin` on, which chose the same keys.
    float attend_tile(const state& s, task_memory& m, const key_query& query, const S* how, std::size_t begin,
                      std::size_t count, const kv_cache<T>& cache, float* o) const {
        const std::size_t size = query.q.cols;
        const std::size_t stride = cache.value_stride();
        const auto& chosen = m.chosen[begin].positions;
        list_reads(m, query, chosen, cache);
        const std::size_t reads = m.positions.size();
        const std::size_t padded = round_up(reads, 16);
        m.counts.rows += reads;
        m.q.assign(count * stride, 0.0F);
        m.dots.resize(count * padded);
        m.surprisal.assign(count * padded, 0.0F);
        const float* q[tile] = {};
        float* dots[tile] = {};
        float* out[tile] = {};
        float total[tile] = {};
        for (std::size_t i = 0; i < count; ++i) {
            std::copy_n(query.q[begin + i], size, m.q.data() + i * stride);
            q[i] = m.q.data() + i * stride;
            dots[i] = m.dots.data() + i * padded;
            out[i] = o + i * size;
        }
        NULLM_DISPATCH(level, dot_picked(count, m.keys.data(), m.values.data(), reads, stride, q, dots));

        const float* mean = s.means_[query.layer]->data() + query.kv_head * size;
        const float scale = 1.0F / std::sqrt(static_cast<float>(size));
        for (std::size_t i = 0; i < count; ++i) {
            key_selection& selection = m.chosen[begin + i];
            float* const surprisal = m.surprisal.data() + i * padded;
            if (how != nullptr) {
                // The sampler weighs by products with centred keys: q (k - mean) = q k - q mean.
                const float shift = NULLM_DISPATCH(level, dot_of(q[i], mean, size));
                m.centred.resize(chosen.size());
                for (std::size_t j = 0; j < chosen.size(); ++j) m.centred[j] = dots[i][sinks + j] - shift;
                how->weigh(s.index_, query, begin + i, m.centred, m.sampler, selection);
            }
            std::copy(selection.surprisal.begin(), selection.surprisal.end(), surprisal + sinks);
            total[i] = NULLM_DISPATCH(level, weigh_picked(dots[i], surprisal, reads, scale));
            m.effective[begin + i] =
                total[i] * total[i] / NULLM_DISPATCH(level, square_weights(dots[i], reads));
        }
        NULLM_DISPATCH(level, mix_picked(count, m.values.data(), reads, stride, dots, total, size, out));
        if (error_limit == 0) return 0;

        float error = 0;
        m.variances.resize(padded);
        for (std::size_t i = 0; i < count; ++i) {
            NULLM_DISPATCH(level, weight_variances(dots[i], m.surprisal.data() + i * padded, reads, total[i],
                                                   m.variances.data()));
            const float variance = NULLM_DISPATCH(
                level, spread_picked(m.values.data(), m.variances.data(), reads, size, out[i]));
            const float square = NULLM_DISPATCH(level, dot_of(out[i], out[i], size));
            const float found = variance == 0 ? 0.0F : std::sqrt(variance / square);
            error = found <= error ? error : found;
        }
        return error;
    }

    // One list in order of position: sinks, chosen keys, window; and where their keys and values lie.
    void list_reads(task_memory& m, const key_query& query, const std::vector<std::uint32_t>& chosen,
                    const kv_cache<T>& cache) const {
        m.positions.resize(sinks + chosen.size() + window);
        for (std::size_t p = 0; p < sinks; ++p) m.positions[p] = static_cast<std::uint32_t>(p);
        std::copy(chosen.begin(), chosen.end(), m.positions.begin() + static_cast<std::ptrdiff_t>(sinks));
        for (std::size_t i = 0; i < window; ++i)
            m.positions[sinks + chosen.size() + i] = static_cast<std::uint32_t>(query.limit + i);

        const std::size_t count = m.positions.size();
        const std::size_t stride = cache.value_stride();
        const bool in_rows = cache.keys_in_rows(query.layer);
        m.keys.resize(count);
        m.values.resize(count);
        if (!in_rows) m.picked.assign(count * stride, T{});
        for (std::size_t j = 0; j < count; ++j) {
            const std::size_t p = m.positions[j];
            constexpr std::size_t chunk = kv_cache<T>::chunk_positions;
            m.values[j] = cache.values(p / chunk, query.layer, query.kv_head) + p % chunk * stride;
            const cached_key key(cache, query.layer, query.kv_head, p);
            m.keys[j] = key.first;
            if (in_rows) continue;
            T* const row = m.picked.data() + j * stride;
            for (std::size_t d = 0; d < query.q.cols; ++d) row[d] = key.first[d * key.stride];
            m.keys[j] = row;
        }
    }

    static constexpr std::size_t tile = 4;  // heads at a time, as many as the kernels take
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
    std::vector<task_memory> tasks_;
    sampling_counts counts_;
};

}  // namespace nullm::inline NULLM_ABI
