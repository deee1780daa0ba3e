#pragma once
// One log read line by line through a gate of spans, and what came of its lines.

#include "../support/measure.hpp"
#include "synthetic_log.hpp"

#include <nullm/core/error.hpp>
#include <nullm/generate/reader.hpp>
#include <nullm/generate/sampler.hpp>
#include <nullm/generate/span_splitter.hpp>
#include <nullm/model/concepts.hpp>
#include <nullm/text/tokenizer.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace decode {

using nullm::token_id;

/// A log as the reader meets it: its tokens, and for each line what kind it is and whether its text is to be
/// kept in any case.
struct tokenized_log {
    std::vector<token_id> tokens;
    std::vector<line_kind> kinds;
    std::vector<bool> protect;

    template <class Pattern>
    tokenized_log(const std::vector<log_line>& log, const nullm::tokenizer& words,
                  const Pattern& never_drop) {
        std::string text;
        for (const log_line& line : log) {
            text += line.text + '\n';
            kinds.push_back(line.kind);
            protect.push_back(never_drop.found_in(line.text));
        }
        tokens = words.encode(text);
    }
};

/// A model whose passes cost nothing and say nothing. What a reader keeps does not depend on its model.
struct mute_model {
    struct state {
        std::size_t cached = 0;
        std::vector<float> logits = {0.0F};
    };
    using snapshot = std::size_t;
    std::size_t words = 0;

    std::size_t vocabulary() const { return words; }
    std::size_t context(const state&) const { return 8192; }
    std::size_t length(const state& s) const { return s.cached; }
    void truncate(state& s, std::size_t n) const { s.cached = n; }
    snapshot save(const state& s) const { return s.cached; }
    void restore(state& s, snapshot saved) const { s.cached = saved; }
    nullm::matrix_view<const float> forward(state& s, std::span<const token_id> tokens,
                                            std::size_t wanted) const {
        s.cached += tokens.size();
        return {s.logits.data(), std::min<std::size_t>(wanted, 1), 1};
    }
};
static_assert(nullm::Model<mute_model>);

struct triage {
    std::size_t lines = 0, kept = 0;
    std::array<std::size_t, 3> of_kind{}, kept_of_kind{};  // by line_kind
    std::size_t protect = 0, kept_protected = 0;
    std::size_t tokens = 0, dropped_tokens = 0;
    double worst_thousand = 0;  // furthest that the share kept in 1,000 lines in a row was from that of all
    double seconds = 0;

    double dropped() const { return 1 - static_cast<double>(kept) / static_cast<double>(lines); }
    std::size_t rare() const { return kept_of_kind[static_cast<std::size_t>(line_kind::rare)]; }
};

/// Reads all of the log, discarding. Throws nullm::error if lines and spans are not the same.
template <nullm::Model M, nullm::SpanGate Gate>
triage read_log(const M& model, typename M::state state, const Gate& gate, const tokenized_log& log,
                const nullm::tokenizer& words, std::uint64_t seed) {
    nullm::reader_options options{.seed = seed};
    options.discard = true;
    options.never_drop = nullm::control_tokens(words);
    nullm::basic_reader reader(model, std::move(state), gate, nullm::greedy{}, options);
    const nullm::span_splitter splitter(words, nullm::span_kind::line);
    auto at = splitter.initial();
    triage result;
    std::vector<bool> kept;
    const auto start = measure::now();
    for (const token_id token : log.tokens) {
        const nullm::span_cut cut = splitter.push(at, token);
        reader.push(token);
        if (!cut.after) continue;
        const std::size_t line = kept.size();
        if (line >= log.kinds.size()) break;
        kept.push_back(reader.end_span(log.protect[line]).fate != nullm::span_fate::dropped);
    }
    result.seconds = measure::since(start);
    if (kept.size() != log.kinds.size() || reader.open_span_length() > 0) {
        throw nullm::error("log_triage", "one span a line, of " + std::to_string(log.kinds.size()),
                           std::to_string(kept.size()));
    }
    result.lines = kept.size();
    result.tokens = log.tokens.size();
    result.dropped_tokens = reader.stats().discarded;
    for (std::size_t i = 0; i < kept.size(); ++i) {
        const auto kind = static_cast<std::size_t>(log.kinds[i]);
        ++result.of_kind[kind];
        result.protect += log.protect[i] ? 1 : 0;
        if (!kept[i]) continue;
        ++result.kept;
        ++result.kept_of_kind[kind];
        result.kept_protected += log.protect[i] ? 1 : 0;
    }
    for (std::size_t i = 0; i + 1000 <= kept.size(); i += 1000) {
        const auto n = std::count(kept.begin() + static_cast<std::ptrdiff_t>(i),
                                  kept.begin() + static_cast<std::ptrdiff_t>(i) + 1000, true);
        result.worst_thousand =
            std::max(result.worst_thousand, std::abs(static_cast<double>(n) / 1000 - (1 - result.dropped())));
    }
    return result;
}

}  // namespace decode
