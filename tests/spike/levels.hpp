#pragma once
// The instruction sets this machine can run, and the widths at which kernels are held against each other.

#include <nullm/core/isa.hpp>

#include <cstddef>
#include <vector>

namespace spike_test {

inline std::vector<nullm::isa> levels() {
    std::vector<nullm::isa> all;
    for (const auto level : {nullm::isa::scalar, nullm::isa::avx2, nullm::isa::avx512, nullm::isa::vnni}) {
        if (level <= nullm::detected_isa()) all.push_back(level);
    }
    return all;
}

inline const std::vector<std::size_t>& widths() {
    static const std::vector<std::size_t> all = {1, 15, 16, 17, 63, 64, 65, 100, 576};
    return all;
}

}  // namespace spike_test
