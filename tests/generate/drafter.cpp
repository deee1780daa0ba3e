#include <nullm/generate/drafter.hpp>

#include <nullm/core/random.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <span>
#include <vector>

namespace {

using nullm::draft;
using nullm::ngram_drafter;
using nullm::token_id;

std::optional<draft> propose(const ngram_drafter& drafter, const std::vector<token_id>& sequence) {
    ngram_drafter::state state;
    return drafter.propose(state, sequence, 0);
}

struct match {
    token_id candidate;
    std::size_t length;
    int occurrences, agreeing;

    float thumb() const {
        const float l = static_cast<float>(length);
        return static_cast<float>(agreeing) / static_cast<float>(occurrences) * (l / (l + 2.0F));
    }
    bool like(const match& other) const {
        const auto agreement = [](const match& m) {
            return m.agreeing == m.occurrences ? 0 : 2 * m.agreeing >= m.occurrences ? 1 : 2;
        };
        return length == other.length && agreement(*this) == agreement(other);
    }
};

/// What look-up finds, by search for each length in turn.
std::optional<match> looked_up(std::span<const token_id> s, std::size_t min_match, std::size_t max_match) {
    for (std::size_t length = max_match; length >= min_match; --length) {
        if (length + 1 > s.size()) continue;
        std::optional<token_id> latest;
        int occurrences = 0, agreeing = 0;
        for (std::size_t begin = s.size() - length; begin-- > 0;) {
            const auto at = s.begin() + static_cast<std::ptrdiff_t>(begin);
            if (!std::equal(s.end() - static_cast<std::ptrdiff_t>(length), s.end(), at)) continue;
            const token_id next = s[begin + length];
            if (!latest) latest = next;
            ++occurrences;
            agreeing += next == *latest ? 1 : 0;
        }
        if (!latest) continue;
        return match{*latest, length, occurrences, agreeing};
    }
    return {};
}

/// The definition: what look-up finds, trusted as often as its kind was right in the settled text.
std::optional<draft> by_definition(std::span<const token_id> s, std::size_t settled,
                                   const nullm::ngram_drafter_params& params) {
    const auto found = looked_up(s, params.min_match, params.max_match);
    if (!found) return {};
    int judged = 0, right = 0;
    for (std::size_t p = 0; p < settled; ++p) {
        const auto then = looked_up(s.first(p), params.min_match, params.max_match);
        if (!then || !then->like(*found)) continue;
        ++judged;
        right += then->candidate == s[p] ? 1 : 0;
    }
    return draft{found->candidate, (static_cast<float>(right) + params.prior * found->thumb()) /
                                       (static_cast<float>(judged) + params.prior)};
}

}  // namespace

TEST_CASE("prompt look-up proposes what followed the longest earlier match", "[generate]") {
    const ngram_drafter drafter({.max_match = 3});
    CHECK_FALSE(propose(drafter, {}));
    CHECK_FALSE(propose(drafter, {1}));
    CHECK_FALSE(propose(drafter, {1, 2, 3}));
    CHECK(propose(drafter, {1, 2, 1}) == draft{2, 1.0F / 3});
    // A match of two beats a later match of one.
    CHECK(propose(drafter, {5, 1, 7, 9, 1, 8, 5, 1}) == draft{7, 0.5F});
    // Of two matches of the same length, the latest; half of them agree.
    CHECK(propose(drafter, {5, 1, 7, 5, 1, 8, 5, 1}) == draft{8, 0.25F});
    CHECK(propose(drafter, {5, 1, 7, 5, 1, 7, 5, 1, 8, 6, 1}) == draft{8, 1.0F / 3 * (1.0F / 3)});
    // No more than max_match tokens are looked at: both match three, so the latest is taken.
    CHECK(propose(drafter, {0, 1, 2, 3, 4, 9, 1, 2, 3, 5, 0, 1, 2, 3}) == draft{5, 0.3F});
    // An occurrence may overlap the suffix.
    CHECK(propose(drafter, {6, 6, 6, 6}) == draft{6, 0.6F});
}

TEST_CASE("prompt look-up keeps to min_match", "[generate]") {
    const ngram_drafter drafter({.min_match = 2, .max_match = 3});
    CHECK_FALSE(propose(drafter, {1, 2, 1}));
    CHECK(propose(drafter, {1, 2, 3, 1, 2}) == draft{3, 0.5F});
}

TEST_CASE("prompt look-up refuses parameters without a meaning", "[generate]") {
    CHECK_THROWS_AS(ngram_drafter({.min_match = 0, .max_match = 3}), nullm::error);
    CHECK_THROWS_AS(ngram_drafter({.min_match = 3, .max_match = 2}), nullm::error);
    CHECK_THROWS_AS(ngram_drafter({.max_match = 17}), nullm::error);
    CHECK_THROWS_AS(ngram_drafter({.prior = -1.0F}), nullm::error);
    CHECK_THROWS_AS(ngram_drafter({.prior = std::numeric_limits<float>::quiet_NaN()}), nullm::error);
}

TEST_CASE("prompt look-up trusts a kind of proposal as often as it was right in the settled text",
          "[generate]") {
    const ngram_drafter drafter({.max_match = 2, .prior = 1.0F});
    // 1 2 1 2 1 2 1: of a match of two, "1 2" was looked up at position 4 (right), "2 1" at 5, "1 2" at 6:
    // all right.
    const std::vector<token_id> text{1, 2, 1, 2, 1, 2, 1};
    ngram_drafter::state state;
    CHECK(drafter.propose(state, text, 0)->confidence == 0.5F);
    CHECK(drafter.propose(state, text, 4)->confidence == 0.5F);
    CHECK(drafter.propose(state, text, 5)->confidence == (1 + 0.5F) / (1 + 1));
    CHECK(drafter.propose(state, text, 7)->confidence == (3 + 0.5F) / (3 + 1));
    // Drafts that wait prove nothing: as before, and not as if they had been right.
    CHECK(drafter.propose(state, text, 5)->confidence == (1 + 0.5F) / (1 + 1));
}

TEST_CASE("without a prior a kind that was always or never right is still not certain", "[generate]") {
    const ngram_drafter drafter({.max_match = 1, .prior = 0.0F});
    ngram_drafter::state state;
    const auto always = drafter.propose(state, std::vector<token_id>{6, 6, 6, 6, 6}, 5);
    CHECK(always->confidence == (3 + 0.5F) / (3 + 1));
    const auto never = drafter.propose(state, std::vector<token_id>{6, 7, 6, 8, 6}, 5);
    CHECK((never->confidence > 0 && never->confidence < 1));
}

TEST_CASE("prompt look-up is its definition on random text, and forgets what is cut off", "[generate]") {
    ngram_drafter::state state;
    std::uint32_t draws = 0;
    const auto draw = [&](std::uint32_t below) { return nullm::draw_u32({.seed = 21}, draws++) % below; };
    for (int run = 0; run < 300; ++run) {
        const std::uint32_t words = 2 + draw(run % 2 == 0 ? 3 : 40);
        const std::uint32_t min_match = 1 + draw(3), max_match = min_match + draw(4);
        const nullm::ngram_drafter_params params{
            .min_match = min_match, .max_match = max_match, .prior = 4.0F};
        const ngram_drafter drafter(params);
        std::vector<token_id> text;
        for (int i = 0; i < 60; ++i) {
            if (!text.empty() && draw(8) == 0)
                text.resize(text.size() - std::min<std::size_t>(text.size(), draw(20)));
            text.push_back(static_cast<token_id>(draw(words)));
            const std::size_t settled = text.size() - std::min<std::size_t>(text.size(), draw(5));
            const auto found = drafter.propose(state, text, settled);
            REQUIRE(found == by_definition(text, settled, params));
            if (found) REQUIRE((found->confidence > 0 && found->confidence < 1));
        }
    }
}

TEST_CASE("no_drafter proposes nothing and says so", "[generate]") {
    nullm::no_drafter::state state;
    CHECK_FALSE(nullm::no_drafter{}.propose(state, std::vector<token_id>{1, 1}, 2));
    CHECK_FALSE(nullm::drafts<nullm::no_drafter>);
    CHECK(nullm::drafts<ngram_drafter>);
}
