// expect: expected at most 15 bits and 2 to 4096 tables
#include <nullm/attention/lsh_attention.hpp>

// A key is chosen when two tables hit it: with one table none ever is.
int size = sizeof(nullm::lsh_attention<nullm::lsh_shape{.bits = 9, .tables = 1}>::state);
