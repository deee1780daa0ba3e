#pragma once
// What tests of damaged files share: seeded damage, and what a reader may answer it with.

#include <nullm/core/error.hpp>
#include <nullm/core/random.hpp>

#include <support/catch.hpp>

#include <cstddef>
#include <cstdint>

namespace support {

/// The draws of one mutation, in order.
class dice {
 public:
    dice(std::uint64_t seed, std::int64_t mutation)
        : key_{.seed = seed, .stream = nullm::draw_stream::test, .position = mutation} {}

    /// Of 0 to n - 1; 0 if there are none.
    std::size_t below(std::size_t n) { return (std::uint64_t{nullm::draw_u32(key_, next_++)} * n) >> 32; }

 private:
    nullm::draw_key key_;
    std::uint32_t next_ = 0;
};

/// Whether the reader took what it was given. A refusal must be one sentence without control codes; anything
/// but a nullm::error ends the test.
template <class Read>
bool survives(Read&& read) {
    try {
        read();
        return true;
    } catch (const nullm::error& refused) {
        for (const char* c = refused.what(); *c != '\0'; ++c) {
            if (static_cast<unsigned char>(*c) < 0x20) FAIL("control code in: " << refused.what());
        }
        return false;
    }
}

}  // namespace support
