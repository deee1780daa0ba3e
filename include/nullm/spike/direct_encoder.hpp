#pragma once
// Spikes without chance: for gates that must not depend on a seed.

#include <nullm/spike/concepts.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

namespace nullm::inline NULLM_ABI {

/// Spikes iff the intensity reaches `level`, at every step alike. The "direct coding" of the literature feeds
/// the intensity to the neurons as a current; an Encoder yields spikes, so here it is cut to one bit. Use it
/// with drives whose neurons differ (magnitude_drive); a population that shares one intensity spikes as one.
struct direct_encoder {
    float level = 0.5F;  // above 0, so that intensity 0 stays silent; at most 1

    void encode(std::span<const float> intensities, const draw_key&, std::uint32_t, spike_bits& out) const {
        out.reset(intensities.size());
        for (std::size_t i = 0; i < intensities.size(); ++i) {
            if (intensities[i] >= level) out.set(i);
        }
    }
};
static_assert(Encoder<direct_encoder>);

}  // namespace nullm::inline NULLM_ABI
