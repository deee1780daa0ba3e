#pragma once
// One step of a generator: what the gate said, and what came of it.

#include <nullm/core/token.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace nullm::inline NULLM_ABI {

/// Why the model was run at a step (or why the loop ended); `none` where it was not.
enum class wake_reason : std::uint8_t {
    none,          // silent: NULL
    rate,          // the spike rate reached theta
    forced,        // the caller asked with force()
    no_candidate,  // writer: the drafter had nothing to propose
    max_pending,   // as many positions wait as may wait
    max_silence,   // as many NULLs in a row as may be
    explore,       // one in N, to measure what the gate misses
    end,           // the last position allowed, a stop token drafted, or the input's end
    context,       // the context is full
};

/// The reason's name as the command lines print it.
constexpr std::string_view name_of(wake_reason reason) {
    constexpr std::string_view names[] = {"none",        "rate",    "forced", "no_candidate", "max_pending",
                                          "max_silence", "explore", "end",    "context"};
    return names[static_cast<std::size_t>(reason)];
}

/// A position whose token is now certain.
struct resolved_token {
    std::int64_t position;
    token_id token;
    friend bool operator==(const resolved_token&, const resolved_token&) = default;
};

/// What one step of a reader or writer yields. A NULL is a step whose `token` has no value.
struct step {
    std::int64_t position = 0;                    // reader: of the pushed token; writer: of `token`
    std::optional<token_id> token;                // no value: NULL
    float rate = 0;                               // spikes / (neurons x encoder steps), in [0, 1]
    float theta = 0;                              // the threshold the rate was held against
    wake_reason reason = wake_reason::none;
    std::span<const resolved_token> settled;      // verified at this step; valid until the next one
    std::uint32_t pending = 0;                    // positions not yet in the model's cache
    std::uint32_t withdrawn = 0;                  // NULLs behind `position` taken back at this step
};

}  // namespace nullm::inline NULLM_ABI
