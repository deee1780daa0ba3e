#pragma once
// How many hash tables of how many bits, and what that makes of an angle.

#include <nullm/core/abi.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace nullm::inline NULLM_ABI {

/// `tables` hash tables over codes of `bits` signs each (MagicPIG's L and K). Structural: it names a type.
struct lsh_shape {
    unsigned bits = 9;
    unsigned tables = 120;
    friend constexpr bool operator==(lsh_shape, lsh_shape) = default;

    /// Codes fit 16 bits with one to spare, and a key can be hit twice.
    constexpr bool valid() const { return bits <= 15 && tables >= 2 && tables <= 4096; }
};

/// The probability that two vectors at this cosine share their code in one table: p^bits, where a random
/// hyperplane leaves both on one side with p = 1 - angle / pi (Goemans and Williamson 1995; Charikar 2002).
inline double collision_probability(lsh_shape shape, double cosine) {
    const double p = 1 - std::acos(std::clamp(cosine, -1.0, 1.0)) / std::numbers::pi;
    return std::pow(p, static_cast<double>(shape.bits));
}

/// log u, where u is the probability that two vectors share their code in at least two of the tables:
/// u = 1 - (1 - c)^L - L c (1 - c)^(L-1) for L tables and collision probability c (MagicPIG, arXiv
/// 2410.16179, Eq. 10). -infinity for opposite vectors, unless bits = 0: then u = 1 everywhere.
inline double log_inclusion_probability(lsh_shape shape, double cosine) {
    const double c = collision_probability(shape, cosine);
    const double others = static_cast<double>(shape.tables) - 1;
    // Below, u is the small difference of two large sums; its own leading term is what remains of it.
    if (others * c < 1e-6) return std::log((others + 1) * others / 2) + 2 * std::log(c);
    // (1 - c)^L + L c (1 - c)^(L-1) = (1 - c)^(L-1) (1 + (L-1) c): the probability to be missed.
    const double log_missed = others * std::log1p(-c) + std::log1p(others * c);
    return log_missed < -0.7 ? std::log1p(-std::exp(log_missed)) : std::log(-std::expm1(log_missed));
}

}  // namespace nullm::inline NULLM_ABI
