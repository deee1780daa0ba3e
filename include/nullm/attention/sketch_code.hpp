#pragma once
// Vectors as a few bits a coordinate, and what that leaves of products with them: a mean and a spread.

#include <nullm/core/simd.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#define NULLM_KERNELS <nullm/attention/sketch_code.inl>
#include <nullm/core/simd/foreach_isa.hpp>

namespace nullm::inline NULLM_ABI {

/// After RaBitQ (Gao and Long, SIGMOD 2024, arXiv 2405.12497; several bits: arXiv 2409.09913). A rotated
/// vector x is stored as the nearest direction g on a grid of odd numbers, 2^bits a coordinate; one bit is
/// the sign alone, SimHash (Charikar 2002). With c the cosine of x and g (about .80, .94 and .995 for 1, 2
/// and 4 bits), what is known of a product x . y is its mean and its spread over rotations that leave g as it
/// is:
///   scale g . y,              scale = g . x / |g|^2
///   spread |y|^2, a variance; spread = |x|^2 (1 - c^2) / (width - 1)
/// RaBitQ divides the mean by c^2, which makes it unbiased for a given x; to choose keys by, mean and spread
/// serve better (4 % of 8192 keys: a twentieth less error with two bits, an eighth with one).
template <int bits>
struct sketch_code {
    static_assert(bits == 1 || bits == 2 || bits == 4, "sketch_code: expected 1, 2 or 4 bits a coordinate");

    static constexpr std::int32_t top = (1 << bits) - 1;
    static constexpr std::size_t per_word = 32 / bits;

    /// Words a vector of `width` elements, a multiple of 32.
    static std::size_t words(std::size_t width) { return width / per_word; }

    /// Writes word w of x to out[16 w] - sixteen vectors lie side by side - and returns scale and spread,
    /// both as bf16, the scale in the upper half; 0 for an x of no direction, or one too short or long for
    /// its square. Coordinate 4 (8 / bits) w + 4 f + b is field f, from the low bits on, of byte b of word w:
    /// what one mask leaves are four neighbours. `codes` is scratch memory of 2 width elements. Cost: up to 8
    /// x 5 width operations.
    static std::int32_t encode(const float* x, std::size_t width, std::int32_t* codes, std::int32_t* out,
                               isa level) {
        const float square = NULLM_DISPATCH(level, square_length(x, width));
        const bool usable =
            square >= std::numeric_limits<float>::min() && square <= std::numeric_limits<float>::max();
        const float deviation = usable ? std::sqrt(square / static_cast<float>(width)) : 1.0F;
        // The step that is best for normal coordinates (Max 1960), and its neighbours: which of them leaves g
        // nearest to x depends on x.
        constexpr float normal_step = bits == 1 ? 1.0F : bits == 2 ? 0.498F : 0.1676F;
        constexpr float candidates[] = {1.0F, 0.75F, 0.85F, 0.925F, 1.075F, 1.15F, 1.25F, 1.4F};
        std::int32_t* best = codes;
        std::int32_t* other = codes + width;
        float best_dot = 0;
        float best_square = 1;
        for (const float factor : candidates) {
            float dot = 0;
            float length = 1;
            NULLM_DISPATCH(level, round_to_grid<bits>(x, width, factor * normal_step * deviation,
                                                      best_dot == 0 ? best : other, dot, length));
            if (best_dot == 0) {
                best_dot = dot;
                best_square = length;
            } else if (nearer(dot, length, best_dot, best_square)) {
                std::swap(best, other);
                best_dot = dot;
                best_square = length;
            }
            if (bits == 1) break;  // signs, whatever the step
        }
        pack(best, width, out);
        if (!usable) return 0;
        const float scale = best_dot / best_square;
        // |x - scale g|^2, as far as rounding leaves of it.
        const float rest = std::max(0.0F, __builtin_fmaf(-scale, best_dot, square));
        const std::uint32_t upper = to_bf16(scale).bits;
        const std::uint32_t lower = to_bf16(rest / static_cast<float>(width - 1)).bits;
        return static_cast<std::int32_t>(upper << 16U | lower);
    }
    static float scale(std::int32_t kept) {
        return std::bit_cast<float>(static_cast<std::uint32_t>(kept) & 0xFFFF0000U);
    }
    static float spread(std::int32_t kept) {
        return std::bit_cast<float>(static_cast<std::uint32_t>(kept) << 16U);
    }

    /// The code of coordinate d in words at in[16 w].
    static std::int32_t code(const std::int32_t* in, std::size_t d) {
        return in[d / per_word * 16] >> place(d) & top;
    }

 private:
    // Whether the cosine dot / sqrt(square) is the larger one.
    static bool nearer(float dot, float square, float other_dot, float other_square) {
        const double ratio = static_cast<double>(dot) / static_cast<double>(other_dot);
        return ratio * ratio * static_cast<double>(other_square) > static_cast<double>(square);
    }

    static std::size_t place(std::size_t d) { return d % 4 * 8 + d % per_word / 4 * bits; }

    static void pack(const std::int32_t* codes, std::size_t width, std::int32_t* out) {
        for (std::size_t w = 0; w < words(width); ++w) {
            std::uint32_t word = 0;
            for (std::size_t d = w * per_word; d < (w + 1) * per_word; ++d) {
                word |= static_cast<std::uint32_t>(codes[d]) << place(d);
            }
            out[w * 16] = static_cast<std::int32_t>(word);
        }
    }
};

}  // namespace nullm::inline NULLM_ABI
