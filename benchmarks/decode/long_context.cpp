// How near sampled attention comes to exact attention on a model's own queries, keys and values, and what it
// reads and takes.
//   long_context --model FILE --corpus TEXT [--depths N ...] [--rows N] [--threads N] [--seed S] [--skip N]
//                [--only NAME ...] [--csv FILE]
// The text is read in documents of the model's context, attention exact. Of every depth the last rows are
// asked again, one position at a time through all layers, each layer with keys and values of its own. Depths
// beyond the context are documents side by side, with the queries of the last one.
// Columns: error |o - exact| / |exact| of a head, mean and 95th percentile; share of the keys a head uses;
// MB a position, index included; ms a position, index maintenance included; ms to build the index; its bytes
// a key and KV head; share of the heads whose error is above 0.1. Where a limit is set: the share above that,
// and the shares that read more, and all, for it. --skip takes another part of the text than that on which a
// setting was chosen.

#include "long_context_contest.hpp"
#include "long_context_trace.hpp"

#include <nullm/attention/lsh_attention.hpp>
#include <nullm/attention/sketch_attention.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <numeric>
#include <span>
#include <string>
#include <vector>

namespace {

struct settings : decode::trace_options {
    settings() { depths = {2048, 4096, 8192, 16384, 32768}; }
    decode::contest_options contest;
    std::uint64_t seed = 1;
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
    decode::contest all(chosen, chosen.contest, seen, depth);
    decode::print_heading(depth, chosen.rows);
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
    const auto limited = [&](float share, float limit) {
        char name[40];
        std::snprintf(name, sizeof name, "sketch 2 bits, limit %.2g, %.0f %%", static_cast<double>(limit),
                      100 * static_cast<double>(share));
        auto certified = sketch<2>(chosen, share);
        certified.error_limit = limit;
        all.enter(name, certified);
    };
    limited(0.12F, 0.1F);
    limited(0.12F, 0.05F);  // where a tenth of the heads is above it at first
    limited(0.04F, 0.1F);
}

}  // namespace

int main(int argc, char** argv) {
    settings chosen;
    CLI::App app("Sampled attention against exact attention on a model's own queries, keys and values.",
                 "long_context");
    app.add_option("--model", chosen.model, "GGUF file")->required()->type_name("FILE");
    app.add_option("--corpus", chosen.corpus, "a long text")->required()->type_name("FILE");
    app.add_option("--depths", chosen.depths, "positions")->type_name("N");
    app.add_option("--only", chosen.contest.only, "methods whose name contains one of these")
        ->type_name("NAME");
    app.add_option("--rows", chosen.rows, "positions asked at each depth")
        ->check(CLI::Range(2, 1024))
        ->type_name("N");
    app.add_option("--skip", chosen.skip, "tokens of the text left out at its beginning")->type_name("N");
    app.add_option("--threads", chosen.threads, "of attention")->type_name("N");
    app.add_option("--csv", chosen.contest.csv, "file the rows are appended to, for plots.py")
        ->type_name("FILE");
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
