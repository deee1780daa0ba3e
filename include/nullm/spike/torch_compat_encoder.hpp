#pragma once
// The rate code of snnTorch on torch's CPU generator, for comparisons with networks run there.

#include <nullm/core/error.hpp>
#include <nullm/core/simd.hpp>
#include <nullm/spike/concepts.hpp>

#include <algorithm>
#include <cstdint>
#include <random>
#include <span>
#include <string>

namespace nullm::inline NULLM_ABI {

/// Row `position * steps + step` of what snntorch 1.0.0 `spikegen.rate(data, num_steps, gain, offset)` draws
/// after `torch.manual_seed(seed)`: one 32-bit draw of MT19937 a neuron, row-major; u = lower 24 bits *
/// 2^-24; spike iff u < clamp(intensity * gain + offset, 0, 1). Equal bit for bit to torch 2.15.0 on CPU. The
/// generator runs from the seed at every call, so the cost grows with the row: for comparisons, not for use.
/// MT19937 takes the lower 32 bits of the seed, and `repeat` is ignored, as torch has neither.
struct torch_compat_encoder {
    float gain = 1.0F;
    float offset = 0.0F;
    std::uint32_t steps = 1;  // encoder steps a position

    /// Throws nullm::error for a negative position or a NaN intensity (torch refuses it too).
    void encode(std::span<const float> intensities, const draw_key& key, std::uint32_t step,
                spike_bits& out) const {
        if (key.position < 0) {
            throw error("torch_compat_encoder", "a position of 0 or more", std::to_string(key.position));
        }
        for (const float x : intensities) {
            if (x != x) throw error("torch_compat_encoder intensity", "a number", "NaN");
        }
        const std::uint64_t row = static_cast<std::uint64_t>(key.position) * steps + step;
        std::mt19937 generator(static_cast<std::uint32_t>(key.seed));
        generator.discard(row * intensities.size());
        out.reset(intensities.size());
        for (std::size_t i = 0; i < intensities.size(); ++i) {
            const float uniform = static_cast<float>(generator() & 0xFFFFFFU) * 0x1p-24F;
            const float p = scalar::rounded(intensities[i] * gain) + offset;
            if (uniform < std::clamp(p, 0.0F, 1.0F)) out.set(i);
        }
    }
};
static_assert(Encoder<torch_compat_encoder>);

}  // namespace nullm::inline NULLM_ABI
