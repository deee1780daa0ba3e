#pragma once
// Attention over keys sampled by their sketches.

#include <nullm/attention/sampled_attention.hpp>
#include <nullm/attention/sketch_sampler.hpp>

namespace nullm::inline NULLM_ABI {

/// sampled_attention over sketches of 1, 2 or 4 bits a coordinate.
template <int bits = 2, CacheElement T = f16>
using sketch_attention = sampled_attention<sketch_sampler<bits>, T>;

static_assert(Attention<sketch_attention<>> && KeepsIndex<sketch_attention<>>);

}  // namespace nullm::inline NULLM_ABI
