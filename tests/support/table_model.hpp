#pragma once
// A Model of a few hundred bytes: logits are looked up by the last three tokens and the position.

#include <nullm/core/error.hpp>
#include <nullm/core/random.hpp>
#include <nullm/model/concepts.hpp>

#include <array>
#include <cstdint>
#include <vector>

namespace support {

/// What a table_model is told to do wrong, and how often it was asked; shared by all its states.
struct table_faults {
    std::uint64_t forwards = 0;
    std::uint64_t rows = 0;
    std::int64_t throw_in = -1;   // this many forwards from now throws table_failure; < 0: none does
    std::int64_t cancel_in = -1;  // likewise nullm::cancelled
};
struct table_failure {};

struct table_model {
    static constexpr std::size_t words = 4;        // tokens that the table speaks of
    static constexpr nullm::token_id end = words;  // one more, written at end_position alone

    std::int64_t end_position = -1;  // the token at this position is certain to be `end`; < 0: nowhere
    table_faults* faults = nullptr;
    std::array<std::array<float, words>, 32> table = make_table(1);

    struct state {
        std::size_t context = 64;
        std::vector<nullm::token_id> cache = {};
        std::vector<float> logits = {};
        bool cancel = false;
        void request_cancel() { cancel = true; }
    };
    struct snapshot {
        std::vector<nullm::token_id> cache;
        friend bool operator==(const snapshot&, const snapshot&) = default;
    };

    static constexpr std::array<std::array<float, words>, 32> make_table(std::uint64_t seed) {
        std::array<std::array<float, words>, 32> made{};
        std::uint32_t i = 0;
        for (auto& row : made) {
            for (float& x : row) x = 3.0F * nullm::draw_uniform({.seed = seed}, i++);
        }
        return made;
    }

    std::size_t vocabulary() const { return words + 1; }
    std::size_t context(const state& s) const { return s.context; }
    std::size_t length(const state& s) const { return s.cache.size(); }
    void truncate(state& s, std::size_t n) const {
        if (n > s.cache.size()) throw nullm::error("table_model::truncate", "n <= length", "more");
        s.cache.resize(n);
    }
    snapshot save(const state& s) const { return {s.cache}; }
    void restore(state& s, const snapshot& saved) const { s.cache = saved.cache; }

    nullm::matrix_view<const float> forward(state& s, std::span<const nullm::token_id> tokens,
                                            std::size_t wanted) const {
        const std::size_t before = s.cache.size();
        if (tokens.empty() || wanted > tokens.size() || before + tokens.size() > s.context) {
            throw nullm::error("table_model::forward", "tokens that fit the context, wanted <= tokens",
                               "other");
        }
        if (s.cancel) {
            s.cancel = false;
            throw nullm::cancelled();
        }
        if (faults != nullptr) {
            if (faults->throw_in >= 0 && faults->throw_in-- == 0) throw table_failure{};
            if (faults->cancel_in >= 0 && faults->cancel_in-- == 0) throw nullm::cancelled();
            ++faults->forwards;
            faults->rows += tokens.size();
        }
        s.cache.insert(s.cache.end(), tokens.begin(), tokens.end());
        s.logits.resize(wanted * (words + 1));
        for (std::size_t r = 0; r < wanted; ++r)
            fill(s, s.cache.size() - wanted + r, &s.logits[r * (words + 1)]);
        return {s.logits.data(), wanted, words + 1};
    }

 private:
    void fill(const state& s, std::size_t p, float* row) const {
        std::size_t h = p;
        for (std::size_t back = 0; back < 3 && back <= p; ++back) {
            h = h * 31 + static_cast<std::size_t>(s.cache[p - back]) + 7;
        }
        const auto& entry = table[(h ^ (h >> 5) ^ (h >> 11)) % table.size()];
        for (std::size_t w = 0; w < words; ++w) row[w] = entry[w];
        row[end] = static_cast<std::int64_t>(p) + 1 == end_position ? 50.0F : -50.0F;
    }
};
static_assert(nullm::Model<table_model>);

}  // namespace support
