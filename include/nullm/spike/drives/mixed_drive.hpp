#pragma once
// Two drives as one, with a knob between them.

#include <nullm/core/aligned.hpp>
#include <nullm/core/error.hpp>
#include <nullm/spike/concepts.hpp>
#include <nullm/spike/graded.hpp>
#include <nullm/spike/in_range.hpp>
#include <nullm/spike/pairs.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

namespace nullm::inline NULLM_ABI {

/// Neuron by neuron (1 - weight) a + weight b, for two drives of one width. A verdict (0 or 1, see
/// graded.hpp) of a drive that has any weight stands; if both have one, the first drive's. Costs both drives.
template <Drive A, Drive B>
class mixed_drive {
    static_assert(SameWidth<width_of<A>, width_of<B>>, "nullm mixed_drive: the drives differ in width");
    static constexpr bool uniform = UniformDrive<A> && UniformDrive<B>;

    // Where the second drive writes. No part of the value: a copy brings its own.
    struct line {
        aligned_vector<float> values;
        line() = default;
        line(const line&) {}
        line& operator=(const line&) { return *this; }
        friend bool operator==(const line&, const line&) { return true; }
    };

 public:
    static constexpr std::size_t fixed_width = width_of<A> == any_width ? width_of<B> : width_of<A>;

    struct trace {
        typename A::trace first;
        typename B::trace second;
        std::conditional_t<uniform, stateless, line> other = {};
        friend bool operator==(const trace&, const trace&) = default;
    };
    struct memory {
        typename A::memory first;
        typename B::memory second;
        friend bool operator==(const memory&, const memory&) = default;
    };

    /// weight of the second, in [0, 1]. Throws nullm::error if it is not, or if the widths differ.
    mixed_drive(A first, B second, float weight)
        : first_(std::move(first)),
          second_(std::move(second)),
          weight_(in_range("mixed_drive weight", weight)) {
        if (first_.width() != second_.width()) {
            throw error("mixed_drive", "drives of one width",
                        std::to_string(first_.width()) + " and " + std::to_string(second_.width()));
        }
    }

    const A& first() const { return first_; }
    const B& second() const { return second_; }
    float weight() const { return weight_; }

    std::size_t width() const { return first_.width(); }
    trace initial_trace() const { return {first_.initial_trace(), second_.initial_trace()}; }
    memory initial_memory() const { return {first_.initial_memory(), second_.initial_memory()}; }

    float intensity(trace& seen, const memory& learned, const gate_input& input) const
        requires(UniformDrive<A>&& UniformDrive<B>) {
        const float a = first_.intensity(seen.first, learned.first, input);
        return mixed(a, second_.intensity(seen.second, learned.second, input));
    }
    void intensities(trace& seen, const memory& learned, const gate_input& input,
                     std::span<float> out) const {
        if constexpr (uniform) {
            std::fill(out.begin(), out.end(), intensity(seen, learned, input));
        } else {
            auto& other = seen.other.values;
            other.resize(out.size());
            first_.intensities(seen.first, learned.first, input, out);
            second_.intensities(seen.second, learned.second, input, other);
            for (std::size_t i = 0; i < out.size(); ++i) out[i] = mixed(out[i], other[i]);
        }
    }
    void settle(memory& learned, token_id token) const {
        first_.settle(learned.first, token);
        second_.settle(learned.second, token);
    }

 private:
    float mixed(float a, float b) const {
        if (weight_ < 1.0F && is_verdict(a)) return a;
        if (weight_ > 0.0F && is_verdict(b)) return b;
        return std::fmaf(weight_, b, (1.0F - weight_) * a);
    }

    A first_;
    B second_;
    float weight_;
};

}  // namespace nullm::inline NULLM_ABI
