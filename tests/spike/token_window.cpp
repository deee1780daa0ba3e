#include <nullm/spike/token_window.hpp>

#include <support/catch.hpp>

using nullm::gate_input;
using nullm::stepped_window;
using nullm::token_window;

TEST_CASE("a window holds the last eight tokens, the newest first", "[spike][window]") {
    token_window window;
    CHECK(window[0] == -1);
    for (nullm::token_id token = 0; token < 12; ++token) window.push(token);
    for (std::size_t back = 0; back < token_window::length; ++back) {
        CHECK(window[back] == 11 - static_cast<nullm::token_id>(back));
    }
}

TEST_CASE("the token of the position before is context of the next one", "[spike][window]") {
    stepped_window window;
    for (std::int64_t position = 0; position < 5; ++position) {
        const gate_input input{.token = static_cast<nullm::token_id>(10 + position), .position = position};
        const token_window context = window.context_of(input);
        window.step(input);
        CHECK(context == window.before);
        CHECK(context[0] == (position == 0 ? -1 : 9 + position));
    }
}

TEST_CASE("a position that is stepped again has the same context as before", "[spike][window]") {
    stepped_window window;
    window.step({.token = 1, .position = 0});
    window.step({.token = 2, .position = 1});
    const token_window before = window.before;
    window.step({.token = 2, .position = 1, .repeat = 1});
    CHECK(window.before == before);
    window.step({.token = 3, .position = 2});
    CHECK(window.before[0] == 2);
    CHECK(window.before[1] == 1);
    CHECK(window.before[2] == -1);
}
