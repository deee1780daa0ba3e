// Which kernels does a program get that was compiled without -march? The machine's best: asked of the
// compiler's own CPU detection, not of the library's.
#include <nullm/core/isa.hpp>

#include <iostream>

int main() {
    const nullm::isa level = nullm::active_isa();
    std::cout << nullm::name_of(level) << '\n';
    if (level != nullm::detected_isa()) return std::cerr << "the kernels are not the best detected\n", 1;
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    if (avx2 && level < nullm::isa::avx2) return std::cerr << "this machine has AVX2\n", 1;
    if (avx2 && avx512 && level < nullm::isa::avx512) return std::cerr << "this machine has AVX-512\n", 1;
#endif
}
