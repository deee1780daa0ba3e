// Includes the file named by NULLM_KERNELS once for each instruction set, inside that set's target region and
// with NULLM_ISA set to its namespace (scalar, avx2, avx512). So a kernel is written once, over f32x16, and its
// scalar twin is the same text. Deliberately without an include guard.
//
//   #define NULLM_KERNELS <nullm/model/rms_norm.inl>
//   #include <nullm/core/simd/foreach_isa.hpp>

#include <nullm/core/simd/lanes_avx2.hpp>
#include <nullm/core/simd/lanes_avx512.hpp>
#include <nullm/core/simd/lanes_scalar.hpp>

#define NULLM_ISA scalar
#include NULLM_KERNELS
#undef NULLM_ISA

#if defined(__x86_64__)
NULLM_BEGIN_AVX2
#define NULLM_ISA avx2
#include NULLM_KERNELS
#undef NULLM_ISA
NULLM_END_TARGET

NULLM_BEGIN_AVX512
#define NULLM_ISA avx512
#include NULLM_KERNELS
#undef NULLM_ISA
NULLM_END_TARGET
#endif

#undef NULLM_KERNELS
