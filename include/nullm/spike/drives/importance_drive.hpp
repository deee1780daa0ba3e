#pragma once
// A token excites the neurons by how far it lies from the words that carry only grammar, by how late the
// tokenizer learned it, and by how new it is in the stream.

#include <nullm/core/aligned.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/simd.hpp>
#include <nullm/spike/concepts.hpp>
#include <nullm/spike/graded.hpp>
#include <nullm/spike/in_range.hpp>
#include <nullm/spike/phrase_set.hpp>
#include <nullm/spike/token_classes.hpp>
#include <nullm/spike/token_directions.hpp>
#include <nullm/spike/token_scores.hpp>
#include <nullm/spike/token_window.hpp>
#include <nullm/spike/vocabulary.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace nullm::inline NULLM_ABI {

struct importance_params {
    std::size_t neurons = 256;  // share one intensity p; their rate has noise sqrt(p (1 - p) / neurons)
    float rank_weight = 0.4F;   // of the BPE rank against the embedding, both standardised
    // The logistic that squashes the score. Running text lives at the low end of the vocabulary's scores, so
    // the middle of [0, 1] is put there: most of the population's resolution then goes to the scores between
    // which a theta chooses.
    float slope = 1.0F;
    float centre = -2.0F;
    // Added to the intensity of a token that is new in the stream; half of it after one use, a third after
    // two ...
    float novelty_weight = 0.2F;
    std::uint32_t novelty_half_life = 8192;  // settled tokens after which uses count half, at least 1
    // Classes that are frequent in a text and still should not be missed: their intensity is at least this,
    // so that they fire under every theta a little below it. 0: no floor.
    float digit_floor = 0.52F;
    float capital_floor = 0.44F;
    float rare_floor = 0.5F;
    float rare_rank = 0.5F;  // "rare": among the last 1 - rare_rank of the vocabulary, as BPE learned it
    // What a candidate that its drafter does not trust at all adds to the intensity, in [0, 1].
    float uncertainty_weight = 0.5F;
    // Words as tokens (see phrase_set). Where one ends the intensity is 1, or 0, whatever else is known: the
    // quiet gate then fires at every theta up to 0.66, or at none above 0.
    std::vector<std::vector<token_id>> never_skip = {};
    std::vector<std::vector<token_id>> always_skip = {};
};

/// Importance of a token. The static part is tabulated once from embeddings, pieces and ids; no corpus, no
/// forward pass (token_scores.hpp):
///     score = z(1 - cosine to the nearest function word) + rank_weight z(ln(id + 1000))
///     importance = max(1 / (1 + exp(-slope (score - centre))), floors of the token's classes)
/// and 1 for special tokens. At a position every neuron gets
///     importance + novelty_weight / (1 + uses of late) + uncertainty_weight (1 - confidence)
/// moved into (0, 1), but 1 for a special token and where a never_skip word ends, and 0 where an always_skip
/// one does. What the rates of such a gate keep of a text: quiet_gate.hpp.
class importance_drive {
 public:
    using trace = stepped_window;

    /// How often each token was settled of late, in eighths of a use: a byte a token, or nothing if novelty
    /// has no weight.
    struct memory {
        std::vector<std::uint8_t> uses;
        std::uint32_t age = 0;  // tokens settled since the uses were halved
        friend bool operator==(const memory&, const memory&) = default;
    };

    /// Reads each embedding twice (49152 x 576: see benchmarks/kernel/spike.cpp), keeps 4 bytes a token,
    /// shared by copies of the drive. Throws nullm::error for parameters outside their range, a word that is
    /// in both lists, an empty vocabulary, embeddings that are not finite, or a vocabulary without a single
    /// function word.
    static importance_drive build(const vocabulary_view& vocabulary, const importance_params& params = {},
                                  isa level = active_isa()) {
        check(params);
        const token_directions tokens(vocabulary, "importance_drive", level);
        return importance_drive(vocabulary, params, function_word_scores(tokens, "importance_drive"), level);
    }

    /// With distances found in another way, for instance text_prototypes::tabulate() for a language other
    /// than English: one float a token, standardised here, in place of the distance to the function words.
    static importance_drive build(const vocabulary_view& vocabulary, aligned_vector<float> distances,
                                  const importance_params& params = {}, isa level = active_isa()) {
        check(params);
        if (distances.size() != vocabulary.size || distances.empty()) {
            throw error("importance_drive distances",
                        std::to_string(vocabulary.size) + " of them, at least one",
                        std::to_string(distances.size()));
        }
        standardise(distances);
        return importance_drive(vocabulary, params, std::move(distances), level);
    }

    /// Static part of one token, in (0, 1]. Throws nullm::error for a token outside the vocabulary.
    float importance(token_id token) const {
        if (token < 0 || static_cast<std::size_t>(token) >= table_->size()) {
            throw error("importance_drive token", "0 to " + std::to_string(table_->size() - 1),
                        std::to_string(token));
        }
        return (*table_)[static_cast<std::size_t>(token)];
    }
    /// 1 for a token that was not used of late, towards 0 for one that was used often.
    float novelty(const memory& learned, token_id token) const {
        if (learned.uses.empty()) return 0.0F;
        return 8.0F / (8.0F + static_cast<float>(learned.uses[static_cast<std::size_t>(token)]));
    }
    const importance_params& params() const { return params_; }

    std::size_t width() const { return params_.neurons; }
    trace initial_trace() const { return {}; }
    memory initial_memory() const {
        return {.uses = std::vector<std::uint8_t>(params_.novelty_weight > 0 ? table_->size() : 0), .age = 0};
    }

    float intensity(trace& seen, const memory& learned, const gate_input& input) const {
        const float doubt = 1.0F - in_range("importance_drive confidence", input.confidence);
        const float importance_of_token = importance(input.token);
        seen.step(input);
        if (always_skip_.ends_at(seen.before, input.token)) return 0.0F;
        if (importance_of_token == 1.0F || never_skip_.ends_at(seen.before, input.token)) return 1.0F;
        const float stream =
            std::fmaf(params_.novelty_weight, novelty(learned, input.token), importance_of_token);
        return graded(std::fmaf(params_.uncertainty_weight, doubt, stream));
    }
    void intensities(trace& seen, const memory& learned, const gate_input& input,
                     std::span<float> out) const {
        std::fill(out.begin(), out.end(), intensity(seen, learned, input));
    }

    void settle(memory& learned, token_id token) const {
        if (learned.uses.empty()) return;
        importance(token);  // throws for a token outside the vocabulary
        std::uint8_t& uses = learned.uses[static_cast<std::size_t>(token)];
        uses = static_cast<std::uint8_t>(std::min(uses + 8, 255));
        if (++learned.age == params_.novelty_half_life) {
            for (std::uint8_t& each : learned.uses) each = static_cast<std::uint8_t>(each / 2);
            learned.age = 0;
        }
    }

 private:
    importance_drive(const vocabulary_view& vocabulary, const importance_params& params,
                     aligned_vector<float> scores, isa level)
        : params_(params),
          never_skip_(params.never_skip, vocabulary.size, "importance_drive never_skip"),
          always_skip_(params.always_skip, vocabulary.size, "importance_drive always_skip") {
        add_rank(scores, params.rank_weight);
        NULLM_DISPATCH(level, logistic(scores.data(), scores.size(), params.slope, params.centre));
        const double first_rare =
            static_cast<double>(params.rare_rank) * static_cast<double>(vocabulary.size);
        for (std::size_t t = 0; t < scores.size(); ++t) {
            const auto id = static_cast<token_id>(t);
            const std::string_view piece = vocabulary.piece(id);
            float& x = scores[t];
            if (has_digit(piece)) x = std::max(x, params.digit_floor);
            if (is_capitalised(piece)) x = std::max(x, params.capital_floor);
            if (static_cast<double>(t) >= first_rare) x = std::max(x, params.rare_floor);
            x = vocabulary.special(id) ? 1.0F : graded(x);
        }
        table_ = std::make_shared<const aligned_vector<float>>(std::move(scores));
    }

    static void check(const importance_params& params) {
        constexpr float huge = std::numeric_limits<float>::max();
        if (params.neurons == 0) throw error("importance_drive neurons", "at least one", "none");
        in_range("importance_drive rank_weight", params.rank_weight, 0.0F, huge);
        in_range("importance_drive slope", params.slope, 0.0F, huge);
        in_range("importance_drive centre", params.centre, -huge, huge);
        in_range("importance_drive novelty_weight", params.novelty_weight);
        in_range("importance_drive digit_floor", params.digit_floor);
        in_range("importance_drive capital_floor", params.capital_floor);
        in_range("importance_drive rare_floor", params.rare_floor);
        in_range("importance_drive rare_rank", params.rare_rank);
        in_range("importance_drive uncertainty_weight", params.uncertainty_weight);
        if (params.novelty_half_life == 0)
            throw error("importance_drive novelty_half_life", "at least 1", "0");
        for (const std::vector<token_id>& word : params.never_skip) {
            if (std::find(params.always_skip.begin(), params.always_skip.end(), word) !=
                params.always_skip.end()) {
                throw error("importance_drive", "words that are never or always skipped", "one that is both");
            }
        }
    }

    importance_params params_;
    std::shared_ptr<const aligned_vector<float>> table_;  // (vocabulary)
    phrase_set never_skip_;
    phrase_set always_skip_;
};
static_assert(UniformDrive<importance_drive>);

}  // namespace nullm::inline NULLM_ABI
