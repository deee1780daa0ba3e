// expect: -ffast-math reorders sums
#define __FAST_MATH__ 1  // what the flag defines
#include <nullm/core/abi.hpp>
