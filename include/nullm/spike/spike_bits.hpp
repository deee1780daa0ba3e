#pragma once
// Spikes of a layer at one time step, one bit a neuron: 1/32 of the traffic of float spikes.

#include <nullm/core/abi.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// n spikes; neuron i is bit i % 64 of word i / 64. Bits from n on are zero, always: count() and == rely on
/// it.
class spike_bits {
 public:
    static constexpr std::size_t word_bits = 64;

    spike_bits() = default;
    /// n silent neurons.
    explicit spike_bits(std::size_t n) { reset(n); }

    std::size_t size() const { return size_; }
    bool operator[](std::size_t i) const { return ((words_[i / word_bits] >> (i % word_bits)) & 1U) != 0; }
    void set(std::size_t i, bool spike = true) {
        const std::uint64_t bit = std::uint64_t{1} << (i % word_bits);
        words_[i / word_bits] = spike ? words_[i / word_bits] | bit : words_[i / word_bits] & ~bit;
    }

    /// How many neurons spiked.
    std::size_t count() const {
        std::size_t spikes = 0;
        for (const std::uint64_t word : words_) spikes += static_cast<std::size_t>(std::popcount(word));
        return spikes;
    }

    /// Becomes n silent neurons; allocates only where it never held that many.
    void reset(std::size_t n) {
        size_ = n;
        words_.assign((n + word_bits - 1) / word_bits, 0);
    }

    /// ceil(n / 64) words, for kernels. Whoever writes through it leaves the bits from n on zero.
    std::span<std::uint64_t> words() { return words_; }
    std::span<const std::uint64_t> words() const { return words_; }

    friend bool operator==(const spike_bits&, const spike_bits&) = default;

 private:
    std::size_t size_ = 0;
    std::vector<std::uint64_t> words_;
};

}  // namespace nullm::inline NULLM_ABI
