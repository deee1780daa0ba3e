#pragma once
// What a reader or writer did, counted.

#include <nullm/core/step.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace nullm::inline NULLM_ABI {

/// Counters of one reader or writer. The first six describe the stream or text as it stands and follow a
/// rewind; the others say what was done and only grow. (restore() takes all of them back: it is an identity.)
struct statistics {
    std::uint64_t positions = 0;  // reader: tokens pushed; writer: tokens of the text
    std::uint64_t emitted = 0;    // positions the model answered at
    std::uint64_t nulls = 0;  // positions whose NULL stood; writer: first yielded as NULL and then verified
    std::uint64_t restarts = 0;       // reader: full contexts left behind
    std::uint64_t spans = 0;          // reader of spans: those that ended
    std::uint64_t spared = 0;         // of them: silent, but protected from a discard
    std::uint64_t prompt_tokens = 0;  // writer: tokens it was given
    std::uint64_t withdrawn = 0;      // writer: NULLs taken back at a mismatch
    std::uint64_t pauses = 0;         // writer without a drafter: NULLs, none of them a position
    std::uint64_t passes = 0;         // forward passes, the prompt's excepted
    std::uint64_t rows = 0;           // positions in those passes; rows / passes is the mean batch
    std::uint64_t discarded = 0;      // reader: tokens taken out of its stream (lossy)
    std::uint64_t dropped = 0;        // reader of spans: spans they made up (lossy)
    std::array<std::uint64_t, static_cast<std::size_t>(wake_reason::context) + 1>
        fires{};  // steps by their reason

    /// Steps at which the model was run for this reason.
    std::uint64_t fires_for(wake_reason reason) const { return fires[static_cast<std::size_t>(reason)]; }
    /// Steps at which only exploration ran the model: what the gate would have missed can be judged from
    /// these.
    std::uint64_t explored() const { return fires_for(wake_reason::explore); }

    /// Spans that were not dropped.
    std::uint64_t kept() const { return spans - dropped; }

    friend bool operator==(const statistics&, const statistics&) = default;
};

}  // namespace nullm::inline NULLM_ABI
