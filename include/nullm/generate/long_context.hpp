#pragma once
// The preset for long contexts: keys far back are sampled, not read.

#include <nullm/attention/lsh_attention.hpp>
#include <nullm/generate/policy.hpp>

namespace nullm::inline NULLM_ABI {

/// As quiet, with MagicPIG's attention (9 bits, 120 tables). Approximate: its text is that of the same
/// attention without a gate, not that of exact attention. Its index takes about 480 bytes a key and KV head, twice an f16 cache at
/// head size 64.
struct long_context : quiet {
    using attention = lsh_attention<lsh_shape{.bits = 9, .tables = 120}, f16>;
};

}  // namespace nullm::inline NULLM_ABI
