#include <nullm/text/special_matcher.hpp>

#include <support/catch.hpp>

#include <string>
#include <vector>

namespace {

struct fixture {
    nullm::token_bytes tokens;
    nullm::special_matcher matcher;

    explicit fixture(const std::vector<std::string>& texts) {
        std::vector<nullm::token_id> ids;
        for (const auto& text : texts) {
            ids.push_back(static_cast<nullm::token_id>(tokens.size()));
            tokens.push_back(text);
        }
        matcher = nullm::special_matcher(ids, tokens);
    }
    auto find(std::string_view text, bool more = false) const { return matcher.find(text, 0, tokens, more); }
};

}  // namespace

TEST_CASE("the leftmost special token wins, and the longest of those", "[text]") {
    const fixture set({"<a>", "<a>b", "a>"});
    CHECK(set.find("x<a>bc").id == 1);
    CHECK(set.find("x<a>bc").at == 1);
    CHECK(set.find("x<a>c").id == 0);
    CHECK(set.find("xa>").id == 2);
    CHECK(set.find("xyz").length == 0);
    CHECK(set.find("xyz").at == 3);
    CHECK(set.find("").at == 0);
    CHECK(fixture({}).find("<a>").at == 3);
}

TEST_CASE("what may become a special token stops the search while more may follow", "[text]") {
    const fixture set({"<a>", "<a>b"});
    CHECK(set.find("xy<", true).at == 2);
    CHECK(set.find("xy<", true).length == 0);
    CHECK(set.find("xy<a>", true).at == 2);  // "<a>b" is still possible
    CHECK(set.find("xy<a>", true).length == 0);
    CHECK(set.find("xy<a>c", true).id == 0);
    CHECK(set.find("xy<", false).at == 3);
    CHECK(set.find("<b<a", true).at == 2);
}
