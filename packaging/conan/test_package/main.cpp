// A neuron below its threshold stays silent; one above it spikes.
#include <nullm/core/version.hpp>
#include <nullm/spike/lif.hpp>

#include <nlohmann/json.hpp>

#include <iostream>
#include <vector>

int main() {
    const nullm::lif<> neurons;
    nullm::lif<>::state layer(2);
    nullm::spike_bits spikes;
    neurons.step(layer, std::vector<float>{0.5F, 1.5F}, spikes);
    const nlohmann::json report{{"silent", spikes[0]}, {"spiking", spikes[1]}};
    std::cout << "nullm " << nullm::version_major << '.' << nullm::version_minor << ' ' << report << '\n';
    return spikes[1] && !spikes[0] ? 0 : 1;
}
