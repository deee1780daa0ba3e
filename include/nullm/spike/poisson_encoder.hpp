#pragma once
// Rate code: each neuron spikes with its intensity as probability, independently, from draws named by a key.

#include <nullm/core/error.hpp>
#include <nullm/core/random.hpp>
#include <nullm/core/simd.hpp>
#include <nullm/spike/concepts.hpp>
#include <nullm/core/simd/philox_runs.hpp>
#include <nullm/spike/spike_bits.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace nullm::inline NULLM_ABI {

/// One encoder step, for the kernels.
struct poisson_call {
    std::size_t n = 0;
    const float* intensities = nullptr;  // (n)
    std::array<std::uint32_t, 4>
        counter;  // of draw_block(); the first word is replaced by the block's number
    std::array<std::uint32_t, 2> key;
    std::uint32_t first_draw = 0;  // number of neuron 0's draw in the key's sequence
    std::uint64_t* words = nullptr;
};

}  // namespace nullm::inline NULLM_ABI

#define NULLM_KERNELS <nullm/spike/kernels/poisson.inl>
#include <nullm/core/simd/foreach_isa.hpp>

namespace nullm::inline NULLM_ABI {

/// Neuron i of n spikes at encoder step s iff draw_uniform(key, s n + i) < intensity[i]. So 0 never spikes, 1
/// always does, and the frequency is exact on a grid of 2^-24. No state: any part may be drawn alone, in any
/// order, on any thread. Philox, 64 neurons at a time.
struct poisson_encoder {
    /// Intensities in [0, 1] (below: never; above: always; NaN: never). Throws nullm::error if (step + 1) n
    /// exceeds the 2^32 draws of a key.
    void encode(std::span<const float> intensities, const draw_key& key, std::uint32_t step, spike_bits& out,
                isa level = active_isa()) const {
        const std::size_t n = intensities.size();
        if (n > (std::uint64_t{1} << 32) / (std::uint64_t{step} + 1)) {
            throw error("poisson_encoder", "at most 2^32 draws for one key",
                        std::to_string(n) + " neurons at step " + std::to_string(step));
        }
        out.reset(n);
        const auto position = static_cast<std::uint64_t>(key.position);  // the layout of draw_block()
        const poisson_call call{
            .n = n,
            .intensities = intensities.data(),
            .counter = {0, static_cast<std::uint32_t>(position),
                        static_cast<std::uint32_t>(position >> 32) ^ (key.repeat << 8),
                        static_cast<std::uint32_t>(key.stream)},
            .key = {static_cast<std::uint32_t>(key.seed), static_cast<std::uint32_t>(key.seed >> 32)},
            .first_draw = static_cast<std::uint32_t>(std::uint64_t{step} * n),
            .words = out.words().data()};
        NULLM_DISPATCH(level, poisson_spikes(call));
    }
};
static_assert(Encoder<poisson_encoder>);

}  // namespace nullm::inline NULLM_ABI
