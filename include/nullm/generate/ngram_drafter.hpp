#pragma once
// Look-up in the text so far: what followed the last time? And how often has that been right?

#include <nullm/core/error.hpp>
#include <nullm/generate/concepts.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace nullm::inline NULLM_ABI {

struct ngram_drafter_params {
    std::uint32_t min_match = 1;  // tokens that have to agree, 1 <= min_match <= max_match
    std::uint32_t max_match = 8;  // tokens looked at, at most 16
    float prior = 8.0F;           // how many judged proposals the rule of thumb below is worth, >= 0
};

/// Prompt look-up (Saxena 2023, "Prompt Lookup Decoding"): finds the longest suffix of the sequence, of
/// max_match down to min_match tokens, that occurred before, and proposes the token that followed its latest
/// occurrence. Occurrences may overlap the suffix.
///
/// Confidence is how often proposals of that kind were right in the settled text, where a kind is a length of
/// match and whether all, at least half or fewer of the suffix's earlier occurrences went on alike:
///     (right + prior thumb) / (judged + prior),  thumb = (agreeing / occurrences) length / (length + 2)
/// It is always in (0, 1), and 0 < thumb < 1 stands in while a kind is new: of 1612 proposals over eight
/// prompts SmolLM2-135M-Instruct wrote .05, .14, .27, .32, .56, .63, .74, .95 of those with a thumb of 0-.1,
/// .1-.2, .2-.3, .3-.4, .5-.6, .6-.7, .7-.8, .8 itself. Texts differ (copying, prose), which is why the
/// drafter judges itself.
///
/// One scan of the sequence: 1 to 5 us for 8192 tokens of a text (more where the last token makes up over a
/// tenth of it), and one for every token that settled since the last call, the prompt's included. State: 5
/// bytes a token.
class ngram_drafter {
    static constexpr std::uint32_t agreements = 3;

 public:
    static constexpr std::uint32_t longest = 16;

    /// What look-up would have proposed at each settled position, judged by what stands there. A cache: it
    /// follows from the settled text alone, and goes back where that does.
    class state {
        friend class ngram_drafter;
        static constexpr std::uint8_t nothing = 0xFF;
        struct tally {
            std::uint32_t right = 0, judged = 0;
        };
        std::vector<token_id> text_;          // judged so far
        std::vector<std::uint8_t> outcomes_;  // of each of its positions: 2 kind + right, or nothing proposed
        std::array<tally, longest * agreements> kinds_{};
    };

    /// Throws nullm::error for parameters outside their range.
    explicit ngram_drafter(const ngram_drafter_params& params = {}) : params_(params) {
        if (params.min_match < 1 || params.max_match < params.min_match || params.max_match > longest) {
            throw error("ngram_drafter", "1 <= min_match <= max_match <= " + std::to_string(longest),
                        std::to_string(params.min_match) + " and " + std::to_string(params.max_match));
        }
        if (!(params.prior >= 0.0F && params.prior <= 1e6F)) {
            throw error("ngram_drafter prior", "0 to 1e6", std::to_string(params.prior));
        }
    }

    std::optional<draft> propose(state& judged, std::span<const token_id> sequence,
                                 std::size_t settled) const {
        judge(judged, sequence.first(settled));
        const match found = look_up(sequence);
        if (found.length == 0) return {};
        const auto length = static_cast<float>(found.length);
        const float thumb = static_cast<float>(found.agreeing) / static_cast<float>(found.occurrences) *
                            (length / (length + 2.0F));
        const auto [right, of] = judged.kinds_[kind_of(found)];
        if (of == 0 && params_.prior == 0.0F) return draft{.candidate = found.candidate, .confidence = thumb};
        // With a prior of 0 a kind may have been right always or never; half a proposal each keeps within (0,
        // 1).
        const float doubt = params_.prior == 0.0F ? 0.5F : 0.0F;
        const float confidence = (static_cast<float>(right) + params_.prior * thumb + doubt) /
                                 (static_cast<float>(of) + params_.prior + 2.0F * doubt);
        return draft{.candidate = found.candidate, .confidence = confidence};
    }

    const ngram_drafter_params& params() const { return params_; }

 private:
    struct match {
        token_id candidate = 0;
        std::uint32_t length = 0;  // 0: nothing was found
        std::uint32_t occurrences = 0, agreeing = 0;
    };

    static std::size_t kind_of(const match& found) {
        const std::uint32_t agreement = found.agreeing == found.occurrences       ? 0
                                        : 2 * found.agreeing >= found.occurrences ? 1
                                                                                  : 2;
        return (found.length - 1) * agreements + agreement;
    }

    /// Brings the judgement to this text: takes back what it no longer has, and looks up every position that
    /// is new.
    void judge(state& judged, std::span<const token_id> text) const {
        auto& seen = judged.text_;
        const auto common = static_cast<std::size_t>(
            std::mismatch(seen.begin(), seen.end(), text.begin(), text.end()).first - seen.begin());
        while (seen.size() > common) {
            count(judged, judged.outcomes_.back(), -1);
            judged.outcomes_.pop_back();
            seen.pop_back();
        }
        while (seen.size() < text.size()) {
            const token_id actual = text[seen.size()];
            const match found = look_up(text.first(seen.size()));
            std::uint8_t outcome = state::nothing;
            if (found.length > 0) {
                const std::size_t right = found.candidate == actual ? 1 : 0;
                outcome = static_cast<std::uint8_t>(2 * kind_of(found) + right);
            }
            judged.outcomes_.push_back(outcome);
            seen.push_back(actual);
            count(judged, outcome, +1);
        }
    }

    static void count(state& judged, std::uint8_t outcome, int change) {
        if (outcome == state::nothing) return;
        auto& kind = judged.kinds_[outcome / 2];
        kind.judged += static_cast<std::uint32_t>(change);
        if (outcome % 2 == 1) kind.right += static_cast<std::uint32_t>(change);
    }

    match look_up(std::span<const token_id> sequence) const {
        if (sequence.size() < 2) return {};
        const token_id* const tokens = sequence.data();
        const std::size_t end = sequence.size() - 1;  // index of the suffix's last token
        // For each match length: the latest continuation, and how many earlier matches of at least that
        // length there were and how many of them agree with it.
        std::array<match, longest + 1> lengths{};
        std::uint32_t best = 0;
        for (std::size_t stop = end; stop > 0;) {
            stop = last_equal(tokens, stop, tokens[end]);
            if (stop == none) break;
            std::uint32_t length = 1;
            while (length < params_.max_match && length <= stop &&
                   tokens[stop - length] == tokens[end - length])
                ++length;
            const token_id next = tokens[stop + 1];
            // Shorter lengths than the best so far no longer matter.
            for (std::uint32_t l = best > 1 ? best : 1; l <= length; ++l) {
                match& m = lengths[l];
                if (m.occurrences++ == 0) m.candidate = next;
                m.agreeing += static_cast<std::uint32_t>(next == m.candidate);
            }
            best = length > best ? length : best;
        }
        if (best < params_.min_match) return {};
        lengths[best].length = best;
        return lengths[best];
    }

    static constexpr std::size_t none = static_cast<std::size_t>(-1);

    /// The last index before `stop` that holds `token`.
    static std::size_t last_equal(const token_id* tokens, std::size_t stop, token_id token) {
        // Compared together, without a branch: the compiler makes vectors of it.
        constexpr std::size_t block = 16;
        while (stop >= block) {
            const token_id* const first = tokens + stop - block;
            std::uint32_t any = 0;
            for (std::size_t i = 0; i < block; ++i) any |= static_cast<std::uint32_t>(first[i] == token);
            if (any != 0) break;
            stop -= block;
        }
        while (stop > 0) {
            if (tokens[--stop] == token) return stop;
        }
        return none;
    }

    ngram_drafter_params params_;
};

static_assert(Drafter<ngram_drafter>);

}  // namespace nullm::inline NULLM_ABI
