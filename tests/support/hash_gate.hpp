#pragma once
// A Gate whose decisions come from a bit pattern and whose state betrays any step or settle that is missing,
// too many or out of order.

#include <nullm/spike/gate.hpp>

#include <bit>
#include <cstdint>

namespace support {

struct hash_gate {
    std::uint64_t pattern = 0;  // bit i: fires at position first + i
    std::int64_t first = 0;

    struct state {
        std::uint64_t now = 1;
        std::uint64_t learned = 2;
        friend bool operator==(const state&, const state&) = default;
    };

    state initial() const { return {}; }
    nullm::gate_decision step(state& s, const nullm::gate_input& in) const {
        s.now = mix(mix(s.now, s.learned),
                    static_cast<std::uint64_t>(in.token) + (std::uint64_t{in.repeat} << 32));
        s.now = mix(mix(s.now, static_cast<std::uint64_t>(in.position)),
                    std::bit_cast<std::uint32_t>(in.confidence));
        const auto bit = in.position - first + in.repeat;
        const bool fire = bit >= 0 && bit < 64 && ((pattern >> bit) & 1) != 0;
        return {.rate = fire ? 1.0F : 0.25F, .theta = 0.5F, .fire = fire};
    }
    void settle(state& s, nullm::token_id token, bool fired) const {
        s.learned = mix(s.learned, static_cast<std::uint64_t>(token) * 2 + (fired ? 1 : 0));
    }

 private:
    static constexpr std::uint64_t mix(std::uint64_t h, std::uint64_t x) {
        h = (h ^ x) * 0x9E3779B97F4A7C15ULL;
        return h ^ (h >> 29);
    }
};
static_assert(nullm::Gate<hash_gate>);

}  // namespace support
