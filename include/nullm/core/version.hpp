#pragma once
// The one place the version is written; CMake reads it from here.

#include <nullm/core/abi.hpp>

namespace nullm::inline NULLM_ABI {

inline constexpr int version_major = 0;
inline constexpr int version_minor = 1;
inline constexpr int version_patch = 0;

}  // namespace nullm::inline NULLM_ABI
