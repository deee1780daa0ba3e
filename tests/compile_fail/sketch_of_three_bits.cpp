// expect: sketch_sampler: expected 1, 2 or 4 bits a coordinate
#include <nullm/attention/sketch_attention.hpp>

// Words hold whole numbers of codes.
int size = sizeof(nullm::sketch_attention<3>::state);
