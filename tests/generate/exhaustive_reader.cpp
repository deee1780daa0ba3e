// The reader against its specification: every gate pattern x every limit x contexts small enough to restart.

#include <nullm/generate/reader.hpp>
#include <nullm/generate/reference_loop.hpp>
#include <nullm/generate/sampler.hpp>
#include <nullm/spike/gates.hpp>

#include <support/catch.hpp>
#include <support/hash_gate.hpp>
#include <support/sanitized.hpp>
#include <support/table_model.hpp>

#include <algorithm>
#include <sstream>
#include <vector>

namespace {

using namespace support;
using nullm::step;
using nullm::token_id;

constexpr std::uint32_t pushes = sanitized ? 7 : 11;
const std::vector<token_id> stream = {2, 0, 3, 1, 1, 4, 0, 2, 2, 3, 1};
const nullm::temperature_sampler sampler({.temperature = 0.8F});

struct answer {
    token_id token;
    std::vector<float> logits;
    std::uint64_t restarts;
};

/// What the model says at every position when it runs at all of them.
std::vector<answer> dense_answers(const table_model& model, std::size_t context, std::uint64_t seed) {
    nullm::basic_reader reader(model, table_model::state{.context = context}, nullm::always_open{}, sampler,
                               {.seed = seed});
    std::vector<answer> made;
    for (std::uint32_t i = 0; i < pushes; ++i) {
        const step s = reader.push(stream[i]);
        made.push_back({*s.token, {reader.logits().begin(), reader.logits().end()}, reader.stats().restarts});
    }
    return made;
}

bool same_step(const step& a, const step& b) {
    return a.position == b.position && a.token == b.token && a.rate == b.rate && a.theta == b.theta &&
           a.reason == b.reason && a.pending == b.pending && a.withdrawn == 0 && a.settled.empty();
}

}  // namespace

TEST_CASE("the reader does what the reference does, and answers with the dense logits",
          "[generate][exhaustive]") {
    const table_model model;
    for (const std::size_t context :
         {std::size_t{1}, std::size_t{2}, std::size_t{5}, std::size_t{6}, std::size_t{64}}) {
        const auto dense = dense_answers(model, context, 9);
        table_model::state scratch{.context = context};
        for (std::uint32_t pattern = 0; pattern < 1U << pushes; ++pattern) {
            for (const std::uint32_t max_pending : {0U, 1U, 2U, 3U, 5U, 100U}) {
                for (const std::uint32_t max_silence : {0U, 1U, 3U}) {
                    for (const std::uint32_t explore : {0U, 3U}) {
                        const nullm::reader_options options{.seed = 9,
                                                            .max_pending = max_pending,
                                                            .max_silence = max_silence,
                                                            .explore = explore};
                        const hash_gate gate{.pattern = pattern};
                        nullm::basic_reader reader(model, table_model::state{.context = context}, gate,
                                                   sampler, options);
                        nullm::reference_reader<table_model, hash_gate, nullm::temperature_sampler> reference{
                            .model = model,
                            .cache = scratch,
                            .sampler = sampler,
                            .options = options,
                            .gate = {gate}};
                        bool good = true;
                        std::uint64_t emitted = 0;
                        for (std::uint32_t i = 0; i < pushes && good; ++i) {
                            const step slow = reference.push(stream[i]);
                            const step fast = reader.push(stream[i]);
                            good = same_step(fast, slow) && reader.gate_state() == reference.gate.state() &&
                                   std::ranges::equal(reader.window(), reference.window) &&
                                   reader.pending() == reference.pending &&
                                   reader.cached() + reader.pending() == reader.window().size() &&
                                   reader.stats().restarts == dense[i].restarts;
                            if (fast.token) {
                                ++emitted;
                                good = good && *fast.token == dense[i].token &&
                                       std::ranges::equal(reader.logits(), dense[i].logits);
                            }
                        }
                        good = good && reader.stats().emitted == emitted &&
                               reader.stats().nulls == pushes - emitted && reader.stats().positions == pushes;
                        if (!good) {
                            std::ostringstream out;
                            out << "context " << context << " pattern " << pattern << " max_pending "
                                << max_pending << " max_silence " << max_silence << " explore " << explore;
                            FAIL(out.str());
                        }
                    }
                }
            }
        }
    }
}

TEST_CASE("force, commit and rewind at any push leave the dense logits", "[generate][exhaustive]") {
    const table_model model;
    enum verb { nothing, force, commit, rewind_one, rewind_all, verbs };
    for (const std::size_t context : {std::size_t{2}, std::size_t{5}, std::size_t{64}}) {
        const auto dense = dense_answers(model, context, 4);
        for (std::uint32_t pattern = 0; pattern < 1U << pushes; pattern += 3) {
            for (const std::uint32_t max_pending : {1U, 3U, 100U}) {
                for (int which = nothing; which < verbs; ++which) {
                    for (std::uint32_t at = 0; at < pushes; ++at) {
                        nullm::basic_reader reader(model, table_model::state{.context = context},
                                                   hash_gate{.pattern = pattern}, sampler,
                                                   {.seed = 4, .max_pending = max_pending});
                        bool good = true, done = false;
                        for (std::uint32_t i = 0; i < pushes && good; ++i) {
                            step s = reader.push(stream[i]);
                            const auto matches = [&] {
                                return !s.token || (*s.token == dense[i].token && s.position == i &&
                                                    std::ranges::equal(reader.logits(), dense[i].logits));
                            };
                            good = matches();
                            if (i != at || done) continue;
                            done = true;
                            if (which == force) {
                                const auto before = reader.gate_state();
                                s = reader.force();
                                good = good && s.token && matches() &&
                                       s.reason == nullm::wake_reason::forced &&
                                       reader.gate_state() == before;
                            } else if (which == commit) {
                                reader.commit();
                                good = good && reader.pending() == 0;
                            } else if (which == rewind_one || which == rewind_all) {
                                const std::size_t n = which == rewind_one ? 1 : reader.rewindable();
                                reader.rewind(n);
                                i -= static_cast<std::uint32_t>(n);
                            }
                            good = good && reader.cached() + reader.pending() == reader.window().size();
                        }
                        // The gate is as if nothing had happened in between.
                        hash_gate gate{.pattern = pattern};
                        auto expected = gate.initial();
                        for (std::uint32_t i = 0; i < pushes; ++i) {
                            const bool fired = gate.step(expected, {stream[i], i}).fire;
                            gate.settle(expected, stream[i], fired);
                        }
                        good = good && reader.gate_state() == expected &&
                               reader.stats().positions == pushes &&
                               reader.stats().restarts == dense.back().restarts;
                        if (!good) {
                            std::ostringstream out;
                            out << "context " << context << " pattern " << pattern << " max_pending "
                                << max_pending << " verb " << which << " at " << at;
                            FAIL(out.str());
                        }
                    }
                }
            }
        }
    }
}
