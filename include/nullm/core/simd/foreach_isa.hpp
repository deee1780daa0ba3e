// Includes the file named by NULLM_KERNELS once for each instruction set, inside that set's target region and
// with NULLM_ISA set to its namespace (scalar, avx2, avx512). So a kernel is written once, over f32x16, and its
// scalar twin is the same text. Deliberately without an include guard.
//
//   #define NULLM_KERNELS <nullm/model/rms_norm.inl>
//   #include <nullm/core/simd/foreach_isa.hpp>
//
// NULLM_UNROLL before a loop over registers writes it out, NULLM_INLINE makes a part of a kernel part of its caller;
// in the scalar twin, whose sixteen lanes are loops already, both leave the compiler its choice.

#include <nullm/core/simd/lanes_avx2.hpp>
#include <nullm/core/simd/lanes_avx512.hpp>
#include <nullm/core/simd/lanes_scalar.hpp>

#define NULLM_ISA scalar
#define NULLM_INLINE inline
#define NULLM_UNROLL
#include NULLM_KERNELS
#undef NULLM_UNROLL
#undef NULLM_INLINE
#undef NULLM_ISA

#if defined(__x86_64__)
#define NULLM_INLINE NULLM_INLINED
#define NULLM_UNROLL NULLM_UNROLLED
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
#undef NULLM_UNROLL
#undef NULLM_INLINE
#endif

#undef NULLM_KERNELS
