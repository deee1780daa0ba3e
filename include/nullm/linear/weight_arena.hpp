#pragma once
// Where a model's weights live: huge pages, shared by its matrices, not initialised (whoever fills a tile
// touches its pages first).

#include <nullm/core/aligned.hpp>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace nullm::inline NULLM_ABI {

/// A page of this size covers what 512 ordinary ones do. Prefetching stops at page borders, so streaming
/// weights from memory is a quarter faster and more (benchmarks/kernel/linear.cpp, rows `read`).
inline constexpr std::size_t huge_page = std::size_t{2} << 20;

/// Bytes at an address that is a multiple of the cache line; freed with their last owner. Movable and cheap
/// to copy.
struct weight_bytes {
    std::shared_ptr<std::byte> first;
    std::size_t size = 0;
};

/// `size` uninitialised bytes of their own, on huge pages if that many fill one and the system has them.
/// Throws std::bad_alloc.
inline weight_bytes allocate_weights(std::size_t size) {
    const std::align_val_t alignment{size >= huge_page ? huge_page : cache_line};
    auto* const p = static_cast<std::byte*>(::operator new(size, alignment));
    weight_bytes bytes{{p, [alignment](std::byte* q) { ::operator delete(q, alignment); }}, size};
#if defined(__linux__)
    // Advice: where it is refused, the pages are ordinary ones and all else is the same.
    if (size >= huge_page) madvise(p, size / huge_page * huge_page, MADV_HUGEPAGE);
#endif
    return bytes;
}

/// Hands out pieces of large allocations, so that matrices smaller than a huge page lie on them, too. Use one
/// for all the matrices of a model; it may be destroyed before them. Not for several threads at once.
class weight_arena {
 public:
    /// `size` uninitialised bytes. What is reserved in advance is at most as much again as was handed out, 64
    /// MB and no less than 8 MB; what is not used of it is never touched. Throws std::bad_alloc.
    weight_bytes allocate(std::size_t size) {
        if (size > left_) {
            const std::size_t reserve = std::clamp(handed_out_, std::size_t{8} << 20, std::size_t{64} << 20);
            slab_ = allocate_weights(std::max(round_up(size, huge_page), reserve / huge_page * huge_page));
            left_ = slab_.size;
        }
        // The pointer shares ownership of the whole slab.
        weight_bytes piece{{slab_.first, slab_.first.get() + (slab_.size - left_)}, size};
        left_ -= std::min(left_, round_up(size, cache_line));
        handed_out_ += size;
        return piece;
    }

 private:
    weight_bytes slab_;
    std::size_t left_ = 0;
    std::size_t handed_out_ = 0;
};

}  // namespace nullm::inline NULLM_ABI
