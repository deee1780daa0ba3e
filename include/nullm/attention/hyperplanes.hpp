#pragma once
// The random hyperplanes of one layer, and the codes of vectors: on which side of each they lie.

#include <nullm/attention/lsh_shape.hpp>
#include <nullm/attention/normal_draw.hpp>
#include <nullm/core/aligned.hpp>
#include <nullm/core/matrix_view.hpp>
#include <nullm/core/simd.hpp>
#include <nullm/core/thread_pool.hpp>

#include <cstddef>
#include <cstdint>

// Bits of a code computed at once, beside four vectors: what fits the register file. Never shows in the
// results.
namespace nullm::inline NULLM_ABI {
namespace scalar {
inline constexpr std::size_t hash_bits = 1;
}
namespace avx2 {
inline constexpr std::size_t hash_bits = 1;
}
namespace avx512 {
inline constexpr std::size_t hash_bits = 4;
}
}  // namespace nullm::inline NULLM_ABI

#define NULLM_KERNELS <nullm/attention/hyperplanes.inl>
#include <nullm/core/simd/foreach_isa.hpp>

namespace nullm::inline NULLM_ABI {

/// tables x bits hyperplanes through the origin, their normals independent standard normal vectors: the only
/// choice for which the collision probability of lsh_shape.hpp is exact, whatever the two vectors and the
/// number of tables. (Rotations by fast Walsh-Hadamard transforms would cost a sixth, but make the tables of
/// one rotation dependent.) Drawn from (seed, layer, table, bit) alone. Stored as bf16, whose rounding,
/// symmetric and independent, leaves the directions uniform to a part in a thousand: 2 x tables x bits x size
/// bytes, tables rounded up to 16.
class hyperplanes {
 public:
    hyperplanes(lsh_shape shape, std::size_t size, std::uint64_t seed, std::size_t layer, thread_pool& pool)
        : shape_(shape), size_(size), planes_(blocks() * shape.bits * size * 16) {
        // A negative position: draws keyed by a query's position never meet these.
        const draw_key key{.seed = seed,
                           .stream = draw_stream::attention,
                           .position = -1 - static_cast<std::int64_t>(layer)};
        pool.for_each_range(shape.tables, 4, [&](std::size_t begin, std::size_t end) {
            for (std::size_t table = begin; table < end; ++table) {
                for (std::size_t bit = 0; bit < shape_.bits; ++bit) draw(key, table, bit);
            }
        });
    }

    /// Codes of a vector in the output of hash(): tables rounded up to 16, the surplus ones 0.
    std::size_t code_stride() const { return blocks() * 16; }
    std::size_t bytes() const { return planes_.size() * sizeof(bf16); }

    /// Bit b of codes[v * code_stride() + t]: whether row v of x lies strictly on the positive side of
    /// hyperplane b of table t. Cost: tables x bits x size fma a row.
    void hash(matrix_view<const float> x, std::uint16_t* codes, isa level = active_isa()) const {
        NULLM_DISPATCH(level, hash_vectors(planes_.data(), blocks(), shape_.bits, size_, x.data, x.stride,
                                           x.rows, codes, code_stride()));
    }

 private:
    std::size_t blocks() const { return (shape_.tables + 15) / 16; }

    void draw(const draw_key& key, std::size_t table, std::size_t bit) {
        bf16* first = planes_.data() + (table / 16 * shape_.bits + bit) * size_ * 16 + table % 16;
        const std::size_t draws = (size_ + 3) / 4;
        for (std::size_t d = 0; d < size_; d += 4) {
            const std::size_t block = (table * shape_.bits + bit) * draws + d / 4;
            const auto x = draw_normals(key, static_cast<std::uint32_t>(block));
            for (std::size_t i = 0; i < 4 && d + i < size_; ++i) first[(d + i) * 16] = to_bf16(x[i]);
        }
    }

    lsh_shape shape_;
    std::size_t size_;
    aligned_vector<bf16> planes_;  // [tables / 16][bits][size][16 tables]
};

}  // namespace nullm::inline NULLM_ABI
