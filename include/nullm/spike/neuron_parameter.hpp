#pragma once
// A number that a layer's neurons share, or one for each of them.

#include <nullm/core/abi.hpp>
#include <nullm/core/error.hpp>

#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// Scalar or per neuron; never NaN, so that a layer cannot fall silent by accident (snnTorch accepts a NaN
/// threshold and then never spikes).
class neuron_parameter {
 public:
    /// Throws nullm::error for NaN.
    neuron_parameter(float shared) : shared_(number(shared)) {}
    /// One value a neuron, at least one. Throws nullm::error for NaN or an empty list.
    neuron_parameter(std::vector<float> each) : each_(std::move(each)) {
        if (each_.empty()) throw error("neuron_parameter", "one value a neuron", "none");
        for (const float x : each_) number(x);
    }

    bool per_neuron() const { return !each_.empty(); }
    /// One value, or one a neuron.
    std::span<const float> values() const {
        return per_neuron() ? std::span<const float>(each_) : std::span<const float>(&shared_, 1);
    }
    /// Throws nullm::error unless it suits a layer of n neurons.
    void check_width(std::size_t n) const {
        if (per_neuron() && each_.size() != n) {
            throw error("neuron_parameter", std::to_string(n) + " values, one a neuron",
                        std::to_string(each_.size()));
        }
    }

 private:
    static float number(float x) {
        if (std::isnan(x)) throw error("neuron_parameter", "a number", "NaN");
        return x;
    }

    float shared_ = 0;
    std::vector<float> each_;
};

}  // namespace nullm::inline NULLM_ABI
