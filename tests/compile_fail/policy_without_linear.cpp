// expect: `linear` must name a type that models Linear
#include <nullm/generate/session.hpp>

struct mine : nullm::quiet {
    using linear = int;
};
using model = nullm::model_of<mine>;
model* used = nullptr;
int size = sizeof(model);
