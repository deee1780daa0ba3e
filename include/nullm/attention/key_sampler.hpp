#pragma once
// KeySampler: which of the indexed keys a query reads, and how likely each one's choice was.

#include <nullm/attention/concepts.hpp>
#include <nullm/core/matrix_view.hpp>
#include <nullm/core/thread_pool.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// The queries of one position that share a KV head, and the keys they may choose from: those at positions
/// from the index's first one up to, not including, `limit`. The index may already hold later ones; they do
/// not exist here.
struct key_query {
    std::size_t layer = 0;
    std::size_t kv_head = 0;
    std::size_t position = 0;
    std::size_t limit = 0;
    matrix_view<const float> q;  // a row of head_size for each query head; the first is head kv_head * q.rows
};

/// What one query head chose.
struct key_selection {
    std::vector<std::uint32_t> positions;  // ascending, each once
    std::vector<float> surprisal;  // -log u of each: u is the probability with which it was to be chosen
    std::size_t floored = 0;       // how many u were raised to the sampler's floor
};

/// `typename S::index`: what is kept of the keys, of all layers and KV heads. Made from the sampler, the
/// shape and the first position that is ever indexed; empty then. A copy is a snapshot: it shares memory
/// until one side changes. `end(layer)`: one past the last position indexed, the first one while there is
/// none. `truncate(n)` forgets the positions from n on, in every layer.
template <class S>
concept HasKeyIndex =
    std::constructible_from<typename S::index, const S&, const attention_shape&, std::size_t> &&
    std::copyable<typename S::index> &&
    requires(typename S::index& index, const typename S::index& kept, std::size_t n) {
    { kept.end(n) } -> std::convertible_to<std::size_t>;
    { index.truncate(n) } -> std::same_as<void>;
};

/// `typename S::scratch`: memory for one key_query at a time; it carries what select() found to the weigh()
/// that follows.
template <class S>
concept HasKeyScratch = std::default_initializable<typename S::scratch>;

/// `min_indexed`: the number of indexed keys below which choosing costs more than reading all of them.
template <class S>
concept HasMinIndexed = requires(const S sampler) {
    { sampler.min_indexed } -> std::convertible_to<std::size_t>;
};

/// append(index, layer, keys, pool): the keys of positions end(layer), end(layer) + 1, ... one a row, all KV
/// heads side by side, less their head's mean. A head's row of zeros is a key that says nothing of its
/// direction: it must be chosen always, with u = 1.
template <class S>
concept AppendsKeys = requires(const S sampler, typename S::index& index, std::size_t layer,
                               matrix_view<const float> keys, thread_pool& pool) {
    { sampler.append(index, layer, keys, pool) } -> std::same_as<void>;
};

/// select(index, query, chosen, scratch): the positions each query row chooses, into the selection of the
/// same number.
template <class S>
concept SelectsKeys = requires(const S sampler, const typename S::index& index, const key_query& query,
                               std::span<key_selection> chosen, typename S::scratch& scratch) {
    { sampler.select(index, query, chosen, scratch) } -> std::same_as<void>;
};

/// weigh(index, query, row, dots, scratch, chosen): fills surprisal and floored of the row's selection.
/// dots[j] is the product of the query with the centred key at chosen.positions[j]. Selections of different
/// rows or parts may be weighed from different threads.
template <class S>
concept WeighsKeys = requires(const S sampler, const typename S::index& index, const key_query& query,
                              std::size_t row, std::span<const float> dots,
                              const typename S::scratch& scratch, key_selection& chosen) {
    { sampler.weigh(index, query, row, dots, scratch, chosen) } -> std::same_as<void>;
};

/// Chooses in parts, each a range of positions, which threads share out: begin_scan(index, query, scratch)
/// tells how many; scan(index, query, part, scratch) of each; settle(index, query, always, scratch), with
/// each row's logarithm of the sum of e^logit over the keys it reads in any case; and then draw(index, query,
/// part, scratch, chosen) of each writes which of that part's keys are read, by all rows of the query, and
/// their surprisal. Together they are select() and weigh(). Optional.
template <class S>
concept ScansKeys = requires(const S sampler, const typename S::index& index, const key_query& query,
                             std::size_t part, std::span<const float> always, key_selection& chosen,
                             typename S::scratch& scratch, const typename S::scratch& settled) {
    { sampler.begin_scan(index, query, scratch) } -> std::same_as<std::size_t>;
    { sampler.scan(index, query, part, scratch) } -> std::same_as<void>;
    { sampler.settle(index, query, always, scratch) } -> std::same_as<void>;
    { sampler.draw(index, query, part, settled, chosen) } -> std::same_as<void>;
};

/// refined(factor): the same sampler over the same index, reading some `factor` times as many keys. Optional.
template <class S>
concept RefinesChoice = requires(const S sampler, float factor) {
    { sampler.refined(factor) } -> std::same_as<S>;
};

/// index_bytes(index, query, scratch): how much of the index the choice that scratch carries has read, if
/// that depends on the query and its position alone (the tables' depends on when keys were sorted into them).
/// Optional.
template <class S>
concept CountsIndexBytes = requires(const S sampler, const typename S::index& index, const key_query& query,
                                    const typename S::scratch& scratch) {
    { sampler.index_bytes(index, query, scratch) } -> std::same_as<std::uint64_t>;
};

/// Chooses keys for a query at random, each with a probability u > 0 it can tell: an immutable description
/// over an index the caller owns. sampled_attention divides by u, so whatever the sampler, its sums over the
/// chosen keys have the sums over all keys as their mean. What is chosen depends on the query, its position,
/// the keys below `limit` and the sampler's seed alone: not on the order of appends and truncates, the batch,
/// threads or instruction set. Models: table_sampler, sketch_sampler. Reference: docs/concepts.md#keysampler.
template <class S>
concept KeySampler = std::copyable<S> && HasKeyIndex<S> && HasKeyScratch<S> && HasMinIndexed<S> &&
    AppendsKeys<S> && SelectsKeys<S> && WeighsKeys<S>;

}  // namespace nullm::inline NULLM_ABI
