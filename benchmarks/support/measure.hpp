#pragma once
// What the benchmarks share: clocks, medians, hashes, and the plain read that bounds them.

#include <nullm/core/aligned.hpp>
#include <nullm/core/thread_pool.hpp>
#include <nullm/linear/weight_arena.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

namespace measure {

using clock = std::chrono::steady_clock;

inline clock::time_point now() {
    return clock::now();
}
inline double since(clock::time_point start) {
    return std::chrono::duration<double>(clock::now() - start).count();
}

/// The value below which a share q of the values lies; interpolated. Of none: 0.
inline double quantile(std::vector<double> values, double q) {
    if (values.empty()) return 0;
    std::sort(values.begin(), values.end());
    const double at = q * static_cast<double>(values.size() - 1);
    const auto below = static_cast<std::size_t>(at);
    const std::size_t above = std::min(below + 1, values.size() - 1);
    return values[below] + (at - static_cast<double>(below)) * (values[above] - values[below]);
}
inline double median(std::vector<double> values) {
    return quantile(std::move(values), 0.5);
}

/// FNV-1a over the bits of n floats.
inline std::uint64_t hash(const float* values, std::size_t n) {
    std::uint64_t h = 0xcbf29ce484222325ULL;
    for (std::size_t i = 0; i < n; ++i) {
        std::uint32_t bits;
        std::memcpy(&bits, values + i, sizeof bits);
        h = (h ^ bits) * 0x100000001b3ULL;
    }
    return h;
}
inline std::string hex(std::uint64_t h) {
    char text[20];
    std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(h));
    return text;
}

/// Bytes on huge pages, as weights lie, and the time it takes to add them up.
class read_buffer {
 public:
    explicit read_buffer(std::size_t bytes) : bytes_(nullm::allocate_weights(bytes / piece * piece)) {
        std::memset(bytes_.first.get(), 1, bytes_.size);
    }
    std::size_t bytes() const { return bytes_.size; }

    /// Seconds of one sweep, pieces of 64 kB shared out over the pool.
    double sweep(nullm::thread_pool& pool) {
        const auto* words = reinterpret_cast<const std::uint64_t*>(bytes_.first.get());
        const auto start = now();
        pool.for_each_range(bytes_.size / piece, 1, [&](std::size_t begin, std::size_t end) {
            constexpr std::size_t per_piece = piece / sizeof(std::uint64_t);
            std::uint64_t sum[32] = {};  // as many chains as keep the adders busy
            for (std::size_t i = begin * per_piece; i < end * per_piece; i += 32) {
                for (std::size_t j = 0; j < 32; ++j) sum[j] += words[i + j];
            }
            std::uint64_t all = 0;
            for (const std::uint64_t s : sum) all += s;
            sink_.fetch_add(all, std::memory_order_relaxed);
        });
        return since(start);
    }

 private:
    static constexpr std::size_t piece = 65536;
    nullm::weight_bytes bytes_;
    std::atomic<std::uint64_t> sink_{0};
};

}  // namespace measure
