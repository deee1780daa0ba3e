#pragma once
// The gated activation between the two halves of a llama MLP.

#include <nullm/core/simd.hpp>

#include <cstddef>
#include <span>

#define NULLM_KERNELS <nullm/model/swiglu.inl>
#include <nullm/core/simd/foreach_isa.hpp>

namespace nullm::inline NULLM_ABI {

/// y = silu(gate) * up with silu(g) = g / (1 + e^-g) (Shazeer 2020). All three have the same size; y may be
/// gate or up.
inline void swiglu(std::span<const float> gate, std::span<const float> up, std::span<float> y,
                   isa level = active_isa()) {
    NULLM_DISPATCH(level, swiglu(gate.data(), up.data(), gate.size(), y.data()));
}

}  // namespace nullm::inline NULLM_ABI
