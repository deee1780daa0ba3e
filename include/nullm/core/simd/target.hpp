#pragma once
// Regions compiled for an instruction set the translation unit as a whole was not compiled for. Everything
// between NULLM_BEGIN_<ISA> and NULLM_END_TARGET, templates and lambdas included, may use its intrinsics.

#include <nullm/core/abi.hpp>

#if defined(__x86_64__)
#include <immintrin.h>
#define NULLM_PRAGMA_(text) _Pragma(#text)
#define NULLM_PRAGMA(text) NULLM_PRAGMA_(text)
#if defined(__clang__)
#define NULLM_BEGIN_TARGET(features) \
    NULLM_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define NULLM_END_TARGET _Pragma("clang attribute pop")
#else
// g++ 12 warns of its own header's "undefined" vectors wherever an AVX-512 intrinsic is inlined (GCC PR105593).
#define NULLM_BEGIN_TARGET(features)                                                \
    _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wuninitialized\"") \
    _Pragma("GCC diagnostic ignored \"-Wmaybe-uninitialized\"") _Pragma("GCC push_options") NULLM_PRAGMA(GCC target(features))
#define NULLM_END_TARGET _Pragma("GCC pop_options") _Pragma("GCC diagnostic pop")
#endif
#define NULLM_BEGIN_AVX2 NULLM_BEGIN_TARGET("avx2,fma,f16c,bmi,bmi2,popcnt")
#define NULLM_BEGIN_AVX512 NULLM_BEGIN_TARGET("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c,bmi,bmi2,popcnt")
#define NULLM_BEGIN_VNNI \
    NULLM_BEGIN_TARGET("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c,bmi,bmi2,popcnt")
#endif

// Vector kernels depend on their accumulator arrays becoming registers: loops over rows and words are written out and
// their parts inlined, whatever the compiler thinks of their size. Not under AddressSanitizer, which keeps such arrays in
// memory and checks every access to them: written out, that takes ten minutes to compile and shows nothing more.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NULLM_ROLLED 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define NULLM_ROLLED 1
#endif
#if defined(NULLM_ROLLED)
#define NULLM_INLINED inline
#define NULLM_UNROLLED
#elif defined(__clang__)
#define NULLM_INLINED __attribute__((always_inline)) inline
#define NULLM_UNROLLED _Pragma("clang loop unroll(full)")
#else
#define NULLM_INLINED __attribute__((always_inline)) inline
#define NULLM_UNROLLED _Pragma("GCC unroll 16")
#endif
// A scalar twin is a reference: written out over its lanes it is half of what a model compiles to.
#if defined(__clang__)
#define NULLM_ROLL _Pragma("clang loop unroll(disable)")
#else
#define NULLM_ROLL _Pragma("GCC unroll 1")
#endif
