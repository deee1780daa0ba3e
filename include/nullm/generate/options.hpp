#pragma once
// What a caller may ask of a reader and of a writer.

#include <nullm/core/random.hpp>
#include <nullm/core/token.hpp>

#include <cstdint>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// Limits and seed of a reader. With all limits off (and any max_pending) it answers where its gate fires.
struct reader_options {
    std::uint64_t seed = 0;          // of every draw: gate, exploration, sampler
    std::uint32_t max_pending = 64;  // so many positions waiting are cached without an answer
    std::uint32_t max_silence = 0;   // so many NULLs in a row, then an answer; 0: off
    std::uint32_t explore = 0;       // one position in so many answers whatever the gate says; 0: off

    // With a SpanGate the last two ask their question at a span's end, of its last position.
    bool discard = false;                   // a silent span is dropped instead of waiting; lossy
    std::vector<token_id> never_drop = {};  // a span that holds one of these is never dropped
};

/// Limits and seed of a writer. None of them changes the text, max_tokens and stop_tokens excepted.
struct writer_options {
    std::uint32_t max_tokens = 128;  // of the text, its stop token not counted
    std::uint32_t max_pending = 8;   // so many candidates waiting, then they are verified
    std::uint32_t max_silence = 0;   // so many NULLs in a row, then an answer; 0: off
    std::uint32_t explore = 0;       // one position in so many is verified whatever the gate says; 0: off
    std::vector<token_id> stop_tokens = {};  // each ends the text and is no part of it
    std::uint64_t seed = 0;                  // of every draw: gate, exploration, sampler
};

/// Whether exploration, one in `one_in` (0: never), picks this position. Keyed, so that a rewound run picks
/// the same positions.
constexpr bool explores(std::uint32_t one_in, std::uint64_t seed, std::int64_t position,
                        std::uint32_t repeat = 0) {
    const draw_key key{.seed = seed, .stream = draw_stream::explore, .position = position, .repeat = repeat};
    return one_in != 0 && draw_u32(key) % one_in == 0;
}

}  // namespace nullm::inline NULLM_ABI
