#include <nullm/generate/gate_history.hpp>
#include <nullm/generate/gate_log.hpp>

#include <nullm/core/random.hpp>

#include <support/catch.hpp>
#include <support/hash_gate.hpp>

#include <cstdint>

using nullm::gate_history;
using nullm::gate_log;
using nullm::token_id;
using support::hash_gate;

TEST_CASE("a rewound gate is as if it had never been told more, however long the log", "[generate]") {
    for (std::uint64_t run = 0; run < 40; ++run) {
        std::uint32_t draws = 0;
        const auto draw = [&](std::uint32_t below) {
            return nullm::draw_u32({.seed = run}, draws++) % below;
        };
        gate_log<hash_gate> log(hash_gate{}, 3);
        gate_history<hash_gate> history{hash_gate{}};
        std::int64_t position = 0, oldest = 0, marked = -1;
        for (int i = 0; i < 400; ++i) {
            const std::uint32_t choice = draw(60);
            if (choice == 0) {
                position = oldest + draw(static_cast<std::uint32_t>(position - oldest) + 1);
                log.rewind(position, position);
                history.undo(position, position);
                if (marked >= position) marked = -1;
            } else if (choice == 1) {
                log.mark(position);
                if (marked >= 0) oldest = marked;
                marked = position;
            } else if (choice == 2) {
                log.forget(position);
                oldest = position;
                marked = -1;
            } else if (choice < 10) {  // candidates that are taken back
                const auto before = log.state().now;
                const std::uint32_t n = draw(4);
                for (std::uint32_t c = 0; c < n; ++c)
                    log.step(static_cast<token_id>(draw(9)), position + c, 0.5F);
                log.take_back(n, before);
            } else {
                for (std::uint32_t n = 1 + draw(6); n > 0; --n, ++position) {
                    const auto token = static_cast<token_id>(draw(100));
                    const float confidence = static_cast<float>(draw(8)) / 8;
                    const auto said = log.step(token, position, confidence, n % 3);
                    const auto expected = history.step({token, position, confidence, n % 3, 3});
                    REQUIRE(said.fire == expected.fire);
                    log.settle(token, position, n % 2 == 0);
                    history.settle(token, position, n % 2 == 0);
                }
                log.keep_copy(position);
            }
            REQUIRE(log.oldest() == oldest);
            REQUIRE(log.state() == history.state());
        }
    }
}

TEST_CASE("steps and settles may be taken back to different positions", "[generate]") {
    // A writer that pauses: each position is settled first and stepped, perhaps often, afterwards.
    gate_log<hash_gate> log(hash_gate{}, 0);
    gate_history<hash_gate> history{hash_gate{}};
    for (std::int64_t p = 0; p < 300; ++p) {
        log.settle(static_cast<token_id>(p % 7), p, true);
        history.settle(static_cast<token_id>(p % 7), p, true);
        for (std::uint32_t repeat = 0; repeat < p % 4; ++repeat) {
            log.step(static_cast<token_id>(p % 7), p, 1.0F, repeat);
            history.step({static_cast<token_id>(p % 7), p, 1.0F, repeat, 0});
        }
        log.keep_copy(p + 1);
    }
    for (const std::int64_t end : {299, 280, 160, 3}) {
        log.rewind(end, end - 1);
        history.undo(end, end - 1);
        CHECK(log.state() == history.state());
    }
}
