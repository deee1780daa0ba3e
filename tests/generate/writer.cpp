#include <nullm/generate/drafter.hpp>
#include <nullm/generate/reference_loop.hpp>
#include <nullm/generate/sampler.hpp>
#include <nullm/generate/writer.hpp>
#include <nullm/spike/gates.hpp>

#include <support/catch.hpp>
#include <support/hash_gate.hpp>
#include <support/scripted_drafter.hpp>
#include <support/table_model.hpp>

#include <algorithm>
#include <optional>
#include <vector>

namespace {

using namespace support;
using nullm::step;
using nullm::token_id;
using nullm::wake_reason;

const nullm::temperature_sampler sampler({.temperature = 0.8F});
const std::vector<token_id> prompt = {1, 3, 2};
constexpr auto first = static_cast<std::int64_t>(3);

std::vector<token_id> copy(std::span<const token_id> tokens) {
    return {tokens.begin(), tokens.end()};
}

std::vector<token_id> dense_text(const table_model& model, nullm::writer_options options,
                                 std::size_t context = 64) {
    nullm::basic_writer w(model, table_model::state{.context = context}, nullm::always_open{},
                          nullm::no_drafter{}, sampler, prompt, options);
    while (!w.finished()) w.next();
    return copy(w.text());
}

scripted_drafter right_drafter(const std::vector<token_id>& dense) {
    scripted_drafter made{.first = prompt.size()};
    for (std::size_t i = 0; i < std::min(dense.size(), scripted_drafter::reach); ++i) {
        made.candidates[i] = nullm::draft{dense[i], 0.5F};
    }
    return made;
}

/// All of a writer that can be seen from outside.
struct view {
    std::vector<token_id> text, provisional;
    std::optional<token_id> stopped_by;
    hash_gate::state gate;
    std::size_t cached;
    nullm::statistics stats;
    bool finished;
    friend bool operator==(const view&, const view&) = default;
};
template <class Writer>
view view_of(const Writer& w) {
    return {copy(w.text()), copy(w.provisional()), w.stopped_by(), w.gate_state(), w.cached(),
            w.stats(),      w.finished()};
}

struct seen_step {
    step what;
    std::vector<nullm::resolved_token> settled;
    explicit seen_step(const step& s) : what(s), settled(s.settled.begin(), s.settled.end()) {}
    friend bool operator==(const seen_step& a, const seen_step& b) {
        return a.what.position == b.what.position && a.what.token == b.what.token &&
               a.what.rate == b.what.rate && a.what.theta == b.what.theta && a.what.reason == b.what.reason &&
               a.settled == b.settled && a.what.pending == b.what.pending &&
               a.what.withdrawn == b.what.withdrawn;
    }
};

/// Throws at one position; otherwise as `sampler`.
struct failing_sampler {
    std::int64_t position = -1;
    token_id sample(std::span<const float> logits, const nullm::draw_key& key) const {
        if (key.position == position) throw nullm::error("failing_sampler", "another position", "this one");
        return sampler.sample(logits, key);
    }
};

}  // namespace

TEST_CASE("right drafts cost one pass, and a wrong one takes back the NULLs from it on", "[generate]") {
    const table_model model;
    const nullm::writer_options options{.max_tokens = 10, .max_pending = 20};
    const auto dense = dense_text(model, options);
    auto drafter = right_drafter(dense);
    nullm::basic_writer all_right(model, table_model::state{}, hash_gate{}, drafter, sampler, prompt,
                                  options);
    for (int i = 0; i < 9; ++i) CHECK_FALSE(all_right.next().token);
    const step last = all_right.next();
    CHECK(last.reason == wake_reason::end);
    CHECK(last.settled.size() == 9);
    CHECK(last.token == dense.back());
    CHECK(all_right.finished());
    CHECK(all_right.finish_reason() == wake_reason::end);
    CHECK(all_right.stats().passes == 1);
    CHECK(all_right.stats().rows == 10);
    CHECK(all_right.stats().nulls == 9);
    CHECK(all_right.stats().emitted == 1);
    CHECK(all_right.stats().prompt_tokens == 3);

    drafter.candidates[2]->candidate = (dense[2] + 1) % 4;
    nullm::basic_writer wrong(model, table_model::state{}, hash_gate{}, drafter, sampler, prompt, options);
    for (int i = 0; i < 5; ++i) wrong.next();
    CHECK(wrong.provisional().size() == 5);
    const step forced = wrong.force();
    CHECK(forced.reason == wake_reason::forced);
    CHECK(forced.position == first + 2);
    CHECK(forced.token == dense[2]);
    CHECK(forced.settled.size() == 2);
    CHECK(forced.withdrawn == 3);
    CHECK(wrong.provisional().empty());
    CHECK(wrong.stats().withdrawn == 3);
    CHECK(wrong.stats().fires_for(wake_reason::forced) == 1);
}

TEST_CASE("a stop token ends the text and is no part of it", "[generate]") {
    table_model model;
    model.end_position = first + 4;
    const nullm::writer_options options{.max_tokens = 10, .stop_tokens = {table_model::end}};
    const auto dense = dense_text(model, options);
    CHECK(dense.size() == 4);
    nullm::basic_writer w(model, table_model::state{}, nullm::always_open{}, nullm::ngram_drafter{}, sampler,
                          prompt, options);
    std::optional<token_id> last;
    while (!w.finished()) last = w.next().token;
    CHECK(last == table_model::end);
    CHECK(w.stopped_by() == table_model::end);
    CHECK(w.finish_reason() == wake_reason::end);
    CHECK(copy(w.text()) == dense);
    CHECK_THROWS_AS(w.next(), nullm::error);
    w.rewind(1);  // the stop token and one of the text
    CHECK_FALSE(w.finished());
    CHECK(w.finish_reason() == wake_reason::none);
    while (!w.finished()) w.next();
    CHECK(copy(w.text()) == dense);
}

TEST_CASE("a full context ends the text", "[generate]") {
    const table_model model;
    nullm::basic_writer w(model, table_model::state{.context = 7}, nullm::always_open{}, nullm::no_drafter{},
                          sampler, prompt, {});
    while (!w.finished()) w.next();
    CHECK(w.text().size() == 4);
    CHECK(w.finish_reason() == wake_reason::context);
}

TEST_CASE("a writer without a drafter pauses: its NULLs are no positions", "[generate]") {
    const table_model model;
    nullm::basic_writer w(model, table_model::state{}, hash_gate{}, nullm::no_drafter{}, sampler, prompt,
                          {.max_tokens = 3, .max_silence = 2});
    std::vector<std::int64_t> positions;
    std::vector<wake_reason> reasons;
    while (!w.finished()) {
        const step s = w.next();
        positions.push_back(s.position);
        reasons.push_back(s.reason);
        CHECK(s.pending == 0);
    }
    const auto none = wake_reason::none, loud = wake_reason::max_silence;
    CHECK(positions == std::vector<std::int64_t>{3, 3, 3, 4, 4, 4, 5, 5, 5});
    CHECK(reasons == std::vector{none, none, loud, none, none, loud, none, none, loud});
    CHECK(w.stats().pauses == 6);
    CHECK(w.stats().nulls == 0);
    CHECK(w.stats().emitted == 3);
    CHECK(copy(w.text()) == dense_text(model, {.max_tokens = 3}));
}

TEST_CASE("a writer refuses what it cannot begin with", "[generate]") {
    const table_model model;
    const auto begin = [&](std::vector<token_id> tokens, std::size_t context) {
        return nullm::basic_writer(model, table_model::state{.context = context}, nullm::always_open{},
                                   nullm::no_drafter{}, sampler, tokens, {});
    };
    CHECK_THROWS_AS(begin({}, 8), nullm::error);
    CHECK_THROWS_AS(begin({1, 2, 3}, 3), nullm::error);
    CHECK_THROWS_AS(begin({1}, 0), nullm::error);
    CHECK_THROWS_AS(begin({1, 5}, 8), nullm::error);
    CHECK_THROWS_AS(begin({-1}, 8), nullm::error);
    CHECK_NOTHROW(begin({1, 2, 3}, 4));
    auto w = begin({1}, 8);
    CHECK_THROWS_AS(w.rewind(1), nullm::error);
    scripted_drafter mad{.first = prompt.size()};
    mad.candidates[0] = nullm::draft{7, 1.0F};
    nullm::basic_writer misled(model, table_model::state{}, hash_gate{}, mad, sampler, prompt, {});
    CHECK_THROWS_AS(misled.next(), nullm::error);
    mad.candidates[0] = nullm::draft{1, 1.5F};
    nullm::basic_writer oversure(model, table_model::state{}, hash_gate{}, mad, sampler, prompt, {});
    CHECK_THROWS_AS(oversure.next(), nullm::error);
}

namespace {

/// Verbs in random order on a writer and on the reference; equal all the way, and the dense text at the end.
template <class Drafter>
void random_verbs(std::uint64_t run, Drafter drafter, const table_model& model,
                  nullm::writer_options options) {
    using reference_type =
        nullm::reference_writer<table_model, hash_gate, Drafter, nullm::temperature_sampler>;
    std::uint32_t draws = 0;
    const auto draw = [&](std::uint32_t below) { return nullm::draw_u32({.seed = run}, draws++) % below; };
    const hash_gate gate{.pattern = nullm::draw_u32({.seed = run + 9000}), .first = first};
    nullm::basic_writer w(model, table_model::state{}, gate, drafter, sampler, prompt, options);
    table_model::state scratch;
    std::optional<reference_type> reference;
    reference.emplace(reference_type{.model = model,
                                     .cache = scratch,
                                     .drafter = drafter,
                                     .sampler = sampler,
                                     .options = options,
                                     .gate = {gate},
                                     .tokens = prompt});
    reference->start();
    std::optional<typename decltype(w)::saved> saved;
    std::optional<reference_type> saved_reference;
    std::optional<view> saved_view;
    for (int i = 0; i < 120; ++i) {
        const std::uint32_t choice = draw(20);
        if (choice < 2) {
            const std::size_t n = draw(static_cast<std::uint32_t>(w.text().size()) + 1);
            w.rewind(n);
            reference->rewind(n);
        } else if (choice == 2) {
            saved = w.snapshot();
            saved_view = view_of(w);
            saved_reference.emplace(*reference);
        } else if (choice == 3 && saved) {
            w.restore(*saved);
            reference.emplace(*saved_reference);
            REQUIRE(view_of(w) == *saved_view);
        } else if (!w.finished()) {
            const bool forced = choice == 4;
            const seen_step slow(reference->next(forced)), fast(forced ? w.force() : w.next());
            REQUIRE(fast == slow);
        }
        REQUIRE(w.finished() == reference->finished());
        REQUIRE(w.cached() == reference->cached);
        REQUIRE(w.gate_state() == reference->gate.state());
        std::vector<token_id> all = copy(w.prompt());
        for (const token_id t : w.text()) all.push_back(t);
        for (const token_id t : w.provisional()) all.push_back(t);
        REQUIRE(all == reference->tokens);
        REQUIRE(w.stats().positions == w.text().size());
        REQUIRE(w.stats().emitted + w.stats().nulls == w.text().size());
    }
    while (!w.finished()) w.force();
    REQUIRE(copy(w.text()) == dense_text(model, options));
}

}  // namespace

TEST_CASE("rewind, snapshot and restore are what the reference says, in any order of verbs", "[generate]") {
    for (std::uint64_t run = 0; run < 300; ++run) {
        table_model model;
        model.end_position = run % 3 == 0 ? first + 12 : -1;
        nullm::writer_options options{.max_tokens = 16,
                                      .max_pending = static_cast<std::uint32_t>(run % 7),
                                      .max_silence = static_cast<std::uint32_t>(run % 4),
                                      .explore = static_cast<std::uint32_t>(run % 5),
                                      .seed = run};
        if (run % 3 == 0) options.stop_tokens = {table_model::end};
        auto drafter = right_drafter(dense_text(model, options));
        for (std::uint32_t i = 0; i < 16; ++i) {
            const std::uint32_t kind = nullm::draw_u32({.seed = run + 3000}, i) % 6;
            if (kind == 0) drafter.candidates[i].reset();
            if (kind == 1) drafter.candidates[i] = nullm::draft{static_cast<token_id>(i % 4), 0.75F};
            if (kind == 2) drafter.candidates[i] = nullm::draft{table_model::end, 0.75F};
        }
        random_verbs(run, drafter, model, options);
        random_verbs(run, nullm::ngram_drafter{}, model, options);
        random_verbs(run, nullm::no_drafter{}, model, options);
    }
}

TEST_CASE("a long text rewound over copies of the gate's state is as if never written", "[generate]") {
    const table_model model;
    const nullm::writer_options options{.max_tokens = 900, .seed = 2};
    const hash_gate gate{.pattern = 0x123456789ULL, .first = 40};
    const auto make = [&] {
        return nullm::basic_writer(model, table_model::state{.context = 1000}, gate, nullm::ngram_drafter{},
                                   sampler, prompt, options);
    };
    auto w = make();
    while (!w.finished()) w.next();
    const auto text = copy(w.text());
    const auto end_state = w.gate_state();
    for (const std::size_t n : {1U, 60U, 130U, 400U, 899U, 900U}) {
        w.rewind(n);
        CHECK(copy(w.text()) ==
              std::vector<token_id>(text.begin(), text.end() - static_cast<std::ptrdiff_t>(n)));
        while (!w.finished()) w.next();
        CHECK(copy(w.text()) == text);
    }
    // After a rewind to the prompt the whole run is repeated, gate and all.
    CHECK(w.gate_state() == end_state);
}

TEST_CASE("a step that fails leaves the writer as it was, and is repeated", "[generate]") {
    const table_model model;
    const nullm::writer_options options{.max_tokens = 9, .max_pending = 3};
    const auto dense = dense_text(model, options);
    auto drafter = right_drafter(dense);
    drafter.candidates[3]->candidate = (dense[3] + 1) % 4;
    drafter.candidates[5].reset();
    int failures = 0;
    const auto check = [&](auto chosen_drafter, std::uint64_t pattern, int kind) {
        for (std::int64_t failing = 0; failing < 12; ++failing) {
            const hash_gate gate{.pattern = pattern, .first = first};
            nullm::basic_writer expected(model, table_model::state{}, gate, chosen_drafter, sampler, prompt,
                                         options);
            table_faults faults;
            table_model faulty;
            faulty.faults = &faults;
            nullm::basic_writer w(faulty, table_model::state{}, gate, chosen_drafter,
                                  failing_sampler{kind == 2 ? first + failing : -1}, prompt, options);
            if (kind == 0) faults.throw_in = failing;
            if (kind == 1) faults.cancel_in = failing;
            while (!expected.finished()) {
                const bool forced =
                    nullm::drafts<decltype(chosen_drafter)> ? false : expected.stats().pauses % 3 == 2;
                const seen_step want(forced ? expected.force() : expected.next());
                const auto before = view_of(w);
                int caught = -1;
                std::optional<seen_step> got;
                try {
                    got.emplace(forced ? w.force() : w.next());
                } catch (const table_failure&) {
                    caught = 0;
                } catch (const nullm::cancelled&) {
                    caught = 1;
                } catch (const nullm::error&) {
                    caught = 2;
                }
                if (!got) {
                    ++failures;
                    REQUIRE(caught == kind);
                    REQUIRE(view_of(w) == before);
                    if (kind == 2) break;  // it would fail again
                    got.emplace(forced ? w.force() : w.next());
                }
                REQUIRE(*got == want);
                REQUIRE(view_of(w) == view_of(expected));
            }
        }
    };
    for (const int kind : {0, 1, 2}) {
        for (const std::uint64_t pattern : {0ULL, 0b010010ULL, 0b111111ULL}) {
            check(drafter, pattern, kind);
            check(nullm::no_drafter{}, pattern | 2, kind);
        }
    }
    CHECK(failures > 100);
}

TEST_CASE("request_cancel stops the next pass of a writer", "[generate]") {
    const table_model model;
    nullm::basic_writer w(model, table_model::state{}, nullm::always_open{}, nullm::no_drafter{}, sampler,
                          prompt, {});
    w.request_cancel();
    CHECK_THROWS_AS(w.next(), nullm::cancelled);
    CHECK(w.text().empty());
    CHECK(w.next().token);
}
