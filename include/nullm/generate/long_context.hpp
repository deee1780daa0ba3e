#pragma once
// The preset for long contexts: keys far back are sampled, not read.

#include <nullm/attention/sketch_attention.hpp>
#include <nullm/generate/policy.hpp>

namespace nullm::inline NULLM_ABI {

/// As quiet, with attention over keys sampled by 2-bit sketches. Approximate: its text is that of the same
/// attention without a gate, not that of exact attention. Its index takes 20 bytes a key and KV head at head
/// size 64, a twelfth of an f16 cache.
struct long_context : quiet {
    using attention = sketch_attention<2, f16>;
};

}  // namespace nullm::inline NULLM_ABI
