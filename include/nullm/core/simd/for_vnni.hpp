// As foreach_isa.hpp, for kernels that gain from AVX-512 VNNI: includes the file named by NULLM_KERNELS in namespace
// vnni. Deliberately without an include guard.

#include <nullm/core/simd/target.hpp>

#if defined(__x86_64__)
NULLM_BEGIN_VNNI
#define NULLM_ISA vnni
#define NULLM_INLINE NULLM_INLINED
#define NULLM_UNROLL NULLM_UNROLLED
#include NULLM_KERNELS
#undef NULLM_UNROLL
#undef NULLM_INLINE
#undef NULLM_ISA
NULLM_END_TARGET
#endif

#undef NULLM_KERNELS
