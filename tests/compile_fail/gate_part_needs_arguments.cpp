// expect: this part of the gate needs arguments
#include <nullm/generate/session.hpp>

struct mine : nullm::quiet {
    using gate = nullm::random_gate;  // a whole gate that only its maker can parametrise
};
void use(const nullm::vocabulary_view& vocabulary) { nullm::make_gate<mine>(vocabulary); }
