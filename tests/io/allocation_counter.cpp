#include "allocation_counter.hpp"

#include <malloc.h>
#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<std::size_t> allocated{0};

void* counted(void* p, std::size_t size) {
    if (p == nullptr) throw std::bad_alloc();
    allocated.fetch_add(size, std::memory_order_relaxed);
    return p;
}

void* counted(std::size_t size) {
    return counted(std::malloc(size == 0 ? 1 : size), size);
}

void* counted(std::size_t size, std::align_val_t alignment) {
    const auto a = static_cast<std::size_t>(alignment);
    const std::size_t whole = size == 0 ? a : (size + a - 1) / a * a;
    return counted(std::aligned_alloc(a, whole), whole);
}

}  // namespace

void support::allocation_counter::reset() {
    allocated = 0;
}
std::size_t support::allocation_counter::total() {
    return allocated;
}

void* operator new(std::size_t size) {
    return counted(size);
}
void* operator new[](std::size_t size) {
    return counted(size);
}
void* operator new(std::size_t size, std::align_val_t alignment) {
    return counted(size, alignment);
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
    return counted(size, alignment);
}
// AddressSanitizer has a nothrow form of its own, whose memory our delete could not free.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return std::malloc(size == 0 ? 1 : size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return std::malloc(size == 0 ? 1 : size); }
void operator delete(void* p) noexcept {
    std::free(p);
}
void operator delete[](void* p) noexcept {
    std::free(p);
}
void operator delete(void* p, std::size_t) noexcept {
    std::free(p);
}
void operator delete[](void* p, std::size_t) noexcept {
    std::free(p);
}
void operator delete(void* p, std::align_val_t) noexcept {
    std::free(p);
}
void operator delete[](void* p, std::align_val_t) noexcept {
    std::free(p);
}
void operator delete(void* p, std::size_t, std::align_val_t) noexcept {
    std::free(p);
}
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept {
    std::free(p);
}
