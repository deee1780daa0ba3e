#include <nullm/model/concepts.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <span>
#include <vector>

namespace {

// The smallest model: it expects its last token plus one. (docs/concepts.md shows it.)
struct counting_model {
    using snapshot = std::vector<nullm::token_id>;
    struct state {
        std::vector<nullm::token_id> held;
        std::vector<float> logits;
    };
    nullm::matrix_view<const float> forward(state& s, std::span<const nullm::token_id> tokens,
                                            std::size_t wanted) const {
        s.held.insert(s.held.end(), tokens.begin(), tokens.end());
        s.logits.assign(wanted * 10, 0.0F);
        for (std::size_t r = 0; r < wanted; ++r) {
            s.logits[r * 10 + static_cast<std::size_t>(s.held[s.held.size() - wanted + r] + 1) % 10] = 1;
        }
        return {s.logits.data(), wanted, 10};
    }
    std::size_t length(const state& s) const { return s.held.size(); }
    void truncate(state& s, std::size_t n) const { s.held.resize(std::min(n, s.held.size())); }
    std::size_t vocabulary() const { return 10; }
    std::size_t context(const state&) const { return 1000; }
    snapshot save(const state& s) const { return s.held; }
    void restore(state& s, const snapshot& saved) const { s.held = saved; }
};

struct runs_nothing : counting_model {
    void forward(state&, std::span<const nullm::token_id>, std::size_t) const {}
};
struct never_forgets : counting_model {
    void truncate(state&, std::size_t) = delete;
};
struct shapeless : counting_model {
    void vocabulary() const {}
};
struct cannot_go_back : counting_model {
    void restore(const state&) const {}
};
struct runs_by_mutation : counting_model {
    nullm::matrix_view<const float> forward(state& s, std::span<const nullm::token_id> tokens,
                                            std::size_t wanted) {
        return counting_model::forward(s, tokens, wanted);
    }
};

static_assert(nullm::Model<counting_model>);
static_assert(!nullm::Model<int>);
static_assert(!nullm::RunsForward<runs_nothing> && !nullm::Model<runs_nothing>);
static_assert(!nullm::TruncatesCache<never_forgets> && !nullm::Model<never_forgets>);
static_assert(!nullm::HasModelShape<shapeless> && !nullm::Model<shapeless>);
static_assert(!nullm::SnapshotsCache<cannot_go_back> && !nullm::Model<cannot_go_back>);
static_assert(!nullm::RunsForward<runs_by_mutation>);

}  // namespace

TEST_CASE("the smallest model counts", "[model]") {
    const counting_model model;
    counting_model::state state;
    const std::vector<nullm::token_id> tokens = {3, 9};
    const auto logits = model.forward(state, tokens, 2);
    CHECK(logits[0][4] == 1);
    CHECK(logits[1][0] == 1);
    const auto saved = model.save(state);
    model.truncate(state, 1);
    CHECK(model.length(state) == 1);
    model.restore(state, saved);
    CHECK(model.length(state) == 2);
}
