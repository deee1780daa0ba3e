#include <nullm/io/gguf_array.hpp>
#include <support/catch.hpp>
#include <support/gguf_writer.hpp>

#include <iterator>
#include <vector>

TEST_CASE("numbers are read at any alignment", "[io]") {
    support::bytes content(1);
    for (const std::int32_t n : {5, -6, 7}) support::append(content, n);
    const nullm::gguf_numbers<std::int32_t> numbers(content.data() + 1, 3);
    REQUIRE(numbers.size() == 3);
    REQUIRE(numbers[0] == 5);
    REQUIRE(numbers[1] == -6);
    REQUIRE(numbers[2] == 7);
}

TEST_CASE("strings are a forward range of views into the bytes", "[io]") {
    support::bytes content(3);
    const std::vector<std::string> words = {"", "a", "", "longer than a short string"};
    for (const auto& word : words) support::append_text(content, word);
    const nullm::gguf_strings strings(content.data() + 3, words.size());
    static_assert(std::forward_iterator<nullm::gguf_strings::iterator>);
    REQUIRE(strings.size() == 4);
    for (int pass = 0; pass < 2; ++pass) {
        REQUIRE(std::vector<std::string>(strings.begin(), strings.end()) == words);
    }
    const nullm::gguf_strings none;
    REQUIRE(none.begin() == none.end());
}
