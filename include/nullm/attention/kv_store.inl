// Rounds one head's key or value to the cache's type; included once per instruction set (foreach_isa.hpp).

namespace nullm::inline NULLM_ABI::NULLM_ISA {

/// row[0 .. size rounded up to 16) = x, then zeros.
template <class T>
void store_row(const float* x, std::size_t size, T* row) {
    for (std::size_t d = 0; d < size; d += 16)
        store(row + d, load_partial(x + d, size - d < 16 ? size - d : 16));
}

/// lane[0], lane[16], lane[32] ... = x.
template <class T>
void store_lane(const float* x, std::size_t size, T* lane) {
    for (std::size_t d = 0; d < size; d += 16) {
        const std::size_t count = size - d < 16 ? size - d : 16;
        T rounded[16];
        store(rounded, load_partial(x + d, count));
        for (std::size_t l = 0; l < count; ++l) lane[(d + l) * 16] = rounded[l];
    }
}

}  // namespace nullm::inline NULLM_ABI::NULLM_ISA
