#pragma once
// Counts what operator new hands out in this executable (see allocation_counter.cpp).

#include <cstddef>

namespace support {

/// Bytes handed out since reset(), whether freed again or not, to all threads.
struct allocation_counter {
    static void reset();
    static std::size_t total();
};

}  // namespace support
