// expect: `drafter` must name a type that models Drafter
#include <nullm/generate/session.hpp>

struct eager {
    struct state {};
    nullm::token_id propose(state&, std::span<const nullm::token_id>, std::size_t) const { return 0; }  // not an optional draft
};
struct mine : nullm::quiet {
    using drafter = eager;
};
int size = sizeof(nullm::model_of<mine>);
