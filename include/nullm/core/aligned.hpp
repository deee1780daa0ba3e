#pragma once
// Memory that starts at a cache line, so that 64-byte loads never straddle two, and lies on huge pages where it fills them.

#include <nullm/core/abi.hpp>

#include <cstddef>
#include <new>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace nullm::inline NULLM_ABI {

inline constexpr std::size_t cache_line = 64;

/// A page of this size covers what 512 ordinary ones do. Prefetching stops at page borders, so streaming weights or keys
/// from memory is a quarter faster and more (benchmarks/kernel/linear.cpp, rows `read`).
inline constexpr std::size_t huge_page = std::size_t{2} << 20;

constexpr std::align_val_t alignment_for(std::size_t bytes) {
    return std::align_val_t{bytes >= huge_page ? huge_page : cache_line};
}

/// `bytes` uninitialised bytes at a cache line; at a huge page, and on huge pages if the system has them, where they fill
/// one. To be freed by free_aligned with the same size. Throws std::bad_alloc.
inline void* allocate_aligned(std::size_t bytes) {
    void* const p = ::operator new(bytes, alignment_for(bytes));
#if defined(__linux__)
    // Advice: where it is refused, the pages are ordinary ones and all else is the same.
    if (bytes >= huge_page) madvise(p, bytes / huge_page * huge_page, MADV_HUGEPAGE);
#endif
    return p;
}
inline void free_aligned(void* p, std::size_t bytes) {
    ::operator delete(p, alignment_for(bytes));
}

template <class T>
struct aligned_allocator {
    using value_type = T;
    aligned_allocator() = default;
    template <class U>
    aligned_allocator(const aligned_allocator<U>&) {}
    T* allocate(std::size_t n) {
        if (n > static_cast<std::size_t>(-1) / sizeof(T)) throw std::bad_array_new_length();
        return static_cast<T*>(allocate_aligned(n * sizeof(T)));
    }
    void deallocate(T* p, std::size_t n) { free_aligned(p, n * sizeof(T)); }
    template <class U>
    bool operator==(const aligned_allocator<U>&) const { return true; }
};

template <class T>
using aligned_vector = std::vector<T, aligned_allocator<T>>;

/// n rounded up to a multiple of m.
constexpr std::size_t round_up(std::size_t n, std::size_t m) { return (n + m - 1) / m * m; }

}  // namespace nullm::inline NULLM_ABI
