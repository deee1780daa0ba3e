// What the consumers build: two files that both use the library, small enough to compile in two seconds.
#include "other.hpp"

#include <nullm/core/version.hpp>
#include <nullm/spike/lif.hpp>
#include <nullm/spike/poisson_encoder.hpp>

#include <cstddef>
#include <iostream>
#include <vector>

namespace {

bool expect(bool holds, const char* sentence) {
    if (!holds) std::cerr << "consumer: not so: " << sentence << '\n';
    return holds;
}

/// 100 neurons fed 0.7 a step with beta 0.5: 0.7, 1.05 (spike), 0.7, 1.05 (spike), ...
std::size_t spikes_of_ten_steps(nullm::isa level) {
    const nullm::lif<> neurons;
    nullm::lif<>::state layer(100);
    const std::vector<float> input(100, 0.7F);
    nullm::spike_bits spikes;
    std::size_t count = 0;
    for (int step = 0; step < 10; ++step) {
        neurons.step(layer, input, spikes, level);
        count += spikes.count();
    }
    return count;
}

}  // namespace

int main() {
    const nullm::isa best = nullm::active_isa();
    bool good = expect(best == nullm::detected_isa(), "the best kernels of this machine are in use");
    good &= expect(spikes_of_ten_steps(nullm::isa::scalar) == 500, "100 neurons spike every other step");
    good &= expect(spikes_of_ten_steps(best) == 500, "so they do in the fastest kernels");
    good &= expect(other::encoded(1000) == 1000, "a Poisson neuron of intensity 1 always spikes");
    // Both files were compiled alike: an inline function of the library is one function.
    good &= expect(other::address_of_active_isa() == &nullm::active_isa, "the program has one active_isa()");
    std::cout << "nullm " << nullm::version_major << '.' << nullm::version_minor << '.'
              << nullm::version_patch << ", " << nullm::name_of(best) << '\n';
    return good ? 0 : 1;
}
