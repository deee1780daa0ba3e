// -log u of the keys a query chose; included once per instruction set by table_sampler.hpp.

namespace nullm::inline NULLM_ABI::NULLM_ISA {

/// surprisal[j] = -log u of the cosine dots[j] * inverse_query * inverse_norms[j], by the table of
/// surprisal_table.hpp with `per_unit` knots; at most `most`, and 0 where the inverse norm is 0. Returns how
/// many were above `most`.
inline std::size_t look_up_surprisal(const float* table, float per_unit, const float* dots,
                                     float inverse_query, const float* inverse_norms, std::size_t count,
                                     float most, float* surprisal) {
    std::size_t above = 0;
    for (std::size_t j = 0; j < count; ++j) {
        const float over_query = dots[j] * inverse_query;
        // (1 - |cosine|) / 2, which rounding may have put below zero.
        const float share = 0.5F * __builtin_fmaf(-std::fabs(over_query), inverse_norms[j], 1.0F);
        const float half = std::sqrt(share > 0 ? share : 0.0F);
        const float x = over_query >= 0 ? half : 1.41421356F - half;
        const float at = x * per_unit;  // a power of two: exact
        const auto knot = static_cast<std::size_t>(at);
        const float part = at - static_cast<float>(knot);
        const float value = __builtin_fmaf(part, table[knot + 1] - table[knot], table[knot]);
        const bool certain = inverse_norms[j] == 0;
        above += !certain && value > most ? 1U : 0U;
        surprisal[j] = certain ? 0.0F : (value > most ? most : value);
    }
    return above;
}

}  // namespace nullm::inline NULLM_ABI::NULLM_ISA
