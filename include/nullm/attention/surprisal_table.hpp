#pragma once
// -log u of a cosine by table look-up: the formula costs more than the dot product it belongs to.

#include <nullm/attention/lsh_shape.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <numbers>

namespace nullm::inline NULLM_ABI {

/// -log of the inclusion probability of lsh_shape.hpp, linear between knots. The knots lie evenly over the
/// half chord h = sqrt((1 - |cosine|) / 2) of the angle, not over the cosine: the angle has infinite slope
/// over the cosine at both ends, and a bounded one over h. Where u >= 1e-4, within 6e-5 of the formula from
/// 4 bits on (5.3e-6 for 9 x 120), 3e-4 for 1 bit x 2 tables; the worst shape there is, 2 x 4096, errs by
/// 1.1e-2.
class surprisal_table {
 public:
    explicit surprisal_table(lsh_shape shape) {
        for (std::size_t i = 0; i < knots; ++i) {
            const double x = std::min(static_cast<double>(i) / per_unit, std::numbers::sqrt2);
            // x rises from 0 at cosine 1 over sqrt(1/2) at 0 to sqrt(2) at -1.
            const double half = x < std::numbers::sqrt2 / 2 ? x : std::numbers::sqrt2 - x;
            const double magnitude = 1 - 2 * half * half;
            const double log_u =
                log_inclusion_probability(shape, x < std::numbers::sqrt2 / 2 ? magnitude : -magnitude);
            values_[i] = static_cast<float>(std::min(largest, -log_u));
        }
    }

    static constexpr std::size_t per_unit = 2048;  // a power of two: scaling by it rounds nothing
    static constexpr std::size_t knots = 2899;     // up to sqrt(2), and one more

    const float* data() const { return values_.data(); }

 private:
    // Where u is below e^-60 its value no longer matters, but it has to stay finite.
    static constexpr double largest = 60;

    std::array<float, knots> values_;
};

}  // namespace nullm::inline NULLM_ABI
