#pragma once
// Energy, measured: the processor's own counters, as Linux shows them.

#include <nullm/core/abi.hpp>
#include <nullm/measure/energy.hpp>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// Sums the RAPL counters of all processor packages, and of their memory where that is counted apart. Intel
/// and AMD processors show them under the same names ("intel-rapl:0"). What a package's cores draw is part of
/// the package, and "psys" contains packages, so neither is added. Since Linux 5.10 only root may read them,
/// and a virtual machine has none: ask readable(), and estimate where it is false. A counter wraps around
/// after minutes to hours; call consumed() more often than that.
class rapl_meter {
 public:
    explicit rapl_meter(const std::filesystem::path& root = "/sys/class/powercap") {
        for (const auto& package : folders(root, "intel-rapl:")) {
            if (!read_text(package / "name").starts_with("package")) continue;
            add(package);
            for (const auto& part : folders(package, package.filename().string() + ":")) {
                if (read_text(part / "name") == "dram") add(part);
            }
        }
    }

    /// Whether there is anything to sum.
    bool readable() const { return !zones_.empty(); }

    /// Since the meter was made, everything else that ran on the machine included. 0 if not readable(). A
    /// counter that can no longer be read stands still.
    energy consumed() {
        for (zone& z : zones_) {
            const auto now = read_number(z.counter);
            if (!now) continue;
            z.total += *now >= z.last ? *now - z.last : z.range - z.last + *now;
            z.last = *now;
        }
        double microjoules = 0;
        for (const zone& z : zones_) microjoules += static_cast<double>(z.total);
        return {.joules = 1e-6 * microjoules, .estimated = false};
    }

 private:
    struct zone {
        std::filesystem::path counter;  // microjoules
        std::uint64_t range;            // the counter goes from 0 to this, and then starts anew
        std::uint64_t last;
        std::uint64_t total = 0;
    };

    /// Folders in `root` named prefix + digits, in order of name.
    static std::vector<std::filesystem::path> folders(const std::filesystem::path& root,
                                                      std::string_view prefix) {
        std::vector<std::filesystem::path> found;
        std::error_code failure;
        for (std::filesystem::directory_iterator at(root, failure), end; !failure && at != end;
             at.increment(failure)) {
            const std::string name = at->path().filename().string();
            if (name.starts_with(prefix) && name.size() > prefix.size() &&
                name.find_first_not_of("0123456789", prefix.size()) == std::string::npos) {
                found.push_back(at->path());
            }
        }
        std::sort(found.begin(), found.end());
        return found;
    }

    void add(const std::filesystem::path& folder) {
        const auto now = read_number(folder / "energy_uj");
        const auto range = read_number(folder / "max_energy_range_uj");
        if (now && range) zones_.push_back({folder / "energy_uj", *range, *now});
    }

    static std::string read_text(const std::filesystem::path& path) {
        std::string line;
        std::ifstream file(path);
        std::getline(file, line);
        return line;
    }
    static std::optional<std::uint64_t> read_number(const std::filesystem::path& path) {
        std::uint64_t number = 0;
        std::ifstream file(path);
        if (!(file >> number)) return std::nullopt;
        return number;
    }

    std::vector<zone> zones_;
};

}  // namespace nullm::inline NULLM_ABI
