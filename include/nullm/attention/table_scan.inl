// Equal codes among 64 keys at a time; included once per instruction set by table_index.hpp.

namespace nullm::inline NULLM_ABI::NULLM_ISA {

/// Which of `words` x 64 keys share the wanted code in at least one table, and which in at least two. Codes
/// are [tables][stride], key after key.
inline void scan_codes(const std::uint16_t* codes, std::size_t stride, const std::uint16_t* wanted,
                       std::size_t tables, std::size_t words, std::uint64_t* once, std::uint64_t* twice) {
    for (std::size_t w = 0; w < words; ++w) {
        std::uint64_t seen = 0;
        std::uint64_t seen_again = 0;
        for (std::size_t t = 0; t < tables; ++t) {
            const std::uint64_t equal = equal_codes(codes + t * stride + w * 64, wanted[t]);
            seen_again |= seen & equal;
            seen |= equal;
        }
        once[w] = seen;
        twice[w] = seen_again;
    }
}

}  // namespace nullm::inline NULLM_ABI::NULLM_ISA
