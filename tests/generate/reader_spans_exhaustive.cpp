// The reader of spans against its specification: every way to cut a stream into spans x every pattern of
// fires x every limit, waiting and discarding, in contexts small enough to restart.

#include <nullm/generate/reader.hpp>
#include <nullm/generate/reference_span_reader.hpp>
#include <nullm/generate/sampler.hpp>
#include <nullm/spike/gates.hpp>

#include <support/catch.hpp>
#include <support/hash_span_gate.hpp>
#include <support/sanitized.hpp>
#include <support/table_model.hpp>

#include <algorithm>
#include <sstream>
#include <vector>

namespace {

using namespace support;
using nullm::span_fate;
using nullm::span_step;
using nullm::step;
using nullm::token_id;

constexpr std::uint32_t pushes = sanitized ? 6 : 8;
const std::vector<token_id> stream = {2, 0, 3, 1, 1, 4, 0, 2};
const nullm::temperature_sampler sampler({.temperature = 0.8F});

bool same_step(const step& a, const step& b) {
    return a.position == b.position && a.token == b.token && a.rate == b.rate && a.theta == b.theta &&
           a.reason == b.reason && a.pending == b.pending && a.withdrawn == 0 && a.settled.empty();
}
bool same_span(const span_step& a, const span_step& b) {
    return same_step(a.at_end, b.at_end) && a.length == b.length && a.fate == b.fate;
}

struct fates {
    std::uint64_t spans = 0, spared = 0, dropped = 0, tokens = 0;
    void see(const span_step& s) {
        ++spans;
        spared += s.fate == span_fate::spared;
        dropped += s.fate == span_fate::dropped;
        tokens += s.fate == span_fate::dropped ? s.length : 0;
    }
};

}  // namespace

TEST_CASE("the reader of spans does what the reference does", "[generate][exhaustive]") {
    const table_model model;
    for (const std::size_t context : {std::size_t{1}, std::size_t{5}, std::size_t{6}, std::size_t{64}}) {
        table_model::state scratch{.context = context};
        for (std::uint32_t cuts = 0; cuts < 1U << pushes; ++cuts) {
            // Only what it does at cuts tells patterns apart: all subsets of the cuts.
            for (std::uint32_t pattern = cuts;; pattern = (pattern - 1) & cuts) {
                for (std::uint32_t limits = 0; limits < 24; ++limits) {
                    nullm::reader_options options{.seed = 9,
                                                  .max_pending = limits % 2 == 0 ? 3U : 100U,
                                                  .max_silence = limits / 2 % 2 == 0 ? 0U : 4U,
                                                  .explore = limits / 4 % 2 == 0 ? 0U : 3U};
                    options.discard = limits / 8 > 0;
                    if (limits / 8 == 2) options.never_drop = {3};
                    const hash_span_gate gate{{.pattern = pattern}};
                    nullm::basic_reader reader(model, table_model::state{.context = context}, gate, sampler,
                                               options);
                    nullm::reference_span_reader<table_model, hash_span_gate, nullm::temperature_sampler>
                        reference{.model = model,
                                  .cache = scratch,
                                  .sampler = sampler,
                                  .options = options,
                                  .gate = {gate}};
                    bool good = true;
                    fates seen;
                    for (std::uint32_t i = 0; i < pushes && good; ++i) {
                        good = same_step(reader.push(stream[i]), reference.push(stream[i]));
                        if ((cuts >> i & 1) != 0) {
                            const bool keep = i % 5 == 4;
                            const span_step fast = reader.end_span(keep);
                            const span_step slow = reference.end_span(keep);
                            seen.see(slow);
                            good = good && same_span(fast, slow);
                        }
                        good = good && std::ranges::equal(reader.window(), reference.window) &&
                               reader.pending() == reference.pending &&
                               reader.open_span_length() == reference.open &&
                               reader.cached() + reader.pending() == reader.window().size();
                    }
                    const nullm::statistics& counts = reader.stats();
                    good = good && reader.gate_state() == reference.gate.state() &&
                           counts.spans == seen.spans && counts.spared == seen.spared &&
                           counts.dropped == seen.dropped && counts.discarded == seen.tokens &&
                           counts.nulls + counts.emitted == pushes &&
                           (options.discard || counts.dropped + counts.spared == 0);
                    if (!good) {
                        std::ostringstream out;
                        out << "context " << context << " cuts " << cuts << " pattern " << pattern
                            << " limits " << limits;
                        FAIL(out.str());
                    }
                }
                if (pattern == 0) break;
            }
        }
    }
}

TEST_CASE("without a discard a span's answer is the dense answer, whatever was cut and whatever fired",
          "[generate][exhaustive]") {
    const table_model model;
    for (const std::size_t context : {std::size_t{2}, std::size_t{5}, std::size_t{64}}) {
        nullm::basic_reader dense(model, table_model::state{.context = context}, nullm::always_open{},
                                  sampler, {.seed = 9});
        std::vector<token_id> tokens;
        std::vector<std::vector<float>> logits;
        for (std::uint32_t i = 0; i < pushes; ++i) {
            tokens.push_back(*dense.push(stream[i]).token);
            logits.emplace_back(dense.logits().begin(), dense.logits().end());
        }
        for (std::uint32_t cuts = 0; cuts < 1U << pushes; ++cuts) {
            for (std::uint32_t pattern = cuts;; pattern = (pattern - 1) & cuts) {
                nullm::basic_reader reader(model, table_model::state{.context = context},
                                           hash_span_gate{{.pattern = pattern}}, sampler,
                                           {.seed = 9, .max_pending = 4});
                bool good = true;
                for (std::uint32_t i = 0; i < pushes; ++i) {
                    good = good && !reader.push(stream[i]).token;
                    if ((cuts >> i & 1) == 0) continue;
                    const span_step s = reader.end_span();
                    const bool fires = (pattern >> i & 1) != 0;
                    good = good && s.at_end.token.has_value() == fires && s.at_end.position == i;
                    if (fires) {
                        good = good && *s.at_end.token == tokens[i] &&
                               std::ranges::equal(reader.logits(), logits[i]);
                    }
                }
                if (!good) {
                    std::ostringstream out;
                    out << "context " << context << " cuts " << cuts << " pattern " << pattern;
                    FAIL(out.str());
                }
                if (pattern == 0) break;
            }
        }
    }
}
