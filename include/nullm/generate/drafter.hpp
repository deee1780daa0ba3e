#pragma once
// Drafters: none, and look-up in the text so far.

#include <nullm/core/error.hpp>
#include <nullm/generate/concepts.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace nullm::inline NULLM_ABI {

/// Never proposes: the writer's NULL is a pause.
struct no_drafter {
    struct state {};
    std::optional<draft> propose(state&, std::span<const token_id>) const { return {}; }
};
template <>
inline constexpr bool drafts<no_drafter> = false;

/// Prompt look-up (Saxena 2023, "Prompt Lookup Decoding"): finds the longest suffix of the sequence, of
/// max_match down to min_match tokens, that occurred before, and proposes the token that followed its latest
/// occurrence. Occurrences may overlap the suffix.
///
/// Confidence = (agreeing / occurrences) length / (length + 2), always in (0, 1): the share of that suffix's
/// earlier occurrences that the proposed token followed, less for a short match. With matches of up to 8
/// tokens this is about the share of proposals that SmolLM2-135M-Instruct writes itself (1612 proposals over
/// eight prompts, greedy and at temperature 0.8: .05, .14, .27, .32, .56, .63, .74, .95 of those with
/// confidence 0-.1, .1-.2, .2-.3, .3-.4, .5-.6, .6-.7, .7-.8, .8); longer matches than 8 found no more of its
/// tokens, 3 found 5 % fewer.
///
/// Keeps no state, so it need not know that the sequence shrank. One scan of the sequence: 1 to 5 us for 8192
/// tokens of a text (more where the last token makes up over a tenth of it).
class ngram_drafter {
 public:
    static constexpr std::uint32_t longest = 16;
    struct state {};

    /// 1 <= min_match <= max_match <= longest, else nullm::error.
    explicit ngram_drafter(std::uint32_t min_match = 1, std::uint32_t max_match = 8)
        : min_match_(min_match), max_match_(max_match) {
        if (min_match < 1 || max_match < min_match || max_match > longest) {
            throw error("ngram_drafter", "1 <= min_match <= max_match <= " + std::to_string(longest),
                        std::to_string(min_match) + " and " + std::to_string(max_match));
        }
    }

    std::optional<draft> propose(state&, std::span<const token_id> sequence) const {
        if (sequence.size() < 2) return {};
        const token_id* const tokens = sequence.data();
        const std::size_t end = sequence.size() - 1;  // index of the suffix's last token
        // For each match length: the latest continuation, and how many earlier matches of at least that
        // length there were and how many of them agree with it.
        struct tally {
            token_id candidate = 0;
            std::uint32_t occurrences = 0, agreeing = 0;
        };
        std::array<tally, longest + 1> tallies{};
        std::uint32_t best = 0;
        for (std::size_t stop = end; stop > 0;) {
            stop = last_equal(tokens, stop, tokens[end]);
            if (stop == none) break;
            std::uint32_t length = 1;
            while (length < max_match_ && length <= stop && tokens[stop - length] == tokens[end - length])
                ++length;
            const token_id next = tokens[stop + 1];
            // Shorter lengths than the best so far no longer matter.
            for (std::uint32_t l = best > 1 ? best : 1; l <= length; ++l) {
                tally& t = tallies[l];
                if (t.occurrences++ == 0) t.candidate = next;
                t.agreeing += static_cast<std::uint32_t>(next == t.candidate);
            }
            best = length > best ? length : best;
        }
        if (best < min_match_) return {};
        const tally& t = tallies[best];
        const float agreement = static_cast<float>(t.agreeing) / static_cast<float>(t.occurrences);
        const float length = static_cast<float>(best);
        return draft{.candidate = t.candidate, .confidence = agreement * (length / (length + 2.0F))};
    }

    std::uint32_t min_match() const { return min_match_; }
    std::uint32_t max_match() const { return max_match_; }

 private:
    static constexpr std::size_t none = static_cast<std::size_t>(-1);

    /// The last index before `stop` that holds `token`.
    static std::size_t last_equal(const token_id* tokens, std::size_t stop, token_id token) {
        constexpr std::size_t block =
            16;  // compared together, without a branch: the compiler makes vectors of it
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

    std::uint32_t min_match_;
    std::uint32_t max_match_;
};

static_assert(Drafter<no_drafter> && Drafter<ngram_drafter>);

}  // namespace nullm::inline NULLM_ABI
