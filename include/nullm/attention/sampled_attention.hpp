#pragma once
// Attention over a random choice of keys, reweighted so that its sums have the full sums as their mean.

#include <nullm/attention/concepts.hpp>
#include <nullm/attention/exact_attention.hpp>
#include <nullm/attention/group_schedule.hpp>
#include <nullm/attention/key_mean.hpp>
#include <nullm/attention/key_sampler.hpp>
#include <nullm/attention/sampled_group.hpp>
#include <nullm/attention/sampling_counts.hpp>
#include <nullm/core/aligned.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/matrix_view.hpp>
#include <nullm/core/simd.hpp>
#include <nullm/core/thread_pool.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
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
        const source from{cache, s.index_, s.means_[layer]->data(), sinks, window, level};
        const auto set = [&](group& g, std::size_t number) {
            const std::size_t row = exact_rows + number / kv_heads;
            const std::size_t kv_head = number % kv_heads;
            const std::size_t size = cache.shape().head_size;
            const std::size_t heads = s.heads_ / kv_heads;
            g.set({.layer = layer,
                   .kv_head = kv_head,
                   .position = first + row,
                   .limit = first + row + 1 - window,
                   .q = {q[row] + kv_head * heads * size, heads, size}},
                  o[row] + kv_head * heads * size);
        };
        if (shared) {
            for (std::size_t g = 0; g < groups; ++g) set(s.groups_[g], g);
            s.schedule_.attend(std::span(s.groups_.data(), groups), from, sampler, pool);
        } else {
            pool.for_each_range(groups, grain, [&](std::size_t begin, std::size_t end) {
                group& g = s.groups_[begin / grain];
                for (std::size_t number = begin; number < end; ++number) {
                    set(g, number);
                    attend_group(g, from);
                }
            });
        }
        for (std::size_t r = 0; r < ranges; ++r) s.counts_ += s.groups_[r].take_counts();
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
    using group = sampled_group<S, T>;
    using source = typename group::source;

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
                                std::span(s.centred_.data() + i * shape.head_size, shape.head_size), level);
                }
            });
            sampler.append(s.index_, layer, matrix_view<const float>(s.centred_.data(), rows, width), pool);
        }
    }

    // All at once, and again with more keys as long as the error is above the limit.
    void attend_group(group& g, const source& from) const {
        const bool estimate = error_limit > 0;
        float error = g.attend(from, &sampler, estimate);
        if (estimate && !(error <= error_limit)) {
            g.count_refined();
            if constexpr (RefinesChoice<S>) {
                const S more = sampler.refined(4);
                error = g.attend(from, &more, estimate);
            }
            if (!(error <= error_limit)) {
                g.count_dense();
                error = g.attend(from, nullptr, estimate);
            }
        }
        g.count(from, error);
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
    std::vector<group> groups_;  // of groups that are attended at one time
    group_schedule<S, T> schedule_;
    sampling_counts counts_;
};

}  // namespace nullm::inline NULLM_ABI
