#pragma once
// The drives and thresholds a gate file can name, and the numbers each of them takes.

#include <nullm/core/abi.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace nullm::inline NULLM_ABI {

/// A number of a part, and the range it has to lie in.
struct gate_number {
    std::string_view name;
    double low = 0;
    double high = 1;
};

/// A file gives all numbers of a kind; what it does not name has the library's default.
struct gate_kind {
    std::string_view name;
    std::span<const gate_number> numbers = {};
};

namespace detail {

inline constexpr gate_number quiet_drive_numbers[] = {{"surprise_weight"}};
inline constexpr gate_number fixed_threshold_numbers[] = {{"theta"}};
inline constexpr gate_number target_rate_numbers[] = {{"target"}, {"initial", 0.001, 0.999}};
inline constexpr gate_number reprogrammed_numbers[] = {{"theta", 0.001, 0.999}, {"termness", 0, 8}};
inline constexpr gate_number reprogrammed_rate_numbers[] = {
    {"theta", 0.001, 0.999}, {"termness", 0, 8}, {"target"}};

}  // namespace detail

/// quiet_drive; surprise_weight 0 is importance_drive alone, 1 is surprise_drive.
inline constexpr gate_kind gate_drives[] = {
    {"quiet", detail::quiet_drive_numbers},
};

/// fixed_threshold; target_rate_threshold; reprogrammed_threshold without homeostasis, and with it.
inline constexpr gate_kind gate_thresholds[] = {
    {"fixed", detail::fixed_threshold_numbers},
    {"target_rate", detail::target_rate_numbers},
    {"reprogrammed", detail::reprogrammed_numbers},
    {"reprogrammed_target_rate", detail::reprogrammed_rate_numbers},
};

/// "a, b or c".
inline std::string names_of(std::span<const gate_kind> kinds) {
    std::string names;
    for (std::size_t i = 0; i < kinds.size(); ++i) {
        names += i == 0 ? "" : i + 1 == kinds.size() ? " or " : ", ";
        names += kinds[i].name;
    }
    return names;
}

}  // namespace nullm::inline NULLM_ABI
