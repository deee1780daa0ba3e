#include <nullm/generate/drafter.hpp>

#include <nullm/core/random.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <vector>

namespace {

using nullm::draft;
using nullm::ngram_drafter;
using nullm::token_id;

std::optional<draft> propose(const ngram_drafter& drafter, const std::vector<token_id>& sequence) {
    ngram_drafter::state state;
    return drafter.propose(state, sequence);
}

/// The definition, by search for each length in turn.
std::optional<draft> by_definition(const std::vector<token_id>& s, std::size_t min_match,
                                   std::size_t max_match) {
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
        const float agreement = static_cast<float>(agreeing) / static_cast<float>(occurrences);
        const float l = static_cast<float>(length);
        return draft{*latest, agreement * (l / (l + 2.0F))};
    }
    return {};
}

}  // namespace

TEST_CASE("prompt look-up proposes what followed the longest earlier match", "[generate]") {
    const ngram_drafter drafter(1, 3);
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
    CHECK_FALSE(propose(ngram_drafter(2, 3), {1, 2, 1}));
    CHECK(propose(ngram_drafter(2, 3), {1, 2, 3, 1, 2}) == draft{3, 0.5F});
    CHECK_THROWS_AS(ngram_drafter(0, 3), nullm::error);
    CHECK_THROWS_AS(ngram_drafter(3, 2), nullm::error);
    CHECK_THROWS_AS(ngram_drafter(1, 17), nullm::error);
}

TEST_CASE("prompt look-up is its definition on random text, and forgets what is cut off", "[generate]") {
    ngram_drafter::state state;
    std::uint32_t draws = 0;
    const auto draw = [&](std::uint32_t below) { return nullm::draw_u32({.seed = 21}, draws++) % below; };
    for (int run = 0; run < 300; ++run) {
        const std::uint32_t words = 2 + draw(run % 2 == 0 ? 3 : 40);
        const std::uint32_t min_match = 1 + draw(3), max_match = min_match + draw(4);
        const ngram_drafter drafter(min_match, max_match);
        std::vector<token_id> text;
        for (int i = 0; i < 150; ++i) {
            if (!text.empty() && draw(8) == 0)
                text.resize(text.size() - std::min<std::size_t>(text.size(), draw(20)));
            text.push_back(static_cast<token_id>(draw(words)));
            const auto found = drafter.propose(state, text);
            REQUIRE(found == by_definition(text, min_match, max_match));
            if (found) REQUIRE((found->confidence > 0 && found->confidence < 1));
        }
    }
}

TEST_CASE("no_drafter proposes nothing and says so", "[generate]") {
    nullm::no_drafter::state state;
    CHECK_FALSE(nullm::no_drafter{}.propose(state, std::vector<token_id>{1, 1}));
    CHECK_FALSE(nullm::drafts<nullm::no_drafter>);
    CHECK(nullm::drafts<ngram_drafter>);
}
