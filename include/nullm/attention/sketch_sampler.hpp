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
/// sum of a head's e^s and of what it reads always, a key has weight w = max_h e^(s_h) / S_h in the group and
/// is read with probability u = min(1, max(floor, budget w)), each independently of the others, by draws from
/// (seed, layer, KV head, position of the query, position of the key) alone. The variance of a head's output
/// is the sum of w^2 (1 - u) / u |v - o|^2, its cost that of u: one factor for all groups, heads and layers
/// makes the sum of the former least for a given sum of the latter, where a number of keys for each would
/// read for a head that rests on its sinks as many as for one that averages over all. A key that is read
/// serves all heads of the group: for each the choice is a Poisson sample with this u, which is exact
/// whatever the sketch says, so numerator and denominator are unbiased given the sketches. `floor` bounds
/// what a key that a sketch misjudges can weigh.
///
/// Cost of a group: head_size products of a byte a key and head, about as much again for a draw a key, and
/// two passes over the scores. Per KV head and key bits x head_size / 8 + 4 bytes, head_size rounded up to
/// a power of two, 32 at least.
template <int bits = 2>
struct sketch_sampler {
    static_assert(bits == 1 || bits == 2 || bits == 4,
                  "sketch_sampler: expected 1, 2 or 4 bits a coordinate");

    std::uint64_t seed = 0;
    /// Keys read, in the mean, for one head; of a group, for each head what another does not read.
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
        bool scored = false;    // or no proxy tells what to choose
        std::size_t begin = 0;  // of the scores, in positions; count of them
        std::size_t count = 0;
        aligned_vector<float> scores;  // (query head, position from begin)
        std::vector<float> largest;    // (query head, part), and behind a head's parts what it reads always
        std::vector<float> sums;       // the same, of e^(score - largest)
        std::vector<float> levels;     // log of each head's sum of e^score, and of what it reads always
        float threshold = 0;           // -log of the budget
    };

    /// See AppendsKeys.
    void append(index& kept, std::size_t layer, matrix_view<const float> keys, thread_pool& pool) const;

    /// See SelectsKeys. All heads choose the same keys; all keys, if one of the queries is zero or not
    /// finite. As if nothing else were read.
    void select(const index& kept, const key_query& query, std::span<key_selection> chosen,
                scratch& s) const {
        const std::size_t parts = begin_scan(kept, query, s);
        for (std::size_t p = 0; p < parts; ++p) scan(kept, query, p, s);
        settle(kept, query, {}, s);
        key_selection drawn;
        for (key_selection& c : chosen) c = {};
        for (std::size_t p = 0; p < parts; ++p) {
            draw(kept, query, p, s, drawn);
            for (key_selection& c : chosen) {
                c.positions.insert(c.positions.end(), drawn.positions.begin(), drawn.positions.end());
                c.surprisal.insert(c.surprisal.end(), drawn.surprisal.begin(), drawn.surprisal.end());
            }
        }
    }

    /// See ScansKeys. A part is 2048 positions.
    std::size_t begin_scan(const index& kept, const key_query& query, scratch& s) const {
        const std::size_t first = kept.of(query.layer, query.kv_head).first();
        s.scored = query.limit > first && quantise(*kept.rotations_[query.layer], query.q, s);
        if (!s.scored) return 1;
        s.begin = first / piece * piece;
        s.count = round_up(query.limit - s.begin, 64);
        const std::size_t heads = query.q.rows;
        const std::size_t parts = (s.count + part - 1) / part;
        s.scores.resize(std::max(s.scores.size(), heads * s.count));
        s.largest.resize(heads * (parts + 1));
        s.sums.resize(heads * (parts + 1));
        s.levels.resize(heads);
        return parts;
    }

    /// Proxy logits of all heads; those of positions that are no candidates are lowest.
    void scan(const index& kept, const key_query& query, std::size_t number, scratch& s) const {
        if (!s.scored) return;
        const sketch_index<bits>& keys = kept.of(query.layer, query.kv_head);
        const std::size_t heads = query.q.rows;
        const std::size_t width = s.rotated.size();
        const std::size_t from = number * part;
        const std::size_t to = std::min(s.count, from + part);
        for (std::size_t at = from; at < to; at += piece) {
            const std::size_t groups = std::min(piece, to - at) / 16;
            for (std::size_t head = 0; head < heads; head += 4) {
                const std::size_t tile = std::min<std::size_t>(4, heads - head);
                const std::int8_t* q[4] = {};
                float* scores[4] = {};
                for (std::size_t i = 0; i < tile; ++i) {
                    q[i] = s.codes.data() + (head + i) * width;
                    scores[i] = s.scores.data() + (head + i) * s.count + at;
                }
                keys.score((s.begin + at) / piece, groups, tile, q, s.offsets.data() + head,
                           s.factors.data() + head, s.squares.data() + head, scores, level);
            }
        }
        const std::size_t sums = s.largest.size() / heads;
        for (std::size_t i = 0; i < heads; ++i) {
            float* const scores = s.scores.data() + i * s.count;
            if (number == 0) std::fill_n(scores, keys.first() - s.begin, lowest);
            if (to == s.count) std::fill(scores + (query.limit - s.begin), scores + s.count, lowest);
            const float most = NULLM_DISPATCH(level, largest_score(scores + from, to - from));
            s.largest[i * sums + number] = most;
            s.sums[i * sums + number] = NULLM_DISPATCH(level, sum_powers(scores + from, to - from, most));
        }
    }

    /// always[i]: the logarithm of the sum of e^logit over what head i reads in any case; none, if there is
    /// no such.
    void settle(const index& kept, const key_query& query, std::span<const float> always, scratch& s) const {
        if (!s.scored) return;
        const std::size_t heads = query.q.rows;
        const std::size_t sums = s.largest.size() / heads;  // of the parts, and of what is always read
        for (std::size_t i = 0; i < heads; ++i) {
            float* const largest = s.largest.data() + i * sums;
            const bool some = !always.empty() && std::isfinite(always[i]);
            largest[sums - 1] = some ? always[i] : lowest;
            s.sums[i * sums + sums - 1] = some ? 1.0F : 0.0F;
            const float most = *std::max_element(largest, largest + sums);
            const float sum =
                NULLM_DISPATCH(level, merge_sums(largest, s.sums.data() + i * sums, sums, most));
            s.levels[i] = most + static_cast<float>(portable_log(static_cast<double>(sum)));
        }
        const std::size_t candidates = query.limit - kept.of(query.layer, query.kv_head).first();
        s.threshold = -static_cast<float>(portable_log(static_cast<double>(budget.of(candidates))));
    }

    /// The part's keys that are read, and the surprisal of each.
    void draw(const index& kept, const key_query& query, std::size_t number, const scratch& s,
              key_selection& chosen) const {
        const sketch_index<bits>& keys = kept.of(query.layer, query.kv_head);
        chosen.floored = 0;
        if (s.scored) return draw_scored(kept, keys, query, number, s, chosen);
        chosen.positions.resize(std::max(query.limit, keys.first()) - keys.first());
        std::iota(chosen.positions.begin(), chosen.positions.end(), static_cast<std::uint32_t>(keys.first()));
        chosen.surprisal.assign(chosen.positions.size(), 0.0F);
    }

    /// See RefinesChoice. The keys it reads include those read without: their draws are the same.
    sketch_sampler refined(float factor) const {
        sketch_sampler more = *this;
        more.budget.share = std::min(1.0F, factor * budget.share);
        more.budget.least = static_cast<std::size_t>(factor * static_cast<float>(budget.least));
        return more;
    }

    /// See CountsIndexBytes.
    std::uint64_t index_bytes(const index& kept, const key_query& query, const scratch& s) const {
        return s.scored ? s.count * kept.of(query.layer, query.kv_head).bytes_a_key() : 0;
    }

    /// See WeighsKeys: nothing is left to do.
    void weigh(const index&, const key_query&, std::size_t, std::span<const float>, const scratch&,
               key_selection&) const {}

 private:
    static constexpr std::size_t piece = sketch_index<bits>::piece_positions;
    static constexpr std::size_t part = 8 * piece;
    static constexpr float lowest = -1e30F;  // of scores: no candidate

    // The rotated queries in bytes; false if one has no direction.
    bool quantise(const rotation& turn, matrix_view<const float> q, scratch& s) const {
        const std::size_t width = turn.width();
        s.rotated.resize(width);
        s.codes.resize(q.rows * width);
        s.offsets.resize(q.rows);
        s.factors.resize(q.rows);
        s.squares.resize(q.rows);
        for (std::size_t i = 0; i < q.rows; ++i) {
            turn.apply(q[i], s.rotated.data(), level);
            const float most = NULLM_DISPATCH(level, largest_size(s.rotated.data(), width));
            const float square = NULLM_DISPATCH(level, square_length(s.rotated.data(), width));
            // The largest of numbers and a NaN may be a number, their square length is none.
            if (!(most >= 1e-30F && std::isfinite(most)) || std::isnan(square)) return false;
            const std::int32_t sum = NULLM_DISPATCH(
                level, round_to_bytes(s.rotated.data(), width, 127.0F / most, s.codes.data() + i * width));
            s.offsets[i] = -sketch_code<bits>::top * sum;
            // Logits are products over sqrt(size): their variances, over size.
            s.squares[i] =
                std::min(square, std::numeric_limits<float>::max()) / static_cast<float>(turn.size());
            s.factors[i] = most / 127.0F / std::sqrt(static_cast<float>(turn.size()));
        }
        return true;
    }

    void draw_scored(const index& kept, const sketch_index<bits>& keys, const key_query& query,
                     std::size_t number, const scratch& s, key_selection& to) const {
        const std::size_t from = number * part;
        const std::size_t count = std::min(part, s.count - from);
        const std::size_t first = s.begin + from;  // a position
        std::array<std::uint64_t, part / 64> always;
        for (std::size_t w = 0; w < count / 64; ++w) always[w] = keys.always(first / 64 + w);
        const auto position = static_cast<std::uint64_t>(query.position);
        const auto head = static_cast<std::uint32_t>(query.layer * kept.kv_heads_ + query.kv_head);
        // As draw_block() has it: key j's draw is draw_u32({seed, attention, position, head}, j).
        const std::array<std::uint32_t, 4> counter{static_cast<std::uint32_t>(first / 4),
                                                   static_cast<std::uint32_t>(position),
                                                   static_cast<std::uint32_t>(position >> 32U) ^ head << 8U,
                                                   static_cast<std::uint32_t>(draw_stream::attention)};
        alignas(cache_line) std::uint32_t positions[part + 16];
        alignas(cache_line) float u[part + 16];
        std::size_t n = NULLM_DISPATCH(
            level, choose_scores(query.q.rows, s.scores.data() + from, s.count, s.levels.data(), count,
                                 s.threshold, floor, always.data(), counter,
                                 {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32U)},
                                 positions, u));
        std::fill_n(u + n, 16, 1.0F);
        NULLM_DISPATCH(level, negative_logs(u, n, u));
        // Positions before the first and from the limit on had their draws, too.
        std::size_t before = 0;
        while (before != n && first + positions[before] < keys.first()) ++before;
        while (n != before && first + positions[n - 1] >= query.limit) --n;
        to.positions.resize(n - before);
        to.surprisal.resize(n - before);
        for (std::size_t j = before; j < n; ++j) {
            to.positions[j - before] = static_cast<std::uint32_t>(first) + positions[j];
            to.surprisal[j - before] = u[j];
        }
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
                    turn->apply(keys[p - begin] + h * kept.head_size_, rotated.data(), level);
                    kept.sketches_[layer * kept.kv_heads_ + h].store(p, rotated.data(), codes, level);
                }
            }
        });
    for (std::size_t h = 0; h < kept.kv_heads_; ++h)
        kept.sketches_[layer * kept.kv_heads_ + h].commit(begin + keys.rows);
}

static_assert(KeySampler<sketch_sampler<>> && ScansKeys<sketch_sampler<>> &&
              RefinesChoice<sketch_sampler<>> && CountsIndexBytes<sketch_sampler<>>);

}  // namespace nullm::inline NULLM_ABI
