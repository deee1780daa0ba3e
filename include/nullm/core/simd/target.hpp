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
