#pragma once
// A key and a value picked out of the cache, and how they are asked for before they are read.

#include <nullm/core/abi.hpp>
#include <nullm/core/aligned.hpp>

#include <cstddef>

namespace nullm::inline NULLM_ABI {

/// Of one position, KV head and layer: as many elements as a cached value has (kv_cache::value_stride()).
template <class T>
struct picked_row {
    const T* key;
    const T* value;
};

/// Rows lie anywhere in memory, which no processor's own prefetching foresees. A core has but a few requests
/// on the way at a time (24 on Zen 4) and forgets those it has no room for, so rows are asked for a few at a
/// time: from memory, into the second-level cache, so many rows before they are read ...
inline constexpr std::size_t rows_from_memory = 24;
/// ... and from there into the first, so many before.
inline constexpr std::size_t rows_from_cache = 5;

template <class T>
[[gnu::always_inline]] inline void ask_memory_for(const picked_row<T>& row, std::size_t elements) {
    for (std::size_t line = 0; line < elements * sizeof(T); line += cache_line) {
        __builtin_prefetch(reinterpret_cast<const char*>(row.key) + line, 0, 2);
        __builtin_prefetch(reinterpret_cast<const char*>(row.value) + line, 0, 2);
    }
}
template <class T>
[[gnu::always_inline]] inline void ask_cache_for(const T* elements, std::size_t count) {
    for (std::size_t line = 0; line < count * sizeof(T); line += cache_line)
        __builtin_prefetch(reinterpret_cast<const char*>(elements) + line, 0, 3);
}

}  // namespace nullm::inline NULLM_ABI
