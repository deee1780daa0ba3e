// expect: encoder` makes another number of spikes than `neuron` takes
#include <nullm/generate/session.hpp>

struct short_encoder : nullm::poisson_encoder {
    static constexpr std::size_t fixed_width = 64;
};
struct long_neuron : nullm::quiet_neuron {
    static constexpr std::size_t fixed_width = 128;
};
struct mine : nullm::quiet {
    using encoder = short_encoder;
    using neuron = long_neuron;
};
int size = sizeof(nullm::gate_of<mine>);
