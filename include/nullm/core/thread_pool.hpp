#pragma once
// Threads that start once, meet by spinning briefly, then sleep.

#include <nullm/core/aligned.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// Runs index ranges on a fixed number of threads, the caller's included. One caller at a time: a pool
/// belongs to one session. The caller waits for ranges, not for threads: a worker that was given no core
/// holds nothing up. Each thread begins with a run of neighbouring ranges of its own, so that what it reads
/// streams past it in order, and then helps the others. Which thread runs which range is not fixed, so a
/// kernel must give the same bits either way; ours split outputs, never sums.
class thread_pool {
 public:
    /// threads >= 1; 0 means one per hardware thread. Throws std::system_error if the system refuses one.
    explicit thread_pool(unsigned threads = 0) {
        if (threads == 0) threads = std::max(1U, std::thread::hardware_concurrency());
        runs_ = std::vector<run>(threads);
        workers_.reserve(threads - 1);
        try {
            for (unsigned i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
        } catch (...) {
            stop();  // those that did start wait for work, and would be joined while they do
            throw;
        }
    }
    thread_pool(const thread_pool&) = delete;
    thread_pool& operator=(const thread_pool&) = delete;
    ~thread_pool() { stop(); }

    unsigned size() const { return static_cast<unsigned>(runs_.size()); }

    /// Calls f(begin, end) for disjoint ranges of at most `grain` indices covering [0, count), and returns
    /// when all are done. An exception thrown by f is rethrown here (the first one, if several).
    template <class F>
    void for_each_range(std::size_t count, std::size_t grain, F&& f) {
        if (count == 0) return;
        if (workers_.empty() || count <= grain) {
            for (std::size_t begin = 0; begin < count; begin += grain)
                f(begin, std::min(begin + grain, count));
            return;
        }
        using function = std::remove_reference_t<F>;
        call_ = [](const void* context, std::size_t begin, std::size_t end) {
            (*static_cast<function*>(const_cast<void*>(context)))(begin, end);
        };
        context_ = &f;
        count_ = count;
        grain_ = grain;
        ranges_ = (count - 1) / grain + 1;
        done_.store(0, std::memory_order_relaxed);
        for (std::size_t i = 0; i < runs_.size(); ++i) {
            runs_[i].left.store(first_of(i + 1) - first_of(i), std::memory_order_release);
        }
        epoch_.fetch_add(1, std::memory_order_release);
        epoch_.notify_all();
        take_ranges(0);
        for (int spin = 0; done_.load(std::memory_order_acquire) != ranges_; ++spin) {
            if (spin < spins) {
                pause();
            } else {
                std::this_thread::yield();
            }
        }
        if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
    }

    /// The same with f(i) for every index.
    template <class F>
    void for_each(std::size_t count, std::size_t grain, F&& f) {
        for_each_range(count, grain, [&](std::size_t begin, std::size_t end) {
            for (std::size_t i = begin; i < end; ++i) f(i);
        });
    }

 private:
    static constexpr int spins = 4000;  // about 20 microseconds: longer than the serial gaps inside a pass

    void stop() {
        stop_.store(true, std::memory_order_relaxed);
        epoch_.fetch_add(1, std::memory_order_release);
        epoch_.notify_all();
        for (auto& worker : workers_) worker.join();
    }

    static void pause() {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }

    // Ranges a thread begins with; those not taken yet are the last of them.
    struct alignas(cache_line) run {
        std::atomic<std::size_t> left{0};
    };

    // First range of run i, and of what follows the last.
    std::size_t first_of(std::size_t i) const {
        return ranges_ / runs_.size() * i + std::min(i, ranges_ % runs_.size());
    }

    // Takes ranges until none is left, the own run's first. The job's fields are read only while a range of
    // it is held: the caller does not return, and so does not write them anew, before that range is counted
    // as done. A worker that wakes late finds either no range or one of the job that is running then; nobody
    // waits for it.
    void take_ranges(std::size_t own) {
        for (std::size_t i = 0; i < runs_.size(); ++i) take_run((own + i) % runs_.size());
    }

    void take_run(std::size_t index) {
        std::atomic<std::size_t>& run_left = runs_[index].left;
        std::size_t left = run_left.load(std::memory_order_relaxed);
        while (left != 0) {
            if (!run_left.compare_exchange_weak(left, left - 1, std::memory_order_acq_rel,
                                                std::memory_order_relaxed)) {
                continue;
            }
            const std::size_t begin = (first_of(index + 1) - left) * grain_;
            std::size_t finished = 1;
            try {
                call_(context_, begin, begin + std::min(grain_, count_ - begin));
            } catch (...) {
                {
                    const std::lock_guard lock(failure_mutex_);
                    if (!failure_) failure_ = std::current_exception();
                }
                // The rest is not worth running.
                for (run& r : runs_) finished += r.left.exchange(0, std::memory_order_acq_rel);
            }
            done_.fetch_add(finished, std::memory_order_release);
            left = run_left.load(std::memory_order_relaxed);
        }
    }

    void work(std::size_t own) {
        std::uint32_t seen = 0;
        for (;;) {
            for (int spin = 0; spin < spins && epoch_.load(std::memory_order_acquire) == seen; ++spin)
                pause();
            epoch_.wait(seen, std::memory_order_acquire);
            seen = epoch_.load(std::memory_order_acquire);
            if (stop_.load(std::memory_order_relaxed)) return;
            take_ranges(own);
        }
    }

    std::vector<run> runs_;  // one a thread, the caller's first
    alignas(cache_line) std::atomic<std::uint32_t> epoch_{0};
    alignas(cache_line) std::atomic<std::size_t> done_{0};  // ranges that have run, or never will
    alignas(cache_line) std::atomic<bool> stop_{false};
    void (*call_)(const void*, std::size_t, std::size_t) = nullptr;
    const void* context_ = nullptr;
    std::size_t count_ = 0;
    std::size_t grain_ = 1;
    std::size_t ranges_ = 0;
    std::mutex failure_mutex_;
    std::exception_ptr failure_;
    std::vector<std::jthread> workers_;
};

}  // namespace nullm::inline NULLM_ABI
