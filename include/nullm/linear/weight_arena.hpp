#pragma once
// Where a model's weights live: huge pages, shared by its matrices, not initialised (whoever fills a tile
// touches its pages first).

#include <nullm/core/aligned.hpp>

#include <algorithm>
#include <cstddef>
#include <memory>

namespace nullm::inline NULLM_ABI {

/// Bytes at an address that is a multiple of the cache line; freed with their last owner. Movable and cheap
/// to copy.
struct weight_bytes {
    std::shared_ptr<std::byte> first;
    std::size_t size = 0;
};

/// `size` uninitialised bytes of their own, on huge pages if that many fill one and the system has them.
/// Throws std::bad_alloc.
inline weight_bytes allocate_weights(std::size_t size) {
    auto* const p = static_cast<std::byte*>(allocate_aligned(size));
    return {{p, [size](std::byte* q) { free_aligned(q, size); }}, size};
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
