// The second file: the same headers once more, so that whatever is not inline is defined twice.
#include "other.hpp"

#include <nullm/spike/lif.hpp>
#include <nullm/spike/poisson_encoder.hpp>

#include <vector>

std::size_t other::encoded(std::size_t neurons) {
    const std::vector<float> intensities(neurons, 1.0F);
    nullm::spike_bits spikes;
    nullm::poisson_encoder{}.encode(intensities, {.seed = 1}, 0, spikes);
    return spikes.count();
}

nullm::isa (*other::address_of_active_isa())() {
    return &nullm::active_isa;
}
