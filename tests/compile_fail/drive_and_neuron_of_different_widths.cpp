// expect: drive` makes another number of intensities than there are neurons
#include <nullm/generate/session.hpp>

struct narrow_drive : nullm::importance_drive {  // says how many neurons it drives
    using nullm::importance_drive::importance_drive;
    static constexpr std::size_t fixed_width = 256;
};
struct wide_neuron : nullm::quiet_neuron {
    using nullm::quiet_neuron::quiet_neuron;
    static constexpr std::size_t fixed_width = 320;
};
struct mine : nullm::quiet {
    using drive = narrow_drive;
    using neuron = wide_neuron;
};
int size = sizeof(nullm::gate_of<mine>);
