// Rounds one head's key and value to the cache's type; included once per instruction set (foreach_isa.hpp).

namespace nullm::inline NULLM_ABI::NULLM_ISA {

/// key[0], key[16], key[32] ... = k; value[0 .. size rounded up to 16) = v, then zeros.
template <class T>
void store_key_value(const float* k, const float* v, std::size_t size, T* key, T* value) {
    for (std::size_t d = 0; d < size; d += 16) {
        const std::size_t count = size - d < 16 ? size - d : 16;
        T rounded_key[16];
        store(rounded_key, load_partial(k + d, count));
        for (std::size_t l = 0; l < count; ++l) key[(d + l) * 16] = rounded_key[l];
        store(value + d, load_partial(v + d, count));
    }
}

}  // namespace nullm::inline NULLM_ABI::NULLM_ISA
