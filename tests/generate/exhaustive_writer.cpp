// The writer against its specification, over everything a small model can meet: every gate pattern x every
// draft string x every max_pending x every place of the stop token x temperature.

#include <nullm/generate/drafter.hpp>
#include <nullm/generate/reference_loop.hpp>
#include <nullm/generate/sampler.hpp>
#include <nullm/generate/writer.hpp>
#include <nullm/spike/gates.hpp>

#include <support/catch.hpp>
#include <support/hash_gate.hpp>
#include <support/sanitized.hpp>
#include <support/scripted_drafter.hpp>
#include <support/table_model.hpp>

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

namespace {

using namespace support;
using nullm::step;
using nullm::token_id;

constexpr std::uint32_t length = sanitized ? 4 : 6;
const std::vector<token_id> prompt = {1, 3, 2};

/// What one run is about; `draft` has one letter a position, to be read from its lowest ternary digit.
struct scenario {
    std::uint32_t pattern = 0, draft = 0, max_pending = 0, max_silence = 0, explore = 0,
                  max_tokens = length + 1;
    std::int64_t end_position = -1;
    float temperature = 0;
    std::size_t context = 64;
    bool stops = true;

    std::string text() const {
        std::ostringstream out;
        out << "pattern " << pattern << " draft " << draft << " max_pending " << max_pending
            << " max_silence " << max_silence << " explore " << explore << " max_tokens " << max_tokens
            << " end_position " << end_position << " temperature " << temperature << " context " << context;
        return out.str();
    }
    nullm::writer_options options() const {
        nullm::writer_options made{.max_tokens = max_tokens,
                                   .max_pending = max_pending,
                                   .max_silence = max_silence,
                                   .explore = explore,
                                   .seed = 5};
        if (end_position >= 0) made.stop_tokens = {table_model::end};
        return made;
    }
};

const nullm::temperature_sampler& sampler_of(float temperature) {
    static const nullm::temperature_sampler cold({.temperature = 0}), warm({.temperature = 0.8F});
    return temperature == 0 ? cold : warm;
}

/// The text as it would be with the model run at every position.
std::vector<token_id> dense_text(const table_model& model, const scenario& s) {
    nullm::basic_writer writer(model, table_model::state{.context = s.context}, nullm::always_open{},
                               nullm::no_drafter{}, sampler_of(s.temperature), prompt, s.options());
    while (!writer.finished()) writer.next();
    return {writer.text().begin(), writer.text().end()};
}

scripted_drafter drafter_of(const std::vector<token_id>& dense, std::uint32_t string, token_id end) {
    scripted_drafter made{.first = prompt.size()};
    for (std::uint32_t i = 0; i < length; ++i, string /= 3) {
        if (string % 3 == 2) continue;
        const token_id right = i < dense.size() ? dense[i] : end;
        const token_id wrong = (right + 1) % static_cast<token_id>(table_model::words);
        made.candidates[i] =
            nullm::draft{string % 3 == 0 ? right : wrong, 0.25F + 0.125F * static_cast<float>(i % 4)};
    }
    return made;
}

template <class Writer, class Reference>
bool agree(const Writer& writer, const step& fast, const Reference& reference, const step& slow) {
    return fast.position == slow.position && fast.token == slow.token && fast.rate == slow.rate &&
           fast.theta == slow.theta && fast.reason == slow.reason && fast.pending == slow.pending &&
           fast.withdrawn == slow.withdrawn && std::ranges::equal(fast.settled, slow.settled) &&
           writer.cached() == reference.cached && writer.gate_state() == reference.gate.state() &&
           writer.finished() == reference.finished() &&
           std::ranges::equal(
               writer.text(),
               std::span(reference.tokens).subspan(prompt.size(), reference.settled - prompt.size()));
}

/// Runs writer and reference side by side; false at the first difference.
template <class Drafter>
bool same_run(const table_model& model, const scenario& s, const std::vector<token_id>& dense,
              Drafter drafter, table_model::state& scratch, std::uint64_t& steps) {
    const hash_gate gate{.pattern = s.pattern, .first = static_cast<std::int64_t>(prompt.size())};
    nullm::basic_writer writer(model, table_model::state{.context = s.context}, gate, drafter,
                               sampler_of(s.temperature), prompt, s.options());
    nullm::reference_writer<table_model, hash_gate, Drafter, nullm::temperature_sampler> reference{
        .model = model,
        .cache = scratch,
        .drafter = drafter,
        .sampler = sampler_of(s.temperature),
        .options = s.options(),
        .gate = {gate},
        .tokens = prompt};
    reference.start();
    if (writer.gate_state() != reference.gate.state()) return false;
    std::int64_t next_position = static_cast<std::int64_t>(prompt.size());
    for (std::uint32_t guard = 0; !reference.finished(); ++guard, ++steps) {
        const bool forced = !nullm::drafts<Drafter> && guard % 8 == 7;  // a shut gate would pause for ever
        const step slow = reference.next(forced);
        const step fast = forced ? writer.force() : writer.next();
        if (!agree(writer, fast, reference, slow) || guard > 100) return false;
        // Positions follow each other, but for those withdrawn; one is left out where the candidate of the
        // step itself is accepted (it is in `settled`).
        if (nullm::drafts<Drafter>) {
            const bool accepted = !fast.settled.empty() && fast.settled.back().position == next_position;
            if (fast.position != next_position - fast.withdrawn + (accepted ? 1 : 0)) return false;
            next_position = fast.position + 1;
        }
    }
    const auto& n = writer.stats();
    return std::ranges::equal(writer.text(), dense) && n.positions == dense.size() &&
           n.emitted + n.nulls == n.positions;
}

/// Stop token nowhere, or at the i-th position of the text.
std::vector<std::int64_t> end_positions() {
    std::vector<std::int64_t> made = {-1};
    for (std::uint32_t i = 0; i <= length; ++i) made.push_back(static_cast<std::int64_t>(prompt.size() + i));
    return made;
}

constexpr std::uint32_t power_of_3(std::uint32_t n) {
    return n == 0 ? 1 : 3 * power_of_3(n - 1);
}

}  // namespace

TEST_CASE("the writer does what the reference does, and writes the dense text", "[generate][exhaustive]") {
    std::uint64_t runs = 0, steps = 0;
    table_model::state scratch;
    for (const float temperature : {0.0F, 0.8F}) {
        for (const std::int64_t end : end_positions()) {
            table_model model;
            model.end_position = end;
            scenario s{.end_position = end, .temperature = temperature};
            const auto dense = dense_text(model, s);
            for (s.draft = 0; s.draft < power_of_3(length); ++s.draft) {
                const scripted_drafter drafter = drafter_of(dense, s.draft, table_model::end);
                for (s.pattern = 0; s.pattern < 1U << length; ++s.pattern) {
                    for (s.max_pending = 0; s.max_pending <= length; ++s.max_pending, ++runs) {
                        if (!same_run(model, s, dense, drafter, scratch, steps)) FAIL(s.text());
                    }
                }
            }
        }
    }
    CHECK(runs == 2ULL * (length + 2) * power_of_3(length) * (1U << length) * (length + 1));
    CHECK(steps > runs);
}

TEST_CASE("exploration, silence limits, short texts and a full context leave the text alone",
          "[generate][exhaustive]") {
    std::uint64_t steps = 0;
    for (const float temperature : {0.0F, 0.8F}) {
        for (const std::int64_t end : {std::int64_t{-1}, std::int64_t{6}}) {
            table_model model;
            model.end_position = end;
            for (const std::uint32_t max_tokens : {0U, 1U, 2U, length, 40U}) {
                for (const std::size_t context :
                     {prompt.size() + 1, prompt.size() + 2, prompt.size() + length}) {
                    scenario s{.max_tokens = max_tokens,
                               .end_position = end,
                               .temperature = temperature,
                               .context = context};
                    table_model::state scratch{.context = context};
                    const auto dense = dense_text(model, s);
                    for (const std::uint32_t draft : {0U, 1U, 3U, 4U, 10U, 27U, 30U, 38U, 54U, 66U}) {
                        s.draft = draft;
                        const auto drafter = drafter_of(dense, draft, table_model::end);
                        for (s.max_silence = 0; s.max_silence < 4; ++s.max_silence) {
                            for (s.explore = 0; s.explore < 4; ++s.explore) {
                                for (s.max_pending = 0; s.max_pending < 8; s.max_pending += 3) {
                                    for (s.pattern = 0; s.pattern < 1U << length; s.pattern += 5) {
                                        if (!same_run(model, s, dense, drafter, scratch, steps))
                                            FAIL(s.text());
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

TEST_CASE("without a drafter the writer pauses as the reference does, and writes the dense text",
          "[generate][exhaustive]") {
    std::uint64_t steps = 0;
    for (const float temperature : {0.0F, 0.8F}) {
        for (const std::int64_t end : end_positions()) {
            table_model model;
            model.end_position = end;
            for (const std::size_t context : {std::size_t{64}, prompt.size() + 3}) {
                table_model::state scratch{.context = context};
                scenario s{.end_position = end, .temperature = temperature, .context = context};
                const auto dense = dense_text(model, s);
                for (s.max_silence = 0; s.max_silence < 4; ++s.max_silence) {
                    for (s.explore = 0; s.explore < 4; ++s.explore) {
                        for (s.pattern = 0; s.pattern < 1U << length; ++s.pattern) {
                            if (!same_run(model, s, dense, nullm::no_drafter{}, scratch, steps))
                                FAIL(s.text());
                        }
                    }
                }
            }
        }
    }
}
