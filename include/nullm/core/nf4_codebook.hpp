#pragma once
// The sixteen values of NF4 as bits: what a file's codebook has to hold, and what the layers multiply with.

#include <nullm/core/abi.hpp>

#include <array>
#include <cstdint>

namespace nullm::inline NULLM_ABI {

/// The codebook (nf4_codebook, linear/nf4_tables.hpp) as bits of float32, to the bit as bitsandbytes 0.50 has it.
inline constexpr std::array<std::uint32_t, 16> nf4_codebook_bits = {
    0xBF800000, 0xBF3239B1, 0xBF066B30, 0xBECA32A0, 0xBE91A24D, 0xBE3D353F, 0xBDBA7871, 0x00000000,
    0x3DA2FAFF, 0x3E24CAE3, 0x3E7C04DD, 0x3EAD033A, 0x3EE1A4B8, 0x3F1007AB, 0x3F3913B3, 0x3F800000};

}  // namespace nullm::inline NULLM_ABI
