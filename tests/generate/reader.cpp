#include <nullm/generate/reader.hpp>
#include <nullm/generate/sampler.hpp>
#include <nullm/spike/gates.hpp>

#include <support/catch.hpp>
#include <support/hash_gate.hpp>
#include <support/table_model.hpp>

#include <algorithm>
#include <optional>
#include <vector>

namespace {

using namespace support;
using nullm::step;
using nullm::token_id;
using nullm::wake_reason;
using reader = nullm::basic_reader<table_model, hash_gate, nullm::temperature_sampler>;

const nullm::temperature_sampler sampler({.temperature = 0.8F});

reader make(const table_model& model, std::uint64_t pattern, nullm::reader_options options = {},
            std::size_t context = 64) {
    return reader(model, table_model::state{.context = context}, hash_gate{.pattern = pattern}, sampler,
                  options);
}

/// All of a reader that does not depend on when the cache was filled.
struct view {
    std::vector<token_id> window;
    hash_gate::state gate;
    std::uint64_t positions, emitted, nulls, restarts;
    friend bool operator==(const view&, const view&) = default;
};
view view_of(const reader& r) {
    return {{r.window().begin(), r.window().end()},
            r.gate_state(),
            r.stats().positions,
            r.stats().emitted,
            r.stats().nulls,
            r.stats().restarts};
}

struct verb {
    enum kind { push, force, commit, discard } what;
    token_id token;
};
std::optional<step> apply(reader& r, verb v) {
    if (v.what == verb::push) return r.push(v.token);
    if (v.what == verb::force) return r.force();
    if (v.what == verb::commit) r.commit();
    if (v.what == verb::discard) r.discard_pending();
    return {};
}
reader replay(const table_model& model, std::uint64_t pattern, nullm::reader_options options,
              std::size_t context, const std::vector<verb>& verbs) {
    reader r = make(model, pattern, options, context);
    for (const verb v : verbs) apply(r, v);
    return r;
}

}  // namespace

TEST_CASE("a silent reader does not touch the model, and catches up in one batch", "[generate]") {
    table_faults seen;
    table_model model;
    model.faults = &seen;
    reader r = make(model, 1 << 5);
    for (token_id t : {0, 1, 2, 3, 0}) CHECK_FALSE(r.push(t).token);
    CHECK(seen.forwards == 0);
    CHECK(r.pending() == 5);
    const step s = r.push(1);
    CHECK(s.reason == wake_reason::rate);
    CHECK(s.position == 5);
    CHECK(seen.forwards == 1);
    CHECK(seen.rows == 6);
    CHECK(r.stats().passes == 1);
    CHECK(r.stats().rows == 6);
    CHECK(r.stats().fires_for(wake_reason::rate) == 1);
}

TEST_CASE("max_pending commits without an answer, and max_silence answers", "[generate]") {
    const table_model model;
    reader r = make(model, 0, {.max_pending = 2, .max_silence = 3});
    std::vector<wake_reason> reasons;
    for (int i = 0; i < 8; ++i) reasons.push_back(r.push(1).reason);
    const auto none = wake_reason::none, full = wake_reason::max_pending, loud = wake_reason::max_silence;
    CHECK(reasons == std::vector{none, full, none, loud, none, full, none, loud});
    CHECK(r.stats().emitted == 2);
    CHECK(r.stats().nulls == 6);
}

TEST_CASE("exploration answers one position in N, the same ones after a rewind", "[generate]") {
    const table_model model;
    reader r = make(model, 0, {.seed = 3, .explore = 4}, 2000);
    std::vector<std::int64_t> explored, again;
    for (int i = 0; i < 1000; ++i) {
        if (r.push(1).token) explored.push_back(i);
    }
    CHECK(r.stats().explored() == explored.size());
    // Binomial(1000, 1/4): mean 250, standard deviation 13.7; five of them.
    CHECK(std::abs(static_cast<double>(explored.size()) - 250) < 69);
    r.rewind(1000);
    for (int i = 0; i < 1000; ++i) {
        if (r.push(1).token) again.push_back(i);
    }
    CHECK(again == explored);
}

TEST_CASE("a forced answer is the one the gate would have given there", "[generate]") {
    const table_model model;
    reader open = make(model, 1 << 2), shut = make(model, 0);
    step expected{};
    for (token_id t : {0, 3, 2}) {
        expected = open.push(t);
        shut.push(t);
    }
    const step forced = shut.force();
    CHECK(forced.token == expected.token);
    CHECK(forced.position == 2);
    CHECK(forced.reason == wake_reason::forced);
    CHECK(std::ranges::equal(shut.logits(), open.logits()));
    CHECK(shut.pending() == 0);
    const step again = shut.force();  // with nothing pending
    CHECK(again.token == expected.token);
    CHECK(std::ranges::equal(shut.logits(), open.logits()));
    CHECK(shut.stats().emitted == 1);
    CHECK(shut.stats().nulls == 2);
    CHECK(shut.cached() == 3);
}

TEST_CASE("a discarded span is as if the model had never been shown it, its first four tokens excepted",
          "[generate]") {
    const table_model model;
    reader r = make(model, 1 << 9);
    for (token_id t : {0, 1, 2, 3, 3, 2}) r.push(t);
    CHECK(r.discard_pending() == 2);
    CHECK(r.discard_pending() == 0);
    CHECK(r.stats().discarded == 2);
    CHECK(r.position() == 6);
    for (token_id t : {1, 1, 0}) r.push(t);
    const step s = r.push(2);
    REQUIRE(s.token);
    CHECK(s.position == 9);
    table_model::state fresh;
    const std::vector<token_id> kept = {0, 1, 2, 3, 1, 1, 0, 2};
    CHECK(std::ranges::equal(r.logits(), model.forward(fresh, kept, 1).row(0)));
    CHECK(r.rewindable() == 4);
    CHECK_THROWS_AS(r.rewind(5), nullm::error);
    r.rewind(4);
    CHECK(r.window().size() == 4);
    CHECK(r.position() == 6);
    CHECK(r.force().position == 5);  // its own token is gone; the model answers with what is left
}

TEST_CASE("a rewind cannot go behind what the last restart kept", "[generate]") {
    const table_model model;
    reader r = make(model, 0, {}, 8);
    for (int i = 0; i < 30; ++i) r.push(i % 4);
    CHECK(r.stats().restarts == 6);
    CHECK(r.rewindable() == r.window().size());
    CHECK_THROWS_AS(r.rewind(r.window().size() + 1), nullm::error);
    r.rewind(2);  // to the push that restarted last
    CHECK(r.position() == 28);
    CHECK(r.stats().restarts == 5);
    r.push(0);
    CHECK(r.stats().restarts == 6);
    CHECK(r.rewindable() == r.window().size());
    CHECK_NOTHROW(r.rewind(r.window().size()));
}

TEST_CASE("rewind, snapshot and restore are identities in any order of verbs", "[generate]") {
    const table_model model;
    for (std::uint64_t run = 0; run < 400; ++run) {
        std::uint32_t draws = 0;
        const auto draw = [&](std::uint32_t below) {
            return nullm::draw_u32({.seed = run}, draws++) % below;
        };
        const std::size_t context = 3 + draw(12);
        const std::uint64_t pattern =
            nullm::draw_u32({.seed = run + 5000}) & nullm::draw_u32({.seed = run + 6000});
        const nullm::reader_options options{
            .seed = run, .max_pending = 1000, .max_silence = draw(5), .explore = draw(2) * 5};
        reader r = make(model, pattern, options, context);
        std::vector<verb> effective;       // what was done and not undone
        std::size_t rewindable_verbs = 0;  // of those, behind the last discard
        std::optional<reader::saved> saved;
        std::vector<verb> saved_verbs;
        std::size_t saved_barrier = 0;
        view saved_view{};
        nullm::statistics saved_stats;
        std::vector<float> saved_logits;
        for (int i = 0; i < 120; ++i) {
            const std::uint32_t choice = draw(40);
            verb v{verb::push, static_cast<token_id>(draw(5))};
            if (choice == 0 && r.window().size() > 0) v.what = verb::force;
            if (choice == 1) v.what = verb::commit;
            if (choice == 2) v.what = verb::discard;
            if (choice >= 3 && choice < 8) {
                std::size_t n = draw(static_cast<std::uint32_t>(r.rewindable()) + 1);
                if (choice == 3) n = r.rewindable();
                r.rewind(n);
                while (n > 0) {
                    n -= effective.back().what == verb::push ? 1 : 0;
                    effective.pop_back();
                    REQUIRE(effective.size() >= rewindable_verbs);
                }
            } else if (choice == 8) {
                saved = r.snapshot();
                saved_verbs = effective;
                saved_barrier = rewindable_verbs;
                saved_view = view_of(r);
                saved_stats = r.stats();
                saved_logits.assign(r.logits().begin(), r.logits().end());
            } else if (choice == 9 && saved) {
                r.restore(*saved);
                effective = saved_verbs;
                rewindable_verbs = saved_barrier;
                REQUIRE(view_of(r) == saved_view);
                REQUIRE(r.stats() == saved_stats);
                REQUIRE(std::ranges::equal(r.logits(), saved_logits));
            } else {
                reader twin = replay(model, pattern, options, context, effective);
                if (v.what == verb::discard && r.pending() != twin.pending())
                    continue;  // a rewind leaves more cached
                const auto expected = apply(twin, v);
                const auto found = apply(r, v);
                REQUIRE(expected.has_value() == found.has_value());
                if (found) {
                    REQUIRE(found->position == expected->position);
                    REQUIRE(found->token == expected->token);
                    REQUIRE(found->reason == expected->reason);
                    REQUIRE(found->rate == expected->rate);
                    if (found->token) REQUIRE(std::ranges::equal(r.logits(), twin.logits()));
                }
                effective.push_back(v);
                if (v.what == verb::discard && r.stats().discarded != 0 && r.rewindable() == 0) {
                    rewindable_verbs = effective.size();
                }
            }
            REQUIRE(view_of(r) == view_of(replay(model, pattern, options, context, effective)));
            REQUIRE(r.cached() + r.pending() == r.window().size());
        }
    }
}

TEST_CASE("a pass that fails leaves the token waiting, and force() answers it", "[generate]") {
    const std::vector<token_id> stream = {2, 0, 3, 1, 1, 0, 0, 2, 2, 3};
    for (const std::uint64_t pattern : {0b1001001001ULL, 0b1111111111ULL, 0b1000000000ULL}) {
        for (const bool cancel : {false, true}) {
            for (std::int64_t failing = 0; failing < 12; ++failing) {
                const table_model model;
                reader expected = make(model, pattern, {.max_pending = 3}, 6);
                table_faults faults;
                table_model faulty;
                faulty.faults = &faults;
                (cancel ? faults.cancel_in : faults.throw_in) = failing;
                reader r = make(faulty, pattern, {.max_pending = 3}, 6);
                for (const token_id t : stream) {
                    const step want = expected.push(t);
                    std::optional<step> got;
                    try {
                        got = r.push(t);
                    } catch (const table_failure&) {
                        REQUIRE_FALSE(cancel);
                    } catch (const nullm::cancelled&) {
                        REQUIRE(cancel);
                    }
                    REQUIRE(r.position() == expected.position());
                    REQUIRE(r.gate_state() == expected.gate_state());
                    REQUIRE(r.cached() + r.pending() == r.window().size());
                    if (!got) {
                        REQUIRE(r.pending() > 0);
                        got = r.force();
                        expected.force();
                    }
                    REQUIRE(got->position == want.position);
                    if (want.token) REQUIRE(got->token == want.token);
                    if (got->token && want.token) REQUIRE(std::ranges::equal(r.logits(), expected.logits()));
                }
            }
        }
    }
}

TEST_CASE("request_cancel stops the next pass", "[generate]") {
    const table_model model;
    reader r = make(model, ~0ULL);
    r.request_cancel();
    CHECK_THROWS_AS(r.push(1), nullm::cancelled);
    CHECK(r.position() == 1);
    CHECK(r.pending() == 1);
    CHECK(r.force().token);
}

TEST_CASE("a reader refuses what is no token, and an answer to nothing", "[generate]") {
    const table_model model;
    reader r = make(model, ~0ULL);
    CHECK_THROWS_AS(r.push(-1), nullm::error);
    CHECK_THROWS_AS(r.push(5), nullm::error);
    CHECK_THROWS_AS(r.force(), nullm::error);
    CHECK_THROWS_AS(r.rewind(1), nullm::error);
    CHECK_NOTHROW(r.commit());
    CHECK_NOTHROW(r.rewind(0));
    CHECK(r.discard_pending() == 0);
    CHECK(r.position() == 0);
    CHECK(r.logits().empty());
    CHECK_THROWS_AS(make(model, 0, {}, 0), nullm::error);
}
