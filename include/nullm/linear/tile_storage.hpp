#pragma once
// The bytes of a matrix's tiles: aligned, not initialised (whoever fills a tile touches its pages first), movable.

#include <nullm/core/aligned.hpp>

#include <cstddef>
#include <memory>
#include <new>

namespace nullm::inline NULLM_ABI {

/// An owned buffer of `size` uninitialised bytes starting at a cache line. Throws std::bad_alloc.
class tile_storage {
 public:
    tile_storage() = default;
    explicit tile_storage(std::size_t size)
        : bytes_(static_cast<std::byte*>(::operator new(size, std::align_val_t{cache_line}))), size_(size) {}

    std::byte* data() { return bytes_.get(); }
    const std::byte* data() const { return bytes_.get(); }
    std::size_t size() const { return size_; }

 private:
    struct release {
        void operator()(std::byte* p) const { ::operator delete(p, std::align_val_t{cache_line}); }
    };
    std::unique_ptr<std::byte, release> bytes_;
    std::size_t size_ = 0;
};

}  // namespace nullm::inline NULLM_ABI
