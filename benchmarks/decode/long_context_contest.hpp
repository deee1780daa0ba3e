#pragma once
// Attentions asked the queries of a trace, each held against what exact attention answers.

#include "../support/measure.hpp"
#include "long_context_trace.hpp"

#include <nullm/attention/sketch_attention.hpp>
#include <nullm/core/error.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <numeric>
#include <span>
#include <string>
#include <vector>

namespace decode {

/// One method's row.
struct outcome {
    std::vector<double> errors;  // of (position, layer, head)
    double share = 0, megabytes = 0, milliseconds = 0, build = 0, index_bytes = 0;
    // Of an attention that has a limit to its error: that, shares of the heads that read more and all for it,
    // and the largest error of a group, in the mean, as it estimated it and as it was.
    double limit = 0, refined = 0, dense = 0, estimated = 0, largest = 0;

    double mean_error() const { return mean(errors); }
    double above(double most) const {
        const auto n = std::count_if(errors.begin(), errors.end(), [&](double e) { return !(e <= most); });
        return static_cast<double>(n) / static_cast<double>(std::max<std::size_t>(1, errors.size()));
    }
    void find_largest(std::size_t group) {
        std::vector<double> found;
        for (std::size_t i = 0; i < errors.size(); i += group)
            found.push_back(*std::max_element(&errors[i], &errors[i] + group));
        largest = mean(found);
    }

 private:
    static double mean(const std::vector<double>& of) {
        return std::accumulate(of.begin(), of.end(), 0.0) /
               static_cast<double>(std::max<std::size_t>(1, of.size()));
    }
};

inline void print_heading(std::size_t depth, std::size_t positions) {
    std::printf("depth %zu, %zu positions\n  %-32s %7s %7s %7s %9s %9s %9s %9s %7s\n", depth, positions, "",
                "error", "p95", "keys %", "MB", "ms", "build ms", "B a key", "> .1 %");
}

inline void print(const std::string& name, const outcome& r) {
    std::printf("  %-32s %7.4f %7.4f %7.2f %9.2f", name.c_str(), r.mean_error(),
                measure::quantile(r.errors, 0.95), 100 * r.share, r.megabytes);
    if (r.milliseconds > 0) {
        std::printf(" %9.3f %9.1f %9.1f", r.milliseconds, r.build, r.index_bytes);
    } else {
        std::printf(" %9s %9s %9s", "-", "-", "-");
    }
    std::printf(" %7.2f\n", 100 * r.above(0.1));
    if (r.limit > 0) {
        std::printf("  %-32s %.2f %% of the heads above %.2g; %.2f %% read more, %.2f %% all\n", "",
                    100 * r.above(r.limit), r.limit, 100 * r.refined, 100 * r.dense);
        std::printf("  %-32s a group's largest error %.4f in the mean, estimated as %.4f\n", "", r.largest,
                    r.estimated);
    }
    std::fflush(stdout);
}

/// Appends a row, and what the columns are to a file that has none.
inline void append_csv(const std::string& path, std::size_t depth, const std::string& name,
                       const outcome& r) {
    const bool empty = !std::filesystem::exists(path) || std::filesystem::file_size(path) == 0;
    std::ofstream out(path, std::ios::app);
    if (empty) {
        out << "depth,method,error,p95,keys,megabytes,milliseconds,index_bytes,above_0.1,limit,above_limit,"
               "refined,dense\n";
    }
    out << depth << ",\"" << name << '"';
    for (const double value :
         {r.mean_error(), measure::quantile(r.errors, 0.95), r.share, r.megabytes, r.milliseconds,
          r.index_bytes, r.above(0.1), r.limit, r.limit > 0 ? r.above(r.limit) : 0, r.refined, r.dense}) {
        out << ',' << value;
    }
    if (!(out << '\n').flush()) throw nullm::error(path, "a file that can be written", "none");
}

/// Of a head's scores, less their largest: sets the flags of the keys that are read.
using oracle = std::function<void(std::span<const double>, std::vector<char>&)>;

/// Where the rows go, and which.
struct contest_options {
    std::vector<std::string> only;  // methods whose name contains one of these; all, if there are none
    std::string csv;                // empty: no file
};

/// One depth of a trace.
class contest {
 public:
    using f16 = nullm::f16;

    contest(const trace_options& traced, const contest_options& chosen, const trace& seen, std::size_t depth)
        : chosen_(chosen), trace_(seen), depth_(depth), rows_(traced.rows), pool_(traced.threads) {
        exact_.resize(seen.shape.cache.layers);
        for (auto& layer : exact_) layer.resize(rows_ * seen.width());
    }

    /// Every method's errors are against what this one gives.
    void set_exact(const std::string& name) { report(name, run(nullm::exact_attention<f16>{}, true)); }

    template <class A>
    void enter(const std::string& name, const A& attention) {
        if (wanted(name)) report(name, run(attention, false));
    }

    /// What an oracle that knows the scores gives: sinks and window are read, and what it keeps.
    void enter_oracle(const std::string& name, bool all_keys_read, const oracle& keep) {
        if (!wanted(name)) return;
        const std::size_t heads = trace_.shape.heads;
        std::vector<outcome> parts(trace_.shape.cache.layers);
        pool_.for_each(parts.size(), 1, [&](std::size_t layer) {
            for (std::size_t i = 0; i < rows_; ++i) {
                for (std::size_t h = 0; h < heads; ++h)
                    ask_oracle(layer, i, h, all_keys_read, keep, parts[layer]);
            }
        });
        outcome r;
        for (const auto& part : parts) {
            r.errors.insert(r.errors.end(), part.errors.begin(), part.errors.end());
            r.share += part.share;
            r.megabytes += part.megabytes;
        }
        r.share /= static_cast<double>(r.errors.size());
        r.megabytes /= static_cast<double>(rows_);
        report(name, r);
    }

 private:
    std::size_t head_size() const { return trace_.shape.cache.head_size; }
    std::size_t group() const { return trace_.shape.heads / trace_.shape.cache.kv_heads; }
    const f16* value(std::size_t layer, std::size_t kv_head, std::size_t p) const {
        return trace_.cache.values(p / 256, layer, kv_head) + p % 256 * trace_.cache.value_stride();
    }
    float* exact(std::size_t layer, std::size_t row) { return exact_[layer].data() + row * trace_.width(); }

    void report(const std::string& name, const outcome& r) const {
        print(name, r);
        if (!chosen_.csv.empty()) append_csv(chosen_.csv, depth_, name, r);
    }
    bool wanted(const std::string& name) const {
        return chosen_.only.empty() ||
               std::any_of(chosen_.only.begin(), chosen_.only.end(),
                           [&](const auto& part) { return name.find(part) != std::string::npos; });
    }
    static double error(const float* a, const float* b, std::size_t n) {
        double difference = 0;
        double length = 0;
        for (std::size_t i = 0; i < n; ++i) {
            const double x = static_cast<double>(a[i]) - static_cast<double>(b[i]);
            difference += x * x;
            length += static_cast<double>(b[i]) * static_cast<double>(b[i]);
        }
        return std::sqrt(difference / length);
    }

    void ask_oracle(std::size_t layer, std::size_t row, std::size_t head, bool all_keys_read,
                    const oracle& keep, outcome& to) {
        const std::size_t size = head_size();
        const std::size_t kv_head = head / group();
        const std::size_t n = depth_ - rows_ + row + 1;
        const float* q = trace_.q(layer, depth_, rows_)[row] + head * size;
        std::vector<double> scores(n);
        for (std::size_t p = 0; p < n; ++p) {
            const nullm::cached_key key(trace_.cache, layer, kv_head, p);
            float dot = 0;
            for (std::size_t d = 0; d < size; ++d) dot += q[d] * key[d];
            scores[p] = static_cast<double>(dot) / std::sqrt(static_cast<double>(size));
        }
        const double most = *std::max_element(scores.begin(), scores.end());
        for (double& s : scores) s -= most;
        std::vector<char> kept(n, 0);
        keep(scores, kept);
        for (std::size_t p = 0; p < std::min<std::size_t>(4, n); ++p) kept[p] = 1;
        for (std::size_t p = n - std::min<std::size_t>(64, n); p < n; ++p) kept[p] = 1;

        std::vector<double> o(size);
        double total = 0;
        double used = 0;
        for (std::size_t p = 0; p < n; ++p) {
            if (kept[p] == 0) continue;
            const double w = std::exp(scores[p]);
            const f16* v = value(layer, kv_head, p);
            for (std::size_t d = 0; d < size; ++d) o[d] += w * static_cast<double>(to_float(v[d]));
            total += w;
            used += 1;
        }
        std::vector<float> found(size);
        for (std::size_t d = 0; d < size; ++d) found[d] = static_cast<float>(o[d] / total);
        to.errors.push_back(error(found.data(), exact(layer, row) + head * size, size));
        to.share += used / static_cast<double>(n);
        // Keys are read once for a group, values by each head.
        const double keys = all_keys_read ? static_cast<double>(n) / static_cast<double>(group()) : used;
        to.megabytes += (used + keys) * static_cast<double>(size) * 2e-6;
    }

    // The trace's cache up to the depth, laid out as the attention likes it.
    template <class A>
    nullm::kv_cache<f16> cache_for(const A& attention) {
        const auto& shape = trace_.shape.cache;
        auto cache = nullm::make_cache(attention, shape, depth_);
        cache.prepare(depth_);
        pool_.for_each(depth_, 64, [&](std::size_t p) {
            std::vector<float> k(shape.kv_heads * shape.head_size), v(k.size());
            for (std::size_t layer = 0; layer < shape.layers; ++layer) {
                for (std::size_t h = 0; h < shape.kv_heads; ++h) {
                    const nullm::cached_key key(trace_.cache, layer, h, p);
                    const f16* stored = value(layer, h, p);
                    for (std::size_t d = 0; d < shape.head_size; ++d) {
                        k[h * shape.head_size + d] = key[d];
                        v[h * shape.head_size + d] = to_float(stored[d]);
                    }
                }
                cache.store(layer, p, k, v);
            }
        });
        cache.commit(depth_);
        return cache;
    }

    template <class A>
    outcome run(const A& attention, bool is_exact) {
        const auto& shape = trace_.shape;
        const std::size_t size = head_size();
        const auto cache = cache_for(attention);
        auto with = shape;
        with.sample_from = depth_ - rows_;
        typename A::state state(attention, with);
        outcome r;
        std::vector<float> o(trace_.width());
        std::vector<double> times;
        for (std::size_t i = 0; i < rows_; ++i) {
            double time = 0;
            for (std::size_t layer = 0; layer < shape.cache.layers; ++layer) {
                const auto q = trace_.q(layer, depth_, rows_).subrows(i, 1);
                const auto start = measure::now();
                attention.attend(state, layer, q, depth_ - rows_ + i, cache, {o.data(), 1, o.size()}, pool_);
                time += measure::since(start);
                if (is_exact) {
                    std::copy(o.begin(), o.end(), exact(layer, i));
                    continue;
                }
                for (std::size_t h = 0; h < shape.heads; ++h)
                    r.errors.push_back(error(o.data() + h * size, exact(layer, i) + h * size, size));
            }
            if (i == 0) {
                r.build = time * 1e3;
            } else {
                times.push_back(time * 1e3);
            }
        }
        r.milliseconds = measure::median(times);
        r.build = std::max(0.0, r.build - r.milliseconds);
        r.share = 1;
        const double keys =
            static_cast<double>(shape.cache.layers * shape.cache.kv_heads) * static_cast<double>(depth_);
        r.megabytes = keys * static_cast<double>(size) * 4e-6;
        if constexpr (nullm::CountsKeys<A>) count(attention, state, keys, r);
        return r;
    }

    template <class A>
    void count(const A& attention, const typename A::state& state, double keys, outcome& r) const {
        const auto counts = attention.counts(state);
        const auto queries = static_cast<double>(counts.queries);
        r.share = counts.share_read();
        r.index_bytes = static_cast<double>(attention.index(state).bytes()) / keys;
        r.megabytes = static_cast<double>(counts.bytes) / static_cast<double>(rows_) * 1e-6;
        r.limit = static_cast<double>(attention.error_limit);
        r.refined = static_cast<double>(counts.refined) / queries;
        r.dense = static_cast<double>(counts.dense) / queries;
        r.estimated = static_cast<double>(counts.error) * 1e-6 / queries;
        r.find_largest(group());
    }

    const contest_options& chosen_;
    const trace& trace_;
    std::size_t depth_;
    std::size_t rows_;
    nullm::thread_pool pool_;
    std::vector<std::vector<float>> exact_;  // of each layer
};

}  // namespace decode
