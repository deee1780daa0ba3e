// The smallest models of this room's concepts, as docs/concepts.md shows them, and what does not model them.

#include <nullm/generate/drafter.hpp>
#include <nullm/generate/sampler.hpp>

#include <support/catch.hpp>

#include <vector>

namespace {

struct repeat_last {  // proposes the last token again
    struct state {};
    std::optional<nullm::draft> propose(state&, std::span<const nullm::token_id> sequence, std::size_t) const {
        if (sequence.empty()) return {};
        return nullm::draft{.candidate = sequence.back(), .confidence = 0.5F};
    }
};
static_assert(nullm::Drafter<repeat_last>);

struct uniform_sampler {  // any token, whatever the logits
    nullm::token_id sample(std::span<const float> logits, const nullm::draw_key& key) const {
        return static_cast<nullm::token_id>(nullm::draw_u32(key) % logits.size());
    }
};
static_assert(nullm::Sampler<uniform_sampler>);

struct no_state {
    std::optional<nullm::draft> propose(int&, std::span<const nullm::token_id>, std::size_t) const { return {}; }
};
struct changes_itself {
    struct state {};
    std::optional<nullm::draft> propose(state&, std::span<const nullm::token_id>, std::size_t) { return {}; }
};
struct without_key {
    nullm::token_id sample(std::span<const float>) const { return 0; }
};
static_assert(!nullm::Drafter<no_state> && !nullm::Drafter<changes_itself> && !nullm::Drafter<int>);
static_assert(!nullm::Sampler<without_key> && !nullm::Sampler<int>);
static_assert(nullm::drafts<repeat_last> && !nullm::drafts<nullm::no_drafter>);

}  // namespace

TEST_CASE("the smallest drafter and sampler do what they say", "[generate]") {
    repeat_last::state state;
    CHECK(repeat_last{}.propose(state, std::vector<nullm::token_id>{4, 7}, 2)->candidate == 7);
    const std::vector<float> logits(5);
    CHECK(uniform_sampler{}.sample(logits, {.position = 3}) ==
          uniform_sampler{}.sample(logits, {.position = 3}));
}
