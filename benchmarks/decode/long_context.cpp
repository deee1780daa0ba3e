// How near sampled attention comes to exact attention on a model's own queries, keys and values, and what it
// reads and takes.
//   long_context --model FILE --corpus TEXT [--depths N ...] [--rows N] [--threads N] [--seed S] [--skip N]
//                [--only NAME ...] [--csv FILE]
// The text is read in documents of the model's context, attention exact. Of every depth the last rows are
// asked again, one position at a time through all layers, each layer with keys and values of its own. Depths
// beyond the context are documents side by side, with the queries of the last one.
// Columns: error |o - exact| / |exact| of a head, mean and 95th percentile; share of the keys a head uses;
// MB a position, index included; ms a position, index maintenance included; ms to build the index; its bytes
// a key and KV head; share of the heads whose error is above 0.1.

#include "../support/measure.hpp"
#include "long_context_trace.hpp"

#include <nullm/attention/lsh_attention.hpp>
#include <nullm/attention/sketch_attention.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <numeric>
#include <span>
#include <string>
#include <vector>

namespace {

using nullm::f16;
using nullm::kv_cache;

struct settings : decode::trace_options {
    settings() { depths = {2048, 4096, 8192, 16384, 32768}; }
    std::vector<std::string> only;
    std::string csv;
    std::uint64_t seed = 1;
};

/// One method's row.
struct outcome {
    std::vector<double> errors;
    double share = 0, megabytes = 0, milliseconds = 0, build = 0, index_bytes = 0;
    double refined = 0, dense = 0;  // shares of the heads

    double mean_error() const {
        return std::accumulate(errors.begin(), errors.end(), 0.0) /
               static_cast<double>(std::max<std::size_t>(1, errors.size()));
    }
    double above(double limit) const {
        const auto n = std::count_if(errors.begin(), errors.end(), [&](double e) { return !(e <= limit); });
        return static_cast<double>(n) / static_cast<double>(std::max<std::size_t>(1, errors.size()));
    }
};

void print(const std::string& name, const outcome& r) {
    std::printf("  %-26s %7.4f %7.4f %7.2f %9.2f", name.c_str(), r.mean_error(),
                measure::quantile(r.errors, 0.95), 100 * r.share, r.megabytes);
    if (r.milliseconds > 0) {
        std::printf(" %9.3f %9.1f %9.1f", r.milliseconds, r.build, r.index_bytes);
    } else {
        std::printf(" %9s %9s %9s", "-", "-", "-");
    }
    std::printf(" %7.2f\n", 100 * r.above(0.1));
    if (r.refined > 0)
        std::printf("  %-26s of the heads %.2f %% read more, %.2f %% all\n", "", 100 * r.refined,
                    100 * r.dense);
    std::fflush(stdout);
}

/// One depth of a trace.
class contest {
 public:
    contest(const settings& chosen, const decode::trace& seen, std::size_t depth)
        : chosen_(chosen), trace_(seen), depth_(depth), pool_(chosen.threads) {
        exact_.resize(seen.shape.cache.layers);
        for (auto& layer : exact_) layer.resize(chosen.rows * seen.width());
    }

    /// Every method's errors are against what this one gives.
    void set_exact(const std::string& name) {
        const outcome r = run(nullm::exact_attention<f16>{}, true);
        report(name, r);
    }

    template <class A>
    void enter(const std::string& name, const A& attention) {
        if (wanted(name)) report(name, run(attention, false));
    }

    /// What an oracle that knows the scores gives: of each head's keys, sinks and window aside, those `keep`
    /// tells. keep(scores, kept): scores less their largest; kept: a flag a key.
    void enter_oracle(const std::string& name, bool all_keys_read,
                      const std::function<void(std::span<const double>, std::vector<char>&)>& keep) {
        if (!wanted(name)) return;
        const auto& shape = trace_.shape;
        const std::size_t size = shape.cache.head_size;
        const std::size_t group = shape.heads / shape.cache.kv_heads;
        outcome r;
        std::vector<outcome> parts(shape.cache.layers);
        pool_.for_each(shape.cache.layers, 1, [&](std::size_t layer) {
            std::vector<double> scores;
            std::vector<char> kept;
            const auto q = trace_.q(layer, depth_, chosen_.rows);
            for (std::size_t i = 0; i < chosen_.rows; ++i) {
                const std::size_t n = depth_ - chosen_.rows + i + 1;
                for (std::size_t h = 0; h < shape.heads; ++h) {
                    scores.assign(n, 0.0);
                    for (std::size_t p = 0; p < n; ++p) {
                        const nullm::cached_key key(trace_.cache, layer, h / group, p);
                        float dot = 0;
                        for (std::size_t d = 0; d < size; ++d) dot += q[i][h * size + d] * key[d];
                        scores[p] = static_cast<double>(dot) / std::sqrt(static_cast<double>(size));
                    }
                    const double most = *std::max_element(scores.begin(), scores.end());
                    for (double& s : scores) s -= most;
                    kept.assign(n, 0);
                    keep(scores, kept);
                    for (std::size_t p = 0; p < std::min<std::size_t>(4, n); ++p) kept[p] = 1;
                    for (std::size_t p = n - std::min<std::size_t>(64, n); p < n; ++p) kept[p] = 1;
                    std::vector<double> o(size);
                    double total = 0;
                    double used = 0;
                    for (std::size_t p = 0; p < n; ++p) {
                        if (kept[p] == 0) continue;
                        const double w = std::exp(scores[p]);
                        const f16* value = trace_.cache.values(p / 256, layer, h / group) +
                                           p % 256 * trace_.cache.value_stride();
                        for (std::size_t d = 0; d < size; ++d)
                            o[d] += w * static_cast<double>(to_float(value[d]));
                        total += w;
                        used += 1;
                    }
                    std::vector<float> found(size);
                    for (std::size_t d = 0; d < size; ++d) found[d] = static_cast<float>(o[d] / total);
                    parts[layer].errors.push_back(
                        error(found.data(), exact_[layer].data() + i * trace_.width() + h * size, size));
                    parts[layer].share += used / static_cast<double>(n);
                    parts[layer].megabytes +=
                        (used +
                         (all_keys_read ? static_cast<double>(n) / static_cast<double>(group) : used)) *
                        static_cast<double>(size) * 2e-6;
                }
            }
        });
        for (const auto& part : parts) {
            r.errors.insert(r.errors.end(), part.errors.begin(), part.errors.end());
            r.share += part.share;
            r.megabytes += part.megabytes;
        }
        r.share /= static_cast<double>(r.errors.size());
        r.megabytes /= static_cast<double>(chosen_.rows);
        report(name, r);
    }

 private:
    void report(const std::string& name, const outcome& r) const {
        print(name, r);
        if (chosen_.csv.empty()) return;
        const bool empty =
            !std::filesystem::exists(chosen_.csv) || std::filesystem::file_size(chosen_.csv) == 0;
        std::ofstream out(chosen_.csv, std::ios::app);
        if (empty) out << "depth,method,error,p95,keys,megabytes,milliseconds,index_bytes\n";
        out << depth_ << ",\"" << name << "\"," << r.mean_error() << ',' << measure::quantile(r.errors, 0.95)
            << ',' << r.share << ',' << r.megabytes << ',' << r.milliseconds << ',' << r.index_bytes << '\n';
        if (!out.flush()) throw nullm::error(chosen_.csv, "a file that can be written", "none");
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

    // The trace's cache up to the depth, laid out as the attention likes it.
    template <class A>
    kv_cache<f16> cache_for(const A& attention) {
        const auto& shape = trace_.shape.cache;
        auto cache = nullm::make_cache(attention, shape, depth_);
        cache.prepare(depth_);
        pool_.for_each(depth_, 64, [&](std::size_t p) {
            std::vector<float> k(shape.kv_heads * shape.head_size), v(k.size());
            for (std::size_t layer = 0; layer < shape.layers; ++layer) {
                for (std::size_t h = 0; h < shape.kv_heads; ++h) {
                    const nullm::cached_key key(trace_.cache, layer, h, p);
                    const f16* value =
                        trace_.cache.values(p / 256, layer, h) + p % 256 * trace_.cache.value_stride();
                    for (std::size_t d = 0; d < shape.head_size; ++d) {
                        k[h * shape.head_size + d] = key[d];
                        v[h * shape.head_size + d] = to_float(value[d]);
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
        const std::size_t rows = chosen_.rows;
        const std::size_t size = shape.cache.head_size;
        const auto cache = cache_for(attention);
        auto with = shape;
        with.sample_from = depth_ - rows;
        typename A::state state(attention, with);
        outcome r;
        std::vector<float> o(trace_.width());
        std::vector<double> times;
        for (std::size_t i = 0; i < rows; ++i) {
            double time = 0;
            for (std::size_t layer = 0; layer < shape.cache.layers; ++layer) {
                const auto q = trace_.q(layer, depth_, rows).subrows(i, 1);
                const auto start = measure::now();
                attention.attend(state, layer, q, depth_ - rows + i, cache, {o.data(), 1, o.size()}, pool_);
                time += measure::since(start);
                float* exact = exact_[layer].data() + i * trace_.width();
                if (is_exact) {
                    std::copy(o.begin(), o.end(), exact);
                } else {
                    for (std::size_t h = 0; h < shape.heads; ++h)
                        r.errors.push_back(error(o.data() + h * size, exact + h * size, size));
                }
            }
            if (i == 0) {
                r.build = time * 1e3;
            } else {
                times.push_back(time * 1e3);
            }
        }
        r.milliseconds = measure::median(times);
        r.build = std::max(0.0, r.build - r.milliseconds);
        const double keys = static_cast<double>(shape.cache.layers * shape.cache.kv_heads);
        r.share = 1;
        r.megabytes = keys * static_cast<double>(depth_ * size) * 4e-6;
        if constexpr (nullm::CountsKeys<A>) {
            const auto counts = attention.counts(state);
            r.share = counts.share_read();
            r.refined = static_cast<double>(counts.refined) / static_cast<double>(counts.queries);
            r.dense = static_cast<double>(counts.dense) / static_cast<double>(counts.queries);
            r.index_bytes =
                static_cast<double>(attention.index(state).bytes()) / keys / static_cast<double>(depth_);
            r.megabytes = static_cast<double>(counts.rows) / static_cast<double>(rows) *
                          static_cast<double>(size) * 4e-6;
            if (scans_index(attention))
                r.megabytes += r.index_bytes * keys * static_cast<double>(depth_) * 1e-6;
        }
        return r;
    }

    template <int bits>
    static bool scans_index(const nullm::sketch_attention<bits>&) {
        return true;
    }
    template <class A>
    static bool scans_index(const A&) {
        return false;
    }

    const settings& chosen_;
    const decode::trace& trace_;
    std::size_t depth_;
    nullm::thread_pool pool_;
    std::vector<std::vector<float>> exact_;  // of each layer
};

/// The `share` of the keys with the largest scores.
auto largest(double share) {
    return [share](std::span<const double> scores, std::vector<char>& kept) {
        std::vector<std::size_t> order(scores.size());
        std::iota(order.begin(), order.end(), std::size_t{0});
        const auto count = static_cast<std::ptrdiff_t>(share * static_cast<double>(scores.size()));
        std::nth_element(order.begin(), order.begin() + count, order.end(),
                         [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
        for (std::ptrdiff_t i = 0; i < count; ++i) kept[order[static_cast<std::size_t>(i)]] = 1;
    };
}

template <int bits>
nullm::sketch_attention<bits> sketch(const settings& chosen, float share) {
    return {.sampler = {.seed = chosen.seed, .budget = {.share = share}}, .dense_every = 0};
}
template <nullm::lsh_shape shape>
nullm::lsh_attention<shape> tables(const settings& chosen) {
    return {.sampler = {.seed = chosen.seed}, .dense_every = 0};
}

void compare(const settings& chosen, const decode::trace& seen, std::size_t depth) {
    contest all(chosen, seen, depth);
    std::printf("depth %zu, %zu positions\n  %-26s %7s %7s %7s %9s %9s %9s %9s %7s\n", depth, chosen.rows, "",
                "error", "p95", "keys %", "MB", "ms", "build ms", "B a key", "> .1 %");
    all.set_exact("exact");
    all.enter_oracle("sparse V, e^-9", true, [](std::span<const double> scores, std::vector<char>& kept) {
        for (std::size_t p = 0; p < scores.size(); ++p) kept[p] = scores[p] > -9 ? 1 : 0;
    });
    for (const double share : {0.02, 0.04, 0.08}) {
        char name[40];
        std::snprintf(name, sizeof name, "top-k %.0f %%", 100 * share);
        all.enter_oracle(name, false, largest(share));
    }
    all.enter("tables (10, 150)", tables<nullm::lsh_shape{10, 150}>(chosen));
    all.enter("tables (9, 120)", tables<nullm::lsh_shape{9, 120}>(chosen));
    all.enter("tables (8, 75)", tables<nullm::lsh_shape{8, 75}>(chosen));
    for (const float share : {0.04F, 0.08F, 0.12F, 0.24F}) {
        char name[40];
        std::snprintf(name, sizeof name, " bits, %.0f %%", 100 * static_cast<double>(share));
        all.enter("sketch 1" + std::string(name), sketch<1>(chosen, share));
        all.enter("sketch 2" + std::string(name), sketch<2>(chosen, share));
        all.enter("sketch 4" + std::string(name), sketch<4>(chosen, share));
    }
    auto certified = sketch<2>(chosen, nullm::key_budget{}.share);
    certified.error_limit = 0.1F;
    all.enter("sketch 2 bits, limit 0.1", certified);
}

}  // namespace

int main(int argc, char** argv) {
    settings chosen;
    CLI::App app("Sampled attention against exact attention on a model's own queries, keys and values.",
                 "long_context");
    app.add_option("--model", chosen.model, "GGUF file")->required()->type_name("FILE");
    app.add_option("--corpus", chosen.corpus, "a long text")->required()->type_name("FILE");
    app.add_option("--depths", chosen.depths, "positions")->type_name("N");
    app.add_option("--only", chosen.only, "methods whose name contains one of these")->type_name("NAME");
    app.add_option("--rows", chosen.rows, "positions asked at each depth")
        ->check(CLI::Range(2, 1024))
        ->type_name("N");
    app.add_option("--skip", chosen.skip, "tokens of the text left out at its beginning")->type_name("N");
    app.add_option("--threads", chosen.threads, "of attention")->type_name("N");
    app.add_option("--csv", chosen.csv, "file the rows are appended to, for plots.py")->type_name("FILE");
    app.add_option("--seed", chosen.seed, "of the samplers")->type_name("S");
    try {
        app.parse(argc, argv);
        const auto seen = decode::read_trace(chosen);
        for (const std::size_t depth : chosen.depths) compare(chosen, *seen, depth);
    } catch (const CLI::ParseError& wrong) {
        return app.exit(wrong);
    } catch (const std::exception& failed) {
        std::fprintf(stderr, "long_context: %s\n", failed.what());
        return 1;
    }
    return 0;
}
