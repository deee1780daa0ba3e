#pragma once
// Root-mean-square normalisation, and the residual sum around it.

#include <nullm/core/simd.hpp>

#include <cmath>
#include <cstddef>
#include <span>

#define NULLM_KERNELS <nullm/model/rms_norm.inl>
#include <nullm/core/simd/foreach_isa.hpp>

namespace nullm::inline NULLM_ABI {

/// y = x / sqrt(mean(x^2) + epsilon) * weight (Zhang and Sennrich 2019), the mean summed in sixteen lanes.
/// All three have the same size; y may be x.
inline void rms_norm(std::span<const float> x, std::span<const float> weight, float epsilon,
                     std::span<float> y, isa level = active_isa()) {
    NULLM_DISPATCH(level, rms_norm(x.data(), weight.data(), x.size(), epsilon, y.data()));
}

/// x += y, of the same size.
inline void add_residual(std::span<float> x, std::span<const float> y, isa level = active_isa()) {
    NULLM_DISPATCH(level, add_residual(x.data(), y.data(), x.size()));
}

}  // namespace nullm::inline NULLM_ABI
