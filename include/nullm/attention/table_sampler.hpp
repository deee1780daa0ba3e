#pragma once
// MagicPIG's sampler: a key is chosen if it shares the query's code in at least two of many random hash
// tables.

#include <nullm/attention/hyperplanes.hpp>
#include <nullm/attention/key_sampler.hpp>
#include <nullm/attention/lsh_shape.hpp>
#include <nullm/attention/surprisal_table.hpp>
#include <nullm/attention/table_index.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/simd.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#define NULLM_KERNELS <nullm/attention/surprisal.inl>
#include <nullm/core/simd/foreach_isa.hpp>

namespace nullm::inline NULLM_ABI {

/// The sampler of MagicPIG (Chen et al. 2024, arXiv 2410.16179, section 4): `tables` tables of `bits` random
/// hyperplanes; a key is chosen iff its code equals the query's in at least two tables, which happens with a
/// probability u that depends on the angle between the two alone. Keys come centred, queries as they are.
/// Differs from the authors' code (v0.2) in that keys enter the tables as they leave the window, the cosine
/// is clamped, u is floored rather than shifted, and every layer has hyperplanes of its own (all its KV heads
/// share them). The same hyperplanes serve all steps, so what is missed stays missed: errors of neighbouring
/// positions go together.
///
/// Cost of a query head: bits x tables x head_size fma, about tables x keys / 2^bits bucket entries, and a
/// comparison a table and tail key. Per KV head and key 4 tables + 4 bytes, and 2 tables 2^bits bytes for the
/// bucket starts.
template <lsh_shape shape = lsh_shape{}>
struct table_sampler {
    static_assert(shape.valid(), "table_sampler: expected at most 15 bits and 2 to 4096 tables");

    std::uint64_t seed = 0;
    /// Hashing a query costs as much as bits x tables / 2 exact keys, looking up some hundred more.
    std::size_t min_indexed = std::size_t{shape.bits} * shape.tables / 2 + 256;
    /// Keys found by comparison before they are sorted into the tables. Never shows in the results.
    std::size_t merge_at = 1024;
    /// u is taken for at least this: bounds the weight of one key, at the price of a bias where u is smaller.
    float floor = 1e-4F;
    isa level = active_isa();

    class index;

    struct scratch {
        std::vector<std::uint16_t> codes;  // (query heads, code stride)
        std::vector<float> inverse_norms;  // of the queries; 0: it has no direction
        table_index::scratch bits;
    };

    /// See AppendsKeys.
    void append(index& kept, std::size_t layer, matrix_view<const float> keys, thread_pool& pool) const;

    /// See SelectsKeys. A query that is zero or not finite chooses every key.
    void select(const index& kept, const key_query& query, std::span<key_selection> chosen,
                scratch& s) const {
        const hyperplanes& planes = *kept.planes_[query.layer];
        s.codes.resize(query.q.rows * planes.code_stride());
        s.inverse_norms.resize(query.q.rows);
        planes.hash(query.q, s.codes.data(), level);
        for (std::size_t i = 0; i < query.q.rows; ++i) {
            const table_index& tables = kept.of(query.layer, query.kv_head);
            s.inverse_norms[i] = inverse_norm(query.q.row(i));
            if (s.inverse_norms[i] == 0) {
                chosen[i].positions.resize(std::max(query.limit, tables.first()) - tables.first());
                std::iota(chosen[i].positions.begin(), chosen[i].positions.end(),
                          static_cast<std::uint32_t>(tables.first()));
            } else {
                tables.find(s.codes.data() + i * planes.code_stride(), query.limit, s.bits,
                            chosen[i].positions, level);
            }
        }
    }

    /// See WeighsKeys: -log u by table.
    void weigh(const index& kept, const key_query& query, std::size_t row, std::span<const float> dots,
               const scratch& s, key_selection& chosen) const {
        const table_index& tables = kept.of(query.layer, query.kv_head);
        chosen.surprisal.assign(chosen.positions.size(), 0.0F);
        chosen.floored = 0;
        if (s.inverse_norms[row] == 0) return;
        // Where the surprisal will stand, the norms it is looked up by.
        for (std::size_t j = 0; j < dots.size(); ++j)
            chosen.surprisal[j] = tables.inverse_norm(chosen.positions[j]);
        const float most = floor > 0 ? static_cast<float>(-portable_log(static_cast<double>(floor)))
                                     : std::numeric_limits<float>::infinity();
        chosen.floored = NULLM_DISPATCH(
            level, look_up_surprisal(kept.surprisal_->data(), static_cast<float>(surprisal_table::per_unit),
                                     dots.data(), s.inverse_norms[row], chosen.surprisal.data(), dots.size(),
                                     most, chosen.surprisal.data()));
    }

 private:
    // 1 / |x|; 0 if |x| is zero, or |x|^2 not a normal float.
    static float inverse_norm(std::span<const float> x) {
        float sum = 0;
        for (const float e : x) sum = __builtin_fmaf(e, e, sum);
        const bool usable =
            sum >= std::numeric_limits<float>::min() && sum <= std::numeric_limits<float>::max();
        return usable ? 1.0F / std::sqrt(sum) : 0.0F;
    }
};

/// What a table_sampler keeps of the keys: a table_index for each layer and KV head, and each layer's
/// hyperplanes, which are drawn when its first key is indexed.
template <lsh_shape shape>
class table_sampler<shape>::index {
 public:
    /// Throws error for a floor that is no probability.
    index(const table_sampler& sampler, const attention_shape& model, std::size_t first)
        : kv_heads_(model.cache.kv_heads),
          head_size_(model.cache.head_size),
          tables_(model.cache.layers * kv_heads_, table_index(shape, first)),
          planes_(model.cache.layers),
          surprisal_(std::make_shared<const surprisal_table>(shape)) {
        if (!(sampler.floor >= 0 && sampler.floor <= 1)) {
            throw error("table sampler", "a floor from 0 to 1", std::to_string(sampler.floor));
        }
    }

    std::size_t end(std::size_t layer) const {
        std::size_t least = of(layer, 0).end();
        // They differ only after an append that failed half way.
        for (std::size_t h = 1; h < kv_heads_; ++h) least = std::min(least, of(layer, h).end());
        return least;
    }
    void truncate(std::size_t n) {
        for (auto& t : tables_) t.truncate(n);
    }

    const table_index& of(std::size_t layer, std::size_t kv_head) const {
        return tables_[layer * kv_heads_ + kv_head];
    }

    /// Bytes referred to, shared ones included.
    std::size_t bytes() const {
        std::size_t sum = 0;
        for (const auto& t : tables_) sum += t.bytes();
        for (const auto& p : planes_) sum += p ? p->bytes() : 0;
        return sum;
    }

    friend bool operator==(const index& a, const index& b) { return a.tables_ == b.tables_; }

 private:
    friend table_sampler;

    std::size_t kv_heads_;
    std::size_t head_size_;
    std::vector<table_index> tables_;                         // (layer, KV head)
    std::vector<std::shared_ptr<const hyperplanes>> planes_;  // of each layer
    std::shared_ptr<const surprisal_table> surprisal_;
};

template <lsh_shape shape>
void table_sampler<shape>::append(index& kept, std::size_t layer, matrix_view<const float> keys,
                                  thread_pool& pool) const {
    auto& planes = kept.planes_[layer];
    if (!planes) planes = std::make_shared<const hyperplanes>(shape, kept.head_size_, seed, layer, pool);

    // Codes first: they are what costs.
    const std::size_t stride = planes->code_stride();
    const std::size_t size = kept.head_size_;
    std::vector<std::uint16_t> codes(kept.kv_heads_ * keys.rows * stride);
    std::vector<float> norms(kept.kv_heads_ * keys.rows);
    constexpr std::size_t block = 16;
    const std::size_t blocks = (keys.rows + block - 1) / block;
    pool.for_each_range(kept.kv_heads_ * blocks, 1, [&](std::size_t begin, std::size_t end) {
        for (std::size_t task = begin; task < end; ++task) {
            const std::size_t kv_head = task / blocks;
            const std::size_t first = task % blocks * block;
            const matrix_view<const float> part(keys[first] + kv_head * size,
                                                std::min(block, keys.rows - first), size, keys.stride);
            planes->hash(part, codes.data() + (kv_head * keys.rows + first) * stride, level);
            for (std::size_t r = 0; r < part.rows; ++r) {
                norms[kv_head * keys.rows + first + r] = inverse_norm(part.row(r));
            }
        }
    });
    const std::size_t held = kept.end(layer);
    pool.for_each_range(kept.kv_heads_, 1, [&](std::size_t begin, std::size_t end) {
        for (std::size_t h = begin; h < end; ++h) {
            table_index& tables = kept.tables_[layer * kept.kv_heads_ + h];
            tables.truncate(held);
            tables.append(codes.data() + h * keys.rows * stride, stride,
                          {norms.data() + h * keys.rows, keys.rows}, merge_at);
        }
    });
}

static_assert(KeySampler<table_sampler<>>);

}  // namespace nullm::inline NULLM_ABI
