// expect: power of two from 32 to 4096
#include <nullm/linear/nf4_linear.hpp>

int size = sizeof(nullm::nf4_linear<48>);
