#pragma once
// A few groups attended by all threads at once, with no phase whose end all of them wait for.

#include <nullm/attention/sampled_group.hpp>
#include <nullm/core/aligned.hpp>
#include <nullm/core/thread_pool.hpp>

#include <atomic>
#include <cstddef>
#include <span>
#include <thread>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// Shares the parts of some groups out to threads. A layer of a small model has three groups of a few parts:
/// threads that met after each phase would wait as long as they work. So a thread goes from scanning its
/// parts to reading them, whose groups have mostly been settled by then; and it chooses from the next part
/// before it reads one, so that memory is asked for the next rows meanwhile. Its parts are the same in every
/// layer - what it wrote lies in its caches - but for those it takes over from a thread that is late. Who did
/// what never shows in the results.
template <KeySampler S, CacheElement T>
class group_schedule {
 public:
    using group = sampled_group<S, T>;
    using source = typename group::source;

    /// Attends all groups, each of which has been set. Rethrows what a job threw.
    void attend(std::span<group> groups, const source& from, const S& how, thread_pool& pool) {
        if (progress_.size() < groups.size()) progress_ = std::vector<progress>(groups.size());
        if (runs_.size() != pool.size()) runs_ = std::vector<run>(pool.size());
        jobs_.clear();
        for (std::size_t g = 0; g < groups.size(); ++g) {
            groups[g].begin(from, &how);
            progress_[g].unsettled.store(ScansKeys<S> ? groups[g].parts() + 1 : 0, std::memory_order_relaxed);
            progress_[g].unread.store(groups[g].parts(), std::memory_order_relaxed);
            for (std::size_t p = 0; p < groups[g].parts(); ++p)
                jobs_.push_back({&groups[g], &progress_[g], p});
        }
        for (run& r : runs_) {
            r.scanned.store(0, std::memory_order_relaxed);
            r.read.store(0, std::memory_order_relaxed);
        }
        std::atomic<bool> failed{false};
        pool.for_each(pool.size(), 1, [&](std::size_t thread) {
            try {
                if constexpr (ScansKeys<S>) scan(thread, from, how);
                read(thread, from, how, failed);
            } catch (...) {
                failed.store(true, std::memory_order_relaxed);
                throw;
            }
        });
    }

 private:
    // Of a group.
    struct alignas(cache_line) progress {
        std::atomic<std::size_t> unsettled{0};  // parts not scanned, and 1 for settling
        std::atomic<std::size_t> unread{0};     // parts
    };
    struct job {
        group* of;
        progress* at;
        std::size_t part;
    };
    // How many of a thread's jobs have been begun.
    struct alignas(cache_line) run {
        std::atomic<std::size_t> scanned{0};
        std::atomic<std::size_t> read{0};
    };

    // The thread's jobs, and then what others have not begun.
    template <class F>
    void each(std::size_t thread, std::atomic<std::size_t> run::*done, F&& f) {
        const std::size_t threads = runs_.size();
        for (std::size_t i = 0; i < threads; ++i) {
            const std::size_t of = (thread + i) % threads;
            const std::size_t begin = of * jobs_.size() / threads;
            const std::size_t count = (of + 1) * jobs_.size() / threads - begin;
            auto& next = runs_[of].*done;
            for (std::size_t j = next++; j < count; j = next++) f(jobs_[begin + j]);
        }
    }

    void scan(std::size_t thread, const source& from, const S& how) {
        each(thread, &run::scanned, [&](const job& one) {
            one.of->scan(from, &how, one.part);
            if (one.at->unsettled.fetch_sub(1, std::memory_order_acq_rel) != 2) return;
            one.of->settle(from, &how);
            one.at->unsettled.store(0, std::memory_order_release);
        });
    }

    void read(std::size_t thread, const source& from, const S& how, const std::atomic<bool>& failed) {
        const job* chosen = nullptr;  // and not yet read
        each(thread, &run::read, [&](const job& one) {
            // Every part is being scanned or has been.
            while (one.at->unsettled.load(std::memory_order_acquire) != 0) {
                if (failed.load(std::memory_order_relaxed)) return;
                std::this_thread::yield();
            }
            one.of->choose(from, &how, one.part);
            if (chosen != nullptr) finish(*chosen, from, how, one.of->chosen_rows(one.part));
            chosen = &one;
        });
        if (chosen != nullptr) finish(*chosen, from, how, nullptr);
    }

    // Who reads a group's last part merges them: mostly they are in his caches.
    static void finish(const job& one, const source& from, const S& how, const picked_rows<T>* next) {
        one.of->read(from, &how, one.part, next);
        if (one.at->unread.fetch_sub(1, std::memory_order_acq_rel) == 1)
            one.of->count(from, one.of->finish(from, &how, false));
    }

    std::vector<job> jobs_;  // a thread's lie together
    std::vector<progress> progress_;
    std::vector<run> runs_;
};

}  // namespace nullm::inline NULLM_ABI
