#pragma once
// A sampler that reads a sketch of every key - a few bits a coordinate - and chooses by what it says.

#include <nullm/attention/key_budget.hpp>
#include <nullm/attention/key_sampler.hpp>
#include <nullm/attention/normal_draw.hpp>
#include <nullm/attention/rotation.hpp>
#include <nullm/attention/sketch_index.hpp>
#include <nullm/attention/sketch_kernels.hpp>
#include <nullm/core/aligned.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/random.hpp>
#include <nullm/core/simd.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// Poisson sampling by proxy logits. Every centred key is kept as its rotation (rotation.hpp) in `bits` bits
/// a coordinate with a scale (sketch_code.hpp; 1 bit is SimHash). For a query the sketches of all keys are
/// read in order; what they know of a logit is a mean and a variance, and the proxy s is their sum: e^s is
/// the root of the mean square of e^logit, which is what a choice in proportion should follow. With S_h the
/// sum of a head's e^s, a key is read with probability u = min(1, max(floor, e^(max_h(s_h - log S_h) - t))),
/// each independently of the others, by draws from (seed, layer, KV head, position of the query, position of
/// the key) alone; t is set so that the budget is read in the mean. A key that is read serves all heads of
/// the group: for each the choice is a Poisson sample with this u, which is exact whatever the sketch says,
/// so numerator and denominator are unbiased given the sketches. Where the sketch is good, u is nearly the
/// optimal choice, in proportion to the largest weight any head gives the key; `floor` bounds what a key that
/// it misjudges can weigh.
///
/// Cost of a group: head_size products of a byte a key and head, about as much again for a draw a key, and
/// three passes over the scores. Per KV head and key bits x head_size / 8 + 4 bytes, head_size rounded up to
/// a power of two, 32 at least.
template <int bits = 2>
struct sketch_sampler {
    static_assert(bits == 1 || bits == 2 || bits == 4, "sketch_sampler: expected 1, 2 or 4 bits a coordinate");

    std::uint64_t seed = 0;
    /// Keys read by a group of query heads, in the mean.
    key_budget budget{};
    /// No key is read with a smaller probability: the weight of a chosen one is bounded by 1 / floor.
    float floor = 0x1p-10F;
    /// Below so many keys, reading them all costs no more than choosing.
    std::size_t min_indexed = 1024;
    isa level = active_isa();

    class index;

    struct scratch {
        std::vector<float> rotated;
        std::vector<std::int8_t> codes;     // (query head, width)
        std::vector<std::int32_t> offsets;  // of each query head: sketch_scan.inl
        std::vector<float> factors;
        std::vector<float> squares;
        aligned_vector<float> scores;  // (query head, position from the first chunk's begin)
        std::vector<float> levels;     // log of each head's sum of e^score
        std::vector<std::uint64_t> always;
        std::vector<std::uint32_t> kept;
        aligned_vector<float> chances;    // u of what is kept
        aligned_vector<float> surprisal;  // -log of these
    };

    /// See AppendsKeys.
    void append(index& kept, std::size_t layer, matrix_view<const float> keys, thread_pool& pool) const;

    /// See SelectsKeys. All heads choose the same keys; all keys, if one of the queries is zero or not
    /// finite.
    void select(const index& kept, const key_query& query, std::span<key_selection> chosen,
                scratch& s) const {
        const sketch_index<bits>& keys = kept.of(query.layer, query.kv_head);
        const std::size_t first = keys.first();
        if (query.limit <= first) {
            s.surprisal.clear();
            for (key_selection& c : chosen) c.positions.clear();
            return;
        }
        if (!quantise(*kept.rotations_[query.layer], query.q, s)) {
            choose_all(first, query.limit, chosen, s);
            return;
        }
        const std::size_t heads = query.q.rows;
        const std::size_t begin = first / 256 * 256;
        const std::size_t count = round_up(query.limit - begin, 64);
        score(keys, query, begin, count, s);

        // Each head's scores as logarithms of its softmax over these keys, and the largest of the heads.
        s.levels.resize(heads);
        for (std::size_t i = 0; i < heads; ++i) {
            const float* scores = s.scores.data() + i * count;
            const float most = NULLM_DISPATCH(level, largest_score(scores, count));
            const float sum = NULLM_DISPATCH(level, sum_powers(scores, count, most));
            s.levels[i] = most + static_cast<float>(portable_log(static_cast<double>(sum)));
        }
        NULLM_DISPATCH(level,
                       merge_scores(heads, s.scores.data(), count, s.levels.data(), count, s.scores.data()));

        // Of many keys, some suffice to find the threshold.
        const std::size_t step = std::clamp<std::size_t>(std::bit_floor(count / 2048), 1, 16);
        score_histogram seen;
        NULLM_DISPATCH(level, count_scores(s.scores.data(), count, step, score_histogram::per_unit,
                                           std::int32_t{score_histogram::bins}, seen.counts.data()));
        const float threshold =
            seen.threshold(budget.of(query.limit - first), static_cast<float>(step), floor);

        draw(kept, keys, query, begin, count, threshold, s);
        for (key_selection& c : chosen) c.positions.assign(s.kept.begin(), s.kept.end());
    }

    /// See RefinesChoice. The keys it reads include those read without: their draws are the same.
    sketch_sampler refined(float factor) const {
        sketch_sampler more = *this;
        more.budget.share = std::min(1.0F, factor * budget.share);
        more.budget.least = static_cast<std::size_t>(factor * static_cast<float>(budget.least));
        return more;
    }

    /// See WeighsKeys: select() knows.
    void weigh(const index&, const key_query&, std::size_t, std::span<const float> dots, scratch& s,
               key_selection& chosen) const {
        chosen.surprisal.assign(s.surprisal.begin(),
                                s.surprisal.begin() + static_cast<std::ptrdiff_t>(dots.size()));
    }

 private:
    // The rotated queries in bytes; false if one has no direction.
    bool quantise(const rotation& turn, matrix_view<const float> q, scratch& s) const {
        const std::size_t width = turn.width();
        s.rotated.resize(width);
        s.codes.resize(q.rows * width);
        s.offsets.resize(q.rows);
        s.factors.resize(q.rows);
        s.squares.resize(q.rows);
        for (std::size_t i = 0; i < q.rows; ++i) {
            turn.apply(q[i], s.rotated.data());
            float most = 0;
            bool finite = true;
            for (const float x : s.rotated) {
                most = std::max(most, std::fabs(x));
                finite = finite && std::isfinite(x);
            }
            if (!finite || most < 1e-30F) return false;
            std::int32_t sum = 0;
            std::int8_t* const codes = s.codes.data() + i * width;
            for (std::size_t d = 0; d < width; ++d) {
                codes[d] = static_cast<std::int8_t>(std::nearbyint(s.rotated[d] * (127.0F / most)));
                sum += codes[d];
            }
            s.offsets[i] = -sketch_code<bits>::top * sum;
            // Logits are products over sqrt(size): their variances, over size.
            const float square = NULLM_DISPATCH(level, square_length(s.rotated.data(), width));
            s.squares[i] =
                std::min(square, std::numeric_limits<float>::max()) / static_cast<float>(turn.size());
            s.factors[i] = most / 127.0F / std::sqrt(static_cast<float>(turn.size()));
        }
        return true;
    }

    static void choose_all(std::size_t first, std::size_t limit, std::span<key_selection> chosen,
                           scratch& s) {
        s.surprisal.assign(limit - first, 0.0F);
        for (key_selection& c : chosen) {
            c.positions.resize(limit - first);
            std::iota(c.positions.begin(), c.positions.end(), static_cast<std::uint32_t>(first));
        }
    }

    // Proxy logits of all heads; those of positions that are no candidates are lowest.
    void score(const sketch_index<bits>& keys, const key_query& query, std::size_t begin, std::size_t count,
               scratch& s) const {
        constexpr float lowest = -1e30F;
        const std::size_t heads = query.q.rows;
        const std::size_t width = s.rotated.size();
        s.scores.resize(std::max(s.scores.size(), heads * count));
        for (std::size_t c = begin / 256; c * 256 < query.limit; ++c) {
            const std::size_t groups = std::min<std::size_t>(256, begin + count - c * 256) / 16;
            for (std::size_t head = 0; head < heads; head += 4) {
                const std::size_t tile = std::min<std::size_t>(4, heads - head);
                const std::int8_t* q[4] = {};
                float* scores[4] = {};
                for (std::size_t i = 0; i < tile; ++i) {
                    q[i] = s.codes.data() + (head + i) * width;
                    scores[i] = s.scores.data() + (head + i) * count + (c * 256 - begin);
                }
                keys.score(c, groups, tile, q, s.offsets.data() + head, s.factors.data() + head,
                           s.squares.data() + head, scores, level);
            }
        }
        for (std::size_t i = 0; i < heads; ++i) {
            float* const scores = s.scores.data() + i * count;
            std::fill(scores, scores + (keys.first() - begin), lowest);
            std::fill(scores + (query.limit - begin), scores + count, lowest);
        }
    }

    // Which keys are read, and the surprisal of each.
    void draw(const index& kept, const sketch_index<bits>& keys, const key_query& query, std::size_t begin,
              std::size_t count, float threshold, scratch& s) const {
        s.always.resize(count / 64);
        for (std::size_t w = 0; w < s.always.size(); ++w)
            s.always[w] = keys.always((begin + w * 64) / 256)[(begin + w * 64) % 256 / 64];
        s.kept.resize(count);
        s.chances.resize(count + 16);
        const auto position = static_cast<std::uint64_t>(query.position);
        const auto head = static_cast<std::uint32_t>(query.layer * kept.kv_heads_ + query.kv_head);
        // As draw_block() has it: key j's draw is draw_u32({seed, attention, position, head}, j).
        const std::array<std::uint32_t, 4> counter{static_cast<std::uint32_t>(begin / 4),
                                                   static_cast<std::uint32_t>(position),
                                                   static_cast<std::uint32_t>(position >> 32U) ^ head << 8U,
                                                   static_cast<std::uint32_t>(draw_stream::attention)};
        std::size_t n = NULLM_DISPATCH(
            level, choose_scores(s.scores.data(), count, threshold, floor, s.always.data(), counter,
                                 {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32U)},
                                 s.kept.data(), s.chances.data()));
        // Positions before the first and from the limit on had their draws, too.
        std::size_t before = 0;
        for (std::size_t j = 0; j < n; ++j) {
            s.kept[j] += static_cast<std::uint32_t>(begin);
            before += s.kept[j] < keys.first() ? 1U : 0U;
        }
        while (n != before && s.kept[n - 1] >= query.limit) --n;
        s.kept.resize(n);
        s.kept.erase(s.kept.begin(), s.kept.begin() + static_cast<std::ptrdiff_t>(before));
        std::copy(s.chances.begin() + static_cast<std::ptrdiff_t>(before),
                  s.chances.begin() + static_cast<std::ptrdiff_t>(n), s.chances.begin());
        n -= before;
        std::fill_n(s.chances.begin() + static_cast<std::ptrdiff_t>(n), 16, 1.0F);
        s.surprisal.resize(round_up(n, 16));
        NULLM_DISPATCH(level, negative_logs(s.chances.data(), n, s.surprisal.data()));
    }
};

/// What a sketch_sampler keeps of the keys: a sketch_index for each layer and KV head, and each layer's
/// rotation, which is drawn when its first key is indexed.
template <int bits>
class sketch_sampler<bits>::index {
 public:
    /// Throws error for a floor that is no probability a draw can have, or a budget that is no share.
    index(const sketch_sampler& sampler, const attention_shape& model, std::size_t first)
        : kv_heads_(model.cache.kv_heads),
          head_size_(model.cache.head_size),
          sketches_(model.cache.layers * kv_heads_,
                    sketch_index<bits>(rotation::padded(model.cache.head_size), first)),
          rotations_(model.cache.layers) {
        if (!(sampler.floor >= 0x1p-20F && sampler.floor <= 1)) {
            throw error("sketch sampler", "a floor from 2^-20 to 1", std::to_string(sampler.floor));
        }
        if (!(sampler.budget.share >= 0 && sampler.budget.share <= 1)) {
            throw error("sketch sampler", "a share of keys from 0 to 1",
                        std::to_string(sampler.budget.share));
        }
        constexpr std::size_t most = std::size_t{1} << 24U;  // heads of all layers: they number the draws
        if (sketches_.size() >= most) {
            throw error("sketch sampler", "fewer than 2^24 layers x KV heads",
                        std::to_string(sketches_.size()));
        }
    }

    std::size_t end(std::size_t layer) const {
        std::size_t least = of(layer, 0).end();
        // They differ only after an append that failed half way.
        for (std::size_t h = 1; h < kv_heads_; ++h) least = std::min(least, of(layer, h).end());
        return least;
    }
    void truncate(std::size_t n) {
        for (auto& s : sketches_) s.truncate(n);
    }

    const sketch_index<bits>& of(std::size_t layer, std::size_t kv_head) const {
        return sketches_[layer * kv_heads_ + kv_head];
    }

    /// Bytes referred to, shared ones included.
    std::size_t bytes() const {
        std::size_t sum = 0;
        for (const auto& s : sketches_) sum += s.bytes();
        for (const auto& r : rotations_) sum += r ? r->bytes() : 0;
        return sum;
    }

    friend bool operator==(const index& a, const index& b) { return a.sketches_ == b.sketches_; }

 private:
    friend sketch_sampler;

    std::size_t kv_heads_;
    std::size_t head_size_;
    std::vector<sketch_index<bits>> sketches_;                // (layer, KV head)
    std::vector<std::shared_ptr<const rotation>> rotations_;  // of each layer
};

template <int bits>
void sketch_sampler<bits>::append(index& kept, std::size_t layer, matrix_view<const float> keys,
                                  thread_pool& pool) const {
    auto& turn = kept.rotations_[layer];
    if (!turn) turn = std::make_shared<const rotation>(kept.head_size_, seed, layer);

    const std::size_t begin = kept.end(layer);
    for (std::size_t h = 0; h < kept.kv_heads_; ++h) {
        auto& sketches = kept.sketches_[layer * kept.kv_heads_ + h];
        sketches.truncate(begin);
        sketches.prepare(begin + keys.rows);
    }
    // A task is a head's part of one chunk. A single key of a few heads is not worth waking threads for.
    constexpr std::size_t chunk = sketch_index<bits>::chunk_positions;
    const std::size_t first_chunk = begin / chunk;
    const std::size_t chunks = (begin + keys.rows - 1) / chunk + 1 - first_chunk;
    pool.for_each_range(
        kept.kv_heads_ * chunks, keys.rows < 8 ? 8 : 1, [&](std::size_t from, std::size_t to) {
            std::vector<float> rotated(turn->width());
            std::vector<std::int32_t> codes;
            for (std::size_t task = from; task < to; ++task) {
                const std::size_t h = task / chunks;
                const std::size_t c = first_chunk + task % chunks;
                const std::size_t last = std::min((c + 1) * chunk, begin + keys.rows);
                for (std::size_t p = std::max(begin, c * chunk); p < last; ++p) {
                    turn->apply(keys[p - begin] + h * kept.head_size_, rotated.data());
                    kept.sketches_[layer * kept.kv_heads_ + h].store(p, rotated.data(), codes, level);
                }
            }
        });
    for (std::size_t h = 0; h < kept.kv_heads_; ++h)
        kept.sketches_[layer * kept.kv_heads_ + h].commit(begin + keys.rows);
}

static_assert(KeySampler<sketch_sampler<>> && RefinesChoice<sketch_sampler<>>);

}  // namespace nullm::inline NULLM_ABI
