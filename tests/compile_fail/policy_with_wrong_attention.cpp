// expect: `attention` must name a type that models Attention
#include <nullm/generate/session.hpp>

struct blind {  // has a cache type, but no attend()
    using cache_type = float;
    struct state {};
};
struct mine : nullm::quiet {
    using attention = blind;
};
int size = sizeof(nullm::model_of<mine>);
