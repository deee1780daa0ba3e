#include <nullm/generate/reader.hpp>
#include <nullm/generate/sampler.hpp>
#include <nullm/spike/gates.hpp>

#include <support/catch.hpp>
#include <support/hash_span_gate.hpp>
#include <support/table_model.hpp>

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <vector>

namespace {

using namespace support;
using nullm::span_fate;
using nullm::span_step;
using nullm::step;
using nullm::token_id;
using nullm::wake_reason;
using reader = nullm::basic_reader<table_model, hash_span_gate, nullm::temperature_sampler>;

const nullm::temperature_sampler sampler({.temperature = 0.8F});

reader make(const table_model& model, std::uint64_t pattern, nullm::reader_options options = {},
            std::size_t context = 64) {
    return reader(model, table_model::state{.context = context}, hash_span_gate{{.pattern = pattern}},
                  sampler, options);
}
nullm::reader_options discarding(nullm::reader_options options = {}) {
    options.discard = true;
    return options;
}

span_step read_span(reader& r, std::initializer_list<token_id> tokens, bool keep = false) {
    for (const token_id t : tokens) CHECK_FALSE(r.push(t).token);
    return r.end_span(keep);
}

/// What the model says after exactly these tokens.
std::vector<float> logits_after(const table_model& model, const std::vector<token_id>& tokens) {
    table_model::state fresh;
    const auto row = model.forward(fresh, tokens, 1).row(0);
    return {row.begin(), row.end()};
}

/// All of a reader that does not depend on when the cache was filled.
struct view {
    std::vector<token_id> window;
    hash_span_gate::state gate;
    std::size_t open;
    std::uint64_t positions, emitted, nulls, restarts, spans, spared;
    friend bool operator==(const view&, const view&) = default;
};
view view_of(const reader& r) {
    const nullm::statistics& n = r.stats();
    return {{r.window().begin(), r.window().end()},
            r.gate_state(),
            r.open_span_length(),
            n.positions,
            n.emitted,
            n.nulls,
            n.restarts,
            n.spans,
            n.spared};
}

struct verb {
    enum kind { push, end, keep, force, commit } what;
    token_id token;
};
std::optional<span_step> apply(reader& r, verb v) {
    if (v.what == verb::push) return span_step{.at_end = r.push(v.token)};
    if (v.what == verb::end || v.what == verb::keep) return r.end_span(v.what == verb::keep);
    if (v.what == verb::force) return span_step{.at_end = r.force()};
    r.commit();
    return {};
}
reader replay(const table_model& model, std::uint64_t pattern, const nullm::reader_options& options,
              std::size_t context, const std::vector<verb>& verbs) {
    reader r = make(model, pattern, options, context);
    for (const verb v : verbs) apply(r, v);
    return r;
}

}  // namespace

TEST_CASE("a span is answered at its end, with all that waited in one batch", "[generate]") {
    table_faults seen;
    table_model model;
    model.faults = &seen;
    reader r = make(model, 1 << 4);
    const span_step first = read_span(r, {0, 1});
    CHECK(first.fate == span_fate::waits);
    CHECK(first.length == 2);
    CHECK_FALSE(first.at_end.token);
    CHECK(first.at_end.position == 1);
    CHECK(first.at_end.pending == 2);
    CHECK(seen.forwards == 0);
    const span_step second = read_span(r, {2, 3, 0});
    CHECK(second.fate == span_fate::answered);
    CHECK(second.at_end.token);
    CHECK(second.at_end.position == 4);
    CHECK(second.at_end.reason == wake_reason::rate);
    CHECK(second.at_end.rate == 1.0F);
    CHECK(seen.forwards == 1);
    CHECK(seen.rows == 5);
    CHECK(std::ranges::equal(r.logits(), logits_after(model, {0, 1, 2, 3, 0})));
    CHECK(r.stats().spans == 2);
    CHECK(r.stats().kept() == 2);
    CHECK(r.stats().dropped == 0);
    CHECK(r.stats().emitted == 1);
    CHECK(r.stats().nulls == 4);
}

TEST_CASE("a silent span is dropped whole, as if the model's stream had never had it", "[generate]") {
    const table_model model;
    reader r = make(model, 1 << 11, discarding());
    CHECK(read_span(r, {0, 1, 2, 3}).fate == span_fate::spared);
    CHECK(read_span(r, {3, 3, 3}).fate == span_fate::dropped);
    const span_step dropped = read_span(r, {2, 2});
    CHECK(dropped.fate == span_fate::dropped);
    CHECK(dropped.length == 2);
    CHECK(dropped.at_end.position == 8);
    CHECK(dropped.at_end.pending == 4);
    CHECK(std::ranges::equal(r.window(), std::vector<token_id>{0, 1, 2, 3}));
    const span_step kept = read_span(r, {1, 0, 1});
    CHECK(kept.fate == span_fate::answered);
    CHECK(std::ranges::equal(r.logits(), logits_after(model, {0, 1, 2, 3, 1, 0, 1})));
    CHECK(r.position() == 12);
    CHECK(r.stats().spans == 4);
    CHECK(r.stats().kept() == 2);
    CHECK(r.stats().spared == 1);
    CHECK(r.stats().dropped == 2);
    CHECK(r.stats().discarded == 5);
    CHECK(r.stats().nulls == 11);
}

TEST_CASE("the first four positions are never dropped, nor a span that reaches into them", "[generate]") {
    const table_model model;
    reader r = make(model, 0, discarding());
    CHECK(read_span(r, {0, 1}).fate == span_fate::spared);
    CHECK(read_span(r, {2}).fate == span_fate::spared);
    CHECK(read_span(r, {3, 0, 1}).fate == span_fate::spared);
    CHECK(read_span(r, {1}).fate == span_fate::dropped);
    CHECK(r.window().size() == 6);
}

TEST_CASE("a protected span is kept: by its caller, by a token it holds, by an answer within it",
          "[generate]") {
    const table_model model;
    nullm::reader_options options = discarding();
    options.never_drop = {4, 2};
    reader r = make(model, 0, options);
    read_span(r, {0, 1, 0, 1});
    CHECK(read_span(r, {0, 0}, true).fate == span_fate::spared);
    CHECK(read_span(r, {0, 4, 0}).fate == span_fate::spared);
    CHECK(read_span(r, {2}).fate == span_fate::spared);
    r.push(3);
    CHECK(r.force().token);
    CHECK(read_span(r, {3}).fate == span_fate::spared);
    CHECK(read_span(r, {3, 3}).fate == span_fate::dropped);  // none of it is left over
    CHECK(std::ranges::equal(r.window(), std::vector<token_id>{0, 1, 0, 1, 0, 0, 0, 4, 0, 2, 3, 3}));
    CHECK(r.stats().spared == 5);
    CHECK(r.stats().dropped == 1);
    // Waiting, nothing needs protection.
    options.discard = false;
    reader lossless = make(model, 0, options);
    CHECK(read_span(lossless, {0, 4}, true).fate == span_fate::waits);
    CHECK(lossless.stats().spared == 0);
}

TEST_CASE("what is cached does not decide what is dropped", "[generate]") {
    const table_model model;
    reader r = make(model, 0, discarding()), same = make(model, 0, discarding());
    for (reader* each : {&r, &same}) read_span(*each, {0, 1, 2, 3});
    for (const token_id t : {1, 1, 0}) {
        r.push(t);
        same.push(t);
        r.commit();
    }
    CHECK(r.pending() == 0);
    CHECK(r.end_span().fate == span_fate::dropped);
    CHECK(same.end_span().fate == span_fate::dropped);
    CHECK(r.cached() == 4);
    CHECK(r.gate_state() == same.gate_state());
    CHECK(std::ranges::equal(r.window(), same.window()));
    r.force();
    CHECK(std::ranges::equal(r.logits(), logits_after(model, {0, 1, 2, 3})));
}

TEST_CASE("max_pending caches what is certain, and leaves an open span that may be dropped", "[generate]") {
    const table_model model;
    reader r = make(model, 0, discarding({.max_pending = 3}));
    for (const token_id t : {0, 1, 2, 3, 0}) CHECK(r.push(t).reason == wake_reason::none);
    CHECK(r.cached() == 0);
    CHECK(r.end_span().fate == span_fate::spared);
    CHECK(r.push(1).reason == wake_reason::max_pending);
    CHECK(r.cached() == 5);
    CHECK(r.pending() == 1);
    // Without a discard nothing is uncertain.
    reader lossless = make(model, 0, {.max_pending = 3});
    lossless.push(0);
    lossless.push(1);
    CHECK(lossless.push(2).reason == wake_reason::max_pending);
}

TEST_CASE("exploration and max_silence answer at the end of a span", "[generate]") {
    const table_model model;
    reader r = make(model, 0, {.max_silence = 3});
    CHECK(read_span(r, {0, 1}).fate == span_fate::waits);
    CHECK(read_span(r, {2}).fate == span_fate::waits);
    const span_step loud = read_span(r, {0});
    CHECK(loud.at_end.reason == wake_reason::max_silence);
    CHECK(loud.fate == span_fate::answered);
    CHECK(read_span(r, {2, 2, 2}).fate == span_fate::waits);

    reader curious = make(model, 0, discarding({.seed = 3, .explore = 4}), 4000);
    std::size_t explored = 0;
    for (int i = 0; i < 1000; ++i) {
        const span_step s = read_span(curious, {0, 1});
        CHECK((s.at_end.reason == wake_reason::explore) == nullm::explores(4, 3, s.at_end.position));
        explored += s.fate == span_fate::answered ? 1 : 0;
    }
    CHECK(curious.stats().explored() == explored);
    CHECK(curious.stats().dropped == 1000 - explored - curious.stats().spared);
}

TEST_CASE("a span longer than the context is kept, and the reader goes on", "[generate]") {
    const table_model model;
    reader r = make(model, 0, discarding(), 8);
    for (int i = 0; i < 30; ++i) r.push(i % 4);
    CHECK(r.stats().restarts == 6);
    CHECK(r.end_span().fate == span_fate::spared);
    CHECK(r.stats().dropped == 0);
    CHECK(r.window().size() <= 8);
    CHECK(read_span(r, {0, 0}).length == 2);
}

TEST_CASE("an end is forgotten with the token before it, and rewind stops at a dropped span", "[generate]") {
    const table_model model;
    reader r = make(model, 1 << 3, discarding());
    read_span(r, {0, 1, 2, 3});
    r.push(1);
    r.push(1);
    r.rewind(2);
    CHECK(r.stats().spans == 1);
    CHECK(r.open_span_length() == 0);
    CHECK_THROWS_AS(r.end_span(), nullm::error);
    r.rewind(1);
    CHECK(r.stats().spans == 0);
    CHECK(r.stats().emitted == 0);
    CHECK(r.open_span_length() == 3);
    r.push(3);
    CHECK(r.end_span().fate == span_fate::answered);
    CHECK(read_span(r, {2, 2}).fate == span_fate::dropped);
    CHECK(r.rewindable() == 0);
    CHECK_THROWS_AS(r.rewind(1), nullm::error);
    r.push(0);
    r.push(0);
    CHECK(r.rewindable() == 2);
    r.rewind(2);
    CHECK(std::ranges::equal(r.window(), std::vector<token_id>{0, 1, 2, 3}));
    CHECK(r.open_span_length() == 0);
    CHECK(r.stats().dropped == 1);
    CHECK(r.force().position == 5);
}

TEST_CASE("over span ends and discards, rewind, snapshot and restore are identities in any order of verbs",
          "[generate]") {
    const table_model model;
    std::uint64_t dropped = 0, spared = 0, rewound_ends = 0;
    for (std::uint64_t run = 0; run < 400; ++run) {
        std::uint32_t draws = 0;
        const auto draw = [&](std::uint32_t below) {
            return nullm::draw_u32({.seed = run}, draws++) % below;
        };
        const std::size_t context = 6 + draw(12);
        const std::uint64_t pattern =
            nullm::draw_u32({.seed = run + 5000}) & nullm::draw_u32({.seed = run + 6000});
        nullm::reader_options options{
            .seed = run, .max_pending = 1000, .max_silence = draw(3) * 4, .explore = draw(2) * 7};
        options.discard = draw(3) > 0;
        if (draw(2) == 0) options.never_drop = {4};
        reader r = make(model, pattern, options, context);
        std::vector<verb> effective;  // what was done and not undone
        std::optional<reader::saved> saved;
        std::vector<verb> saved_verbs;
        std::optional<view> saved_view;
        nullm::statistics saved_stats;
        std::vector<float> saved_logits;
        for (int i = 0; i < 120; ++i) {
            const std::uint32_t choice = draw(40);
            verb v{verb::push, static_cast<token_id>(draw(5))};
            if (choice == 0 && !r.window().empty()) v.what = verb::force;
            if (choice == 1) v.what = verb::commit;
            if (choice >= 2 && choice < 12 && r.open_span_length() > 0)
                v.what = choice == 2 ? verb::keep : verb::end;
            if (choice >= 12 && choice < 16) {
                std::size_t n = draw(static_cast<std::uint32_t>(r.rewindable()) + 1);
                if (choice == 12) n = r.rewindable();
                const std::uint64_t spans = r.stats().spans;
                r.rewind(n);
                rewound_ends += spans - r.stats().spans;
                // What followed the first token taken back was said after it.
                while (n > 0) {
                    n -= effective.back().what == verb::push ? 1 : 0;
                    effective.pop_back();
                }
            } else if (choice == 16) {
                saved = r.snapshot();
                saved_verbs = effective;
                saved_view = view_of(r);
                saved_stats = r.stats();
                saved_logits.assign(r.logits().begin(), r.logits().end());
            } else if (choice == 17 && saved) {
                r.restore(*saved);
                effective = saved_verbs;
                REQUIRE(view_of(r) == *saved_view);
                REQUIRE(r.stats() == saved_stats);
                REQUIRE(std::ranges::equal(r.logits(), saved_logits));
            } else {
                reader twin = replay(model, pattern, options, context, effective);
                const auto expected = apply(twin, v);
                const auto found = apply(r, v);
                REQUIRE(expected.has_value() == found.has_value());
                if (found) {
                    REQUIRE(found->fate == expected->fate);
                    REQUIRE(found->length == expected->length);
                    REQUIRE(found->at_end.position == expected->at_end.position);
                    REQUIRE(found->at_end.token == expected->at_end.token);
                    REQUIRE(found->at_end.reason == expected->at_end.reason);
                    REQUIRE(found->at_end.rate == expected->at_end.rate);
                    if (found->at_end.token) REQUIRE(std::ranges::equal(r.logits(), twin.logits()));
                    dropped += found->fate == span_fate::dropped ? 1 : 0;
                    spared += found->fate == span_fate::spared ? 1 : 0;
                }
                effective.push_back(v);
            }
            REQUIRE(view_of(r) == view_of(replay(model, pattern, options, context, effective)));
            REQUIRE(r.cached() + r.pending() == r.window().size());
        }
    }
    CHECK(dropped > 1000);
    CHECK(spared > 1000);
    CHECK(rewound_ends > 500);
}

TEST_CASE("a pass that fails at a span's end leaves its tokens waiting, and force() answers", "[generate]") {
    for (const bool discard : {false, true}) {
        const table_model model;
        table_faults faults;
        table_model faulty;
        faulty.faults = &faults;
        faults.throw_in = 0;
        nullm::reader_options options;
        options.discard = discard;
        reader expected = make(model, 1 << 5, options), r = make(faulty, 1 << 5, options);
        for (reader* each : {&expected, &r}) {
            for (const token_id t : {0, 1, 2, 3, 0, 1}) each->push(t);
        }
        const span_step want = expected.end_span();
        CHECK_THROWS_AS(r.end_span(), table_failure);
        CHECK(r.stats().spans == 1);
        CHECK(r.open_span_length() == 0);
        CHECK(r.pending() == 6);
        CHECK(r.gate_state() == expected.gate_state());
        CHECK(r.force().token == want.at_end.token);
        CHECK(std::ranges::equal(r.logits(), expected.logits()));
        for (reader* each : {&expected, &r}) read_span(*each, {2, 2});
        CHECK(view_of(r) == view_of(expected));
    }
}

TEST_CASE("a reader refuses the end of nothing, and to discard what its gate does not call a span",
          "[generate]") {
    const table_model model;
    reader r = make(model, ~0ULL);
    CHECK_THROWS_AS(r.end_span(), nullm::error);
    r.push(1);
    CHECK_NOTHROW(r.end_span());
    CHECK_THROWS_AS(r.end_span(), nullm::error);
    CHECK(r.stats().spans == 1);
    CHECK_THROWS_AS(nullm::basic_reader(model, table_model::state{}, hash_gate{}, sampler, discarding()),
                    nullm::error);
}
