#pragma once
// The inline namespace all code sits in. It spells the instruction sets the including file was compiled for,
// so that two objects built with different -march never share a weak symbol (one would run the other's
// instructions). The NULLM_ macros are the only ones the library defines; none is ever asked of a consumer.
//
// Use:  namespace nullm::inline NULLM_ABI { ... }

#if defined(__FAST_MATH__)
#error "nullm: -ffast-math reorders sums and drops NaN; results would not be the model's. Compile without it."
#endif
#if __cplusplus < 202002L
#error "nullm: C++20 is required (-std=c++20)"
#endif

#if defined(__SSE4_2__)
#define NULLM_ABI_SSE42 1
#else
#define NULLM_ABI_SSE42 0
#endif
#if defined(__AVX__)
#define NULLM_ABI_AVX 1
#else
#define NULLM_ABI_AVX 0
#endif
#if defined(__AVX2__)
#define NULLM_ABI_AVX2 1
#else
#define NULLM_ABI_AVX2 0
#endif
#if defined(__FMA__)
#define NULLM_ABI_FMA 1
#else
#define NULLM_ABI_FMA 0
#endif
#if defined(__AVX512F__)
#define NULLM_ABI_512 1
#else
#define NULLM_ABI_512 0
#endif
#if defined(__AVX512BW__)
#define NULLM_ABI_512BW 1
#else
#define NULLM_ABI_512BW 0
#endif
#if defined(__AVX512VNNI__)
#define NULLM_ABI_VNNI 1
#else
#define NULLM_ABI_VNNI 0
#endif
#if defined(__AVX512BF16__)
#define NULLM_ABI_BF16 1
#else
#define NULLM_ABI_BF16 0
#endif

#define NULLM_ABI_PASTE_(a, b, c, d, e, f, g, h) v0_##a##b##c##d##e##f##g##h
#define NULLM_ABI_PASTE(a, b, c, d, e, f, g, h) NULLM_ABI_PASTE_(a, b, c, d, e, f, g, h)
#define NULLM_ABI                                                                                     \
    NULLM_ABI_PASTE(NULLM_ABI_SSE42, NULLM_ABI_AVX, NULLM_ABI_AVX2, NULLM_ABI_FMA, NULLM_ABI_512, \
                    NULLM_ABI_512BW, NULLM_ABI_VNNI, NULLM_ABI_BF16)
