#pragma once
// Which instruction set the kernels run on: chosen once from CPUID, so that a consumer needs no -march.

#include <nullm/core/abi.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace nullm::inline NULLM_ABI {

/// Kernel families, each a superset of the one before. Every kernel gives the same bits on all of them.
enum class isa : std::uint8_t {
    scalar,  // portable C++; the twin the others are tested against
    avx2,    // AVX2 + FMA + F16C
    avx512,  // AVX-512 F, BW, VL, DQ
    vnni,    // avx512 + AVX-512 VNNI
};

constexpr std::string_view name_of(isa level) {
    constexpr std::string_view names[] = {"scalar", "avx2", "avx512", "vnni"};
    return names[static_cast<std::size_t>(level)];
}

/// The best level this machine runs.
inline isa detected_isa() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    // F16C has no name in older __builtin_cpu_supports; every CPU with AVX2 has it.
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    if (avx512) return __builtin_cpu_supports("avx512vnni") ? isa::vnni : isa::avx512;
    if (avx2) return isa::avx2;
#endif
    return isa::scalar;
}

/// The level kernels use: detected_isa(), lowered (never raised) by the environment variable NULLM_ISA =
/// scalar | avx2 | avx512 | vnni, which exists to test and to compare. Read once.
inline isa active_isa() {
    static const isa level = [] {
        const isa best = detected_isa();
        const char* wanted = std::getenv("NULLM_ISA");
        if (wanted == nullptr) return best;
        for (const isa candidate : {isa::scalar, isa::avx2, isa::avx512, isa::vnni}) {
            if (name_of(candidate) == wanted) return std::min(candidate, best);
        }
        return best;
    }();
    return level;
}

}  // namespace nullm::inline NULLM_ABI
