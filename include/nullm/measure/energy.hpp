#pragma once
// Energy, estimated: operations and bytes times what the literature says each costs.

#include <nullm/core/abi.hpp>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>

namespace nullm::inline NULLM_ABI {

/// Picojoules of one multiply-accumulate, one accumulation, and one byte from main memory.
///
/// Source of the constants below: M. Horowitz, "Computing's energy problem (and what we can do about it)",
/// ISSCC 2014, 45 nm at 0.9 V. 8-bit multiply 0.2 and 32-bit add 0.1; float multiply 3.7 and add 0.9;
/// DRAM 1.3 to 2.6 nJ for 64 bits, of which the lower end, 162.5 pJ a byte. They are not scaled to a newer
/// process: arithmetic has become several times cheaper since, memory less, and memory is nearly all of a
/// decoding step. What is left out, instructions, caches, leakage, idle power, is most of what a socket
/// draws. So an estimate ranks methods on one machine; it is not a power bill.
struct energy_prices {
    double mac = 0;
    double ac = 0;
    double byte = 0;
};
inline constexpr energy_prices prices_f32{.mac = 4.6, .ac = 0.9, .byte = 162.5};
/// 8 x 8 bits into 32.
inline constexpr energy_prices prices_i8{.mac = 0.3, .ac = 0.1, .byte = 162.5};
/// 16 x 8 bits into 32: two 8-bit multiplications and a 32-bit addition. Ours, not Horowitz's.
inline constexpr energy_prices prices_i16{.mac = 0.5, .ac = 0.1, .byte = 162.5};

/// An amount of energy and where it comes from. An estimate says so wherever it is printed.
struct energy {
    double joules = 0;
    bool estimated = true;
};

inline energy estimate_energy(const energy_prices& prices, std::uint64_t macs, std::uint64_t acs,
                              std::uint64_t bytes) {
    return {.joules = 1e-12 * (prices.mac * static_cast<double>(macs) + prices.ac * static_cast<double>(acs) +
                               prices.byte * static_cast<double>(bytes)),
            .estimated = true};
}

/// "15.7 mJ (estimated)", "1.20 J".
inline std::string to_string(const energy& amount) {
    struct unit {
        double size;
        const char* name;
    };
    constexpr unit units[] = {{1, "J"}, {1e-3, "mJ"}, {1e-6, "uJ"}, {1e-9, "nJ"}, {1e-12, "pJ"}};
    const unit* chosen = units;
    while (chosen != units + 4 && std::fabs(amount.joules) < chosen->size) ++chosen;
    char text[64];
    std::snprintf(text, sizeof text, "%.3g %s%s", amount.joules / chosen->size, chosen->name,
                  amount.estimated ? " (estimated)" : "");
    return text;
}

/// "0.5 pJ a MAC, 0.1 pJ an AC, 162.5 pJ a byte of memory": to be printed beside every estimate.
inline std::string to_string(const energy_prices& prices) {
    char text[128];
    std::snprintf(text, sizeof text, "%.3g pJ a MAC, %.3g pJ an AC, %.4g pJ a byte of memory", prices.mac,
                  prices.ac, prices.byte);
    return text;
}

}  // namespace nullm::inline NULLM_ABI
