// expect: `sampler` must name a type that models Sampler
#include <nullm/generate/session.hpp>

struct careless {  // draws where it likes, not from the key: verified drafts would differ
    nullm::token_id sample(std::span<const float>) const { return 0; }
};
struct mine : nullm::quiet {
    using sampler = careless;
};
int size = sizeof(nullm::model_of<mine>);
