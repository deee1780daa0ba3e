#pragma once
// SIMD written once: kernels over sixteen lanes, compiled for each instruction set and chosen at run time.
// Each of the namespaces nullm::scalar, nullm::avx2 and nullm::avx512 has the same functions on its own f32x16 and
// i32x16 (see lanes_scalar.hpp for what each computes).

#include <nullm/core/isa.hpp>
#include <nullm/core/simd/lanes_avx2.hpp>
#include <nullm/core/simd/lanes_avx512.hpp>
#include <nullm/core/simd/lanes_scalar.hpp>

#define NULLM_KERNELS <nullm/core/simd/math.inl>
#include <nullm/core/simd/foreach_isa.hpp>

#if defined(__x86_64__)
/// Calls the overload of `call` that belongs to `level`: NULLM_DISPATCH(level, rms_norm(x, w, y)).
#define NULLM_DISPATCH(level, ...)                                                      \
    ((level) >= ::nullm::isa::avx512 ? ::nullm::avx512::__VA_ARGS__                     \
     : (level) == ::nullm::isa::avx2 ? ::nullm::avx2::__VA_ARGS__                       \
                                     : ::nullm::scalar::__VA_ARGS__)
#else
#define NULLM_DISPATCH(level, ...) ::nullm::scalar::__VA_ARGS__
#endif
