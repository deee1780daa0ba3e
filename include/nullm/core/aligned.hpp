#pragma once
// Vectors whose storage starts at a cache line, so that 64-byte loads never straddle two.

#include <nullm/core/abi.hpp>

#include <cstddef>
#include <new>
#include <vector>

namespace nullm::inline NULLM_ABI {

inline constexpr std::size_t cache_line = 64;

template <class T>
struct aligned_allocator {
    using value_type = T;
    aligned_allocator() = default;
    template <class U>
    aligned_allocator(const aligned_allocator<U>&) {}
    T* allocate(std::size_t n) {
        if (n > static_cast<std::size_t>(-1) / sizeof(T)) throw std::bad_array_new_length();
        return static_cast<T*>(::operator new(n * sizeof(T), std::align_val_t{cache_line}));
    }
    void deallocate(T* p, std::size_t) { ::operator delete(p, std::align_val_t{cache_line}); }
    template <class U>
    bool operator==(const aligned_allocator<U>&) const { return true; }
};

template <class T>
using aligned_vector = std::vector<T, aligned_allocator<T>>;

/// n rounded up to a multiple of m.
constexpr std::size_t round_up(std::size_t n, std::size_t m) { return (n + m - 1) / m * m; }

}  // namespace nullm::inline NULLM_ABI
