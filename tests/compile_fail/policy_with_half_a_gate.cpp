// expect: `threshold` the four parts of one
#include <nullm/generate/session.hpp>

struct lenient {  // theta() is there; who settles it?
    using state = nullm::stateless;
    state initial() const { return {}; }
    float theta(const state&, nullm::token_id) const { return 0.5F; }
};
struct mine : nullm::quiet {
    using threshold = lenient;
};
nullm::gate_of<mine>* gate = nullptr;
