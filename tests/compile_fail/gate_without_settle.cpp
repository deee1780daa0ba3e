// expect: SettlesGate
#include <nullm/generate/reader.hpp>
#include <nullm/generate/sampler.hpp>

struct forgetful {  // names its missing member in the diagnostic: the atom SettlesGate
    struct state {
        int now = 0;
    };
    state initial() const { return {}; }
    nullm::gate_decision step(state&, const nullm::gate_input&) const { return {}; }
};
static_assert(nullm::Gate<forgetful>);
