#include <nullm/core/in_quotes.hpp>

#include <support/catch.hpp>

#include <string>

using nullm::in_quotes;

TEST_CASE("quoted text carries no control codes and is short", "[core]") {
    REQUIRE(in_quotes("llama") == "\"llama\"");
    REQUIRE(in_quotes("a\"b\\c\x1b[2J\n") == "\"a\\x22b\\x5cc\\x1b[2J\\x0a\"");
    REQUIRE(in_quotes("\xC4\xA0") == "\"\\xc4\\xa0\"");
    REQUIRE(in_quotes(std::string(1000, 'x')) == "\"" + std::string(64, 'x') + "...\"");
}
