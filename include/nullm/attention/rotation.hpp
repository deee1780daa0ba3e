#pragma once
// A random rotation that costs additions: signs and fast Walsh-Hadamard transforms.

#include <nullm/core/random.hpp>
#include <nullm/core/simd.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#define NULLM_KERNELS <nullm/attention/rotation.inl>
#include <nullm/core/simd/foreach_isa.hpp>

namespace nullm::inline NULLM_ABI {

/// x -> (H D3)(H D2)(H D1) x / size^(3/2), with H the Walsh-Hadamard matrix and D random signs: an orthogonal
/// map which leaves no direction of x special, so that the coordinates of what it gives are spread like those
/// of a random vector of that length (Ailon and Chazelle 2009; three rounds as in Andoni et al. 2015, arXiv
/// 1509.02897, section 5). Vectors are padded with zeros to a power of two, 32 at least. Drawn from (seed,
/// layer) alone, and the same bits everywhere: nothing but sums, sign changes and one product an element.
class rotation {
 public:
    static constexpr std::size_t rounds = 3;

    rotation(std::size_t size, std::uint64_t seed, std::size_t layer)
        : size_(size), width_(padded(size)), signs_(rounds * width_) {
        // A negative position, and no first repeat: draws keyed by a query's position never meet these, nor
        // do those of hyperplanes.
        const draw_key key{.seed = seed,
                           .stream = draw_stream::attention,
                           .position = -1 - static_cast<std::int64_t>(layer),
                           .repeat = 1};
        for (std::size_t i = 0; i < signs_.size(); ++i) {
            const std::uint32_t bits = draw_u32(key, static_cast<std::uint32_t>(i / 32));
            signs_[i] = (bits >> i % 32 & 1U) != 0 ? -1.0F : 1.0F;
        }
    }

    static std::size_t padded(std::size_t size) { return std::bit_ceil(std::max<std::size_t>(size, 32)); }

    std::size_t size() const { return size_; }
    /// Elements of a rotated vector.
    std::size_t width() const { return width_; }
    std::size_t bytes() const { return signs_.size() * sizeof(float); }

    /// size() elements to width() ones. Cost: 3 width log2(width) sums.
    void apply(const float* x, float* y, isa level) const {
        std::copy_n(x, size_, y);
        std::fill(y + size_, y + width_, 0.0F);
        for (std::size_t round = 0; round < rounds; ++round) {
            NULLM_DISPATCH(level, sign_and_transform(signs_.data() + round * width_, width_, y));
        }
        const auto width = static_cast<float>(width_);
        NULLM_DISPATCH(level, scale_elements(y, width_, 1.0F / (width * std::sqrt(width))));
    }

 private:
    std::size_t size_;
    std::size_t width_;
    std::vector<float> signs_;  // (round, element)
};

}  // namespace nullm::inline NULLM_ABI
