#include <nullm/spike/phrase_set.hpp>

#include <support/catch.hpp>

using nullm::phrase_set;
using nullm::token_id;
using nullm::token_window;

namespace {

token_window window_of(std::initializer_list<token_id> tokens) {
    token_window window;
    for (const token_id token : tokens) window.push(token);
    return window;
}

}  // namespace

TEST_CASE("a phrase ends where its last token follows all of its others", "[spike][phrases]") {
    const phrase_set phrases({{5}, {1, 2, 3}, {2, 2}}, 100, "words");
    CHECK(phrases.ends_at({}, 5));
    CHECK(phrases.ends_at(window_of({9, 1, 2}), 3));
    CHECK(phrases.ends_at(window_of({1, 2}), 3));
    CHECK_FALSE(phrases.ends_at(window_of({2}), 3));  // the text is too short for it
    CHECK_FALSE(phrases.ends_at(window_of({1, 9, 2}), 3));
    CHECK_FALSE(phrases.ends_at(window_of({1}), 2));
    CHECK(phrases.ends_at(window_of({1, 2}), 2));
    CHECK_FALSE(phrases.ends_at(window_of({1, 2, 3}), 4));
}

TEST_CASE("phrases that end alike are all looked at", "[spike][phrases]") {
    const phrase_set phrases({{1, 7}, {2, 7}, {3, 3, 7}}, 100, "words");
    CHECK(phrases.ends_at(window_of({1}), 7));
    CHECK(phrases.ends_at(window_of({2}), 7));
    CHECK(phrases.ends_at(window_of({3, 3}), 7));
    CHECK_FALSE(phrases.ends_at(window_of({2, 3}), 7));
}

TEST_CASE("no phrases end nowhere", "[spike][phrases]") {
    CHECK_FALSE(phrase_set().ends_at(window_of({1}), 2));
    CHECK_FALSE(phrase_set({}, 10, "words").ends_at({}, 0));
}

TEST_CASE("a phrase that could never be met is refused", "[spike][phrases]") {
    CHECK_THROWS_AS(phrase_set({{}}, 10, "words"), nullm::error);
    CHECK_THROWS_AS(phrase_set({{10}}, 10, "words"), nullm::error);
    CHECK_THROWS_AS(phrase_set({{1, -1}}, 10, "words"), nullm::error);
    CHECK_THROWS_AS(phrase_set({std::vector<token_id>(10, 1)}, 10, "words"), nullm::error);
    CHECK_NOTHROW(phrase_set({std::vector<token_id>(9, 1)}, 10, "words"));
}
