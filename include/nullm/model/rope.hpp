#pragma once
// Rotary position embedding in GGUF's `llama` order: neighbouring elements (2i, 2i + 1) are a pair.

#include <nullm/core/simd.hpp>

#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#define NULLM_KERNELS <nullm/model/rope.inl>
#include <nullm/core/simd/foreach_isa.hpp>

namespace nullm::inline NULLM_ABI {

/// Rotates pair i of a head at position p by the angle p * base^(-2i / size) (Su et al. 2021). Converters to
/// GGUF permute the rows of q and k of the `llama` architecture so that this pairing equals the half-and-half
/// one of the original checkpoints.
class rope {
 public:
    /// The first `size` (even) elements of a head turn, the others stay. Angles are computed in double.
    rope(std::size_t size, double base) : frequencies_(size / 2) {
        for (std::size_t i = 0; i < frequencies_.size(); ++i) {
            frequencies_[i] = std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(size));
        }
    }

    std::size_t size() const { return 2 * frequencies_.size(); }

    /// Fills cosine = (c0, c0, c1, c1, ...) and sine = (-s0, s0, -s1, s1, ...), size() elements each.
    void angles(std::size_t position, std::span<float> cosine, std::span<float> sine) const {
        for (std::size_t i = 0; i < frequencies_.size(); ++i) {
            const double angle = static_cast<double>(position) * frequencies_[i];
            cosine[2 * i] = cosine[2 * i + 1] = static_cast<float>(std::cos(angle));
            sine[2 * i + 1] = static_cast<float>(std::sin(angle));
            sine[2 * i] = -sine[2 * i + 1];
        }
    }

    /// Turns each of the heads that lie one after the other in x, given the angles of their position.
    void rotate(std::span<float> x, std::size_t head_size, std::span<const float> cosine,
                std::span<const float> sine, isa level = active_isa()) const {
        for (std::size_t first = 0; first + head_size <= x.size(); first += head_size) {
            NULLM_DISPATCH(level, rotate_pairs(x.data() + first, cosine.data(), sine.data(), size()));
        }
    }

 private:
    std::vector<double> frequencies_;  // radians a position, of pair i
};

}  // namespace nullm::inline NULLM_ABI
