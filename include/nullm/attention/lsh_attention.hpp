#pragma once
// Attention as in MagicPIG: keys sampled by locality-sensitive hashing.

#include <nullm/attention/sampled_attention.hpp>
#include <nullm/attention/table_sampler.hpp>

namespace nullm::inline NULLM_ABI {

/// sampled_attention over hash tables; lsh_attention<lsh_shape{.bits = 10, .tables = 150}> is the paper's
/// most frugal one.
template <lsh_shape shape = lsh_shape{}, CacheElement T = f16>
using lsh_attention = sampled_attention<table_sampler<shape>, T>;

static_assert(Attention<lsh_attention<>> && KeepsIndex<lsh_attention<>>);

}  // namespace nullm::inline NULLM_ABI
