#pragma once
// The drive most users want: how much a token matters, and how unexpected it is.

#include <nullm/spike/concepts.hpp>
#include <nullm/spike/drives/importance_drive.hpp>
#include <nullm/spike/drives/mixed_drive.hpp>
#include <nullm/spike/drives/surprise_drive.hpp>
#include <nullm/spike/vocabulary.hpp>

namespace nullm::inline NULLM_ABI {

struct quiet_drive_params {
    importance_params importance = {};
    surprise_params surprise = {};
    // Share of surprise. 0 keeps rare words, names and numbers whether they repeat or not; 1 keeps what the
    // text so far does not foretell, and skips a rare word that it repeats. Figures: quiet_gate.hpp.
    float surprise_weight = 0.4F;
};

/// importance_drive and surprise_drive, mixed.
class quiet_drive : public mixed_drive<importance_drive, surprise_drive> {
 public:
    using mixed_drive::mixed_drive;

    /// Throws nullm::error as the two drives do, for a weight outside [0, 1] and for unequal numbers of
    /// neurons.
    static quiet_drive build(const vocabulary_view& vocabulary, const quiet_drive_params& params = {}) {
        return {importance_drive::build(vocabulary, params.importance),
                surprise_drive::build(vocabulary, params.surprise), params.surprise_weight};
    }
};
static_assert(UniformDrive<quiet_drive>);

}  // namespace nullm::inline NULLM_ABI
