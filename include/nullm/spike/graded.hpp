#pragma once
// Intensities that say how much, kept apart from the two that say never and always.

#include <nullm/core/abi.hpp>

#include <algorithm>

namespace nullm::inline NULLM_ABI {

/// x moved into [2^-10, 1 - 2^-10]: a matter of degree, however high or low. So that 0 and 1, the verdicts of
/// a word list or of a control token, survive a mixture (mixed_drive).
inline float graded(float x) {
    return std::clamp(x, 0x1p-10F, 1.0F - 0x1p-10F);
}

/// 0 never excites and 1 always does: no matter of degree.
inline bool is_verdict(float intensity) {
    return intensity <= 0.0F || intensity >= 1.0F;
}

}  // namespace nullm::inline NULLM_ABI
