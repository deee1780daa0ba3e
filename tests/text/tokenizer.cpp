#include <nullm/text/tokenizer.hpp>

#include <support/catch.hpp>
#include <support/golden.hpp>
#include <text/model.hpp>
#include <text/vocabularies.hpp>

#include <algorithm>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace {

using ids = std::vector<nullm::token_id>;

/// Merging as its definition reads, over strings: the lowest rank, the leftmost of equals, one at a time.
std::vector<std::string> merge_slowly(const nullm::bpe_vocabulary& vocabulary, const std::string& word) {
    static std::map<const nullm::bpe_vocabulary*, std::map<std::pair<std::string, std::string>, std::size_t>>
        all;
    auto& ranks = all[&vocabulary];
    if (ranks.empty()) {
        for (std::size_t rank = 0; rank < vocabulary.merges.size(); ++rank) {
            const auto& line = vocabulary.merges[rank];
            const auto space = line.find(' ');
            ranks[{*nullm::from_byte_alphabet(line.substr(0, space)),
                   *nullm::from_byte_alphabet(line.substr(space + 1))}] = rank;
        }
    }
    std::vector<std::string> parts;
    for (const char c : word) parts.emplace_back(1, c);
    for (;;) {
        std::size_t best = ranks.size(), at = 0;
        for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
            const auto found = ranks.find({parts[i], parts[i + 1]});
            if (found != ranks.end() && found->second < best) {
                best = found->second;
                at = i;
            }
        }
        if (best == ranks.size()) return parts;
        parts[at] += parts[at + 1];
        parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    }
}

nullm::bpe_vocabulary tiny() {
    nullm::bpe_vocabulary vocabulary;
    vocabulary.tokens = {"a", "b", "ab", "<s>"};
    vocabulary.merges = {"a b"};
    vocabulary.token_types = {1, 1, 1, 3};
    vocabulary.pre_tokenizer = "gpt-2";
    return vocabulary;
}

std::string complaint(const nullm::bpe_vocabulary& vocabulary) {
    return text_test::complaint_of([&] { nullm::tokenizer{vocabulary}; });
}

}  // namespace

TEST_CASE("encoding is the merging of each pre-token by its definition", "[text]") {
    for (const auto& name : text_test::pre_tokenizer_names) {
        const auto vocabulary = text_test::small_vocabulary(name);
        const nullm::tokenizer tokenizer(vocabulary);
        std::mt19937 random(5);
        for (int i = 0; i < 1500; ++i) {
            const std::string text = text_test::random_text(random, 40);
            ids expected;
            for (std::size_t at = 0; at < text.size();) {
                const std::size_t end = tokenizer.splitter().match(text, at).end;
                const std::string word = text.substr(at, end - at);
                at = end;
                const auto whole = tokenizer.find(word);
                if (name == "llama-bpe" && whole) {
                    expected.push_back(*whole);
                    continue;
                }
                for (const auto& part : merge_slowly(vocabulary, word))
                    expected.push_back(*tokenizer.find(part));
            }
            REQUIRE(tokenizer.encode(text) == expected);
            REQUIRE(tokenizer.decode(expected) == text);
        }
    }
}

TEST_CASE("llama-bpe takes a pre-token that is a token whole, even where merges do not lead to it",
          "[text]") {
    nullm::bpe_vocabulary vocabulary = tiny();
    vocabulary.tokens.push_back("aab");  // no merge makes it
    vocabulary.token_types.push_back(1);
    CHECK(nullm::tokenizer(vocabulary).encode("aab") == ids{0, 2});
    vocabulary.pre_tokenizer = "llama-bpe";
    CHECK(nullm::tokenizer(vocabulary).encode("aab") == ids{4});
}

TEST_CASE("text becomes a control token only if asked, a user-defined one always", "[text]") {
    const nullm::tokenizer tokenizer(text_test::small_vocabulary("gpt-2", 50, true));
    const auto start = *tokenizer.find("<|im_start|>"), tool = *tokenizer.find("<tool>"),
               two = *tokenizer.find("12");
    const auto plain = tokenizer.encode("<|im_start|>x");
    CHECK(std::count(plain.begin(), plain.end(), start) == 0);
    CHECK(tokenizer.decode(plain) == "<|im_start|>x");
    CHECK(tokenizer.encode("<|im_start|>x", nullm::special_tokens::parse) == ids{start, 'x'});
    CHECK(tokenizer.encode("<tool>x") == ids{tool, 'x'});
    CHECK(tokenizer.encode("3124") == ids{'3', two, '4'});
    CHECK(tokenizer.is_control(start));
    CHECK(!tokenizer.is_control(tool));
    CHECK(!tokenizer.is_control('x'));
}

TEST_CASE("stop tokens are the ends of a text and of a turn that the vocabulary has", "[text]") {
    auto vocabulary = text_test::small_vocabulary("gpt-2", 0);
    const nullm::tokenizer tokenizer(vocabulary);
    CHECK(tokenizer.stop_tokens() == ids{257, 258});
    CHECK(tokenizer.bos() == 256);
    CHECK(tokenizer.eos() == 257);
    CHECK(!tokenizer.eot());
    CHECK(!tokenizer.add_bos());
    CHECK(tokenizer.size() == 259);
    vocabulary.eos.reset();
    vocabulary.eot = 7;
    CHECK(nullm::tokenizer(vocabulary).stop_tokens() == ids{7, 257, 258});
}

TEST_CASE("a vocabulary without types has its begin and end as control tokens", "[text]") {
    auto vocabulary = tiny();
    vocabulary.token_types.clear();
    vocabulary.eos = 3;
    const nullm::tokenizer tokenizer(vocabulary);
    CHECK(tokenizer.is_control(3));
    CHECK(tokenizer.encode("ab<s>a", nullm::special_tokens::parse) == ids{2, 3, 0});
}

TEST_CASE("bytes without a token vanish before merging, and can be asked for", "[text]") {
    const nullm::tokenizer tokenizer(tiny());
    CHECK(tokenizer.encode("axb") == ids{2});  // as Hugging Face without an unk_token: the neighbours merge
    CHECK(tokenizer.first_lost_byte("axb") == 1);
    CHECK(!tokenizer.first_lost_byte("abba"));
    CHECK(tokenizer.encode("xyz").empty());
}

TEST_CASE("empty text, NUL bytes and unused tokens are ordinary", "[text]") {
    auto vocabulary = text_test::small_vocabulary("smollm", 0);
    vocabulary.tokens.insert(vocabulary.tokens.end(), {"[PAD]", "[PAD]", "", "<0x0A>"});
    vocabulary.token_types.insert(vocabulary.token_types.end(), {5, 5, 5, 6});
    const nullm::tokenizer tokenizer(vocabulary);
    CHECK(tokenizer.encode("").empty());
    CHECK(tokenizer.decode({}).empty());
    CHECK(tokenizer.encode(std::string(3, '\0')) == ids{0, 0, 0});
    CHECK(tokenizer.piece(259).empty());
    CHECK(tokenizer.piece(262) == "\n");
    CHECK(!tokenizer.find("[PAD]"));
    CHECK(tokenizer.encode("[PAD]").size() == 5);
}

TEST_CASE("malformed UTF-8 is refused with its offset", "[text]") {
    const nullm::tokenizer tokenizer(text_test::small_vocabulary("gpt-2", 0));
    CHECK(text_test::mentions(text_test::complaint_of([&] { tokenizer.encode("abc\xE4\xB8"); }),
                              {"byte 3"}));  // cut
    CHECK(text_test::mentions(text_test::complaint_of([&] { tokenizer.encode("0123456789\xED\xA0\x80"); }),
                              {"byte 10"}));  // lone surrogate
    CHECK(text_test::mentions(text_test::complaint_of([&] { tokenizer.encode("\xC0\x80"); }),
                              {"byte 0"}));  // overlong
    CHECK_THROWS_AS(tokenizer.encode("\xF4\x90\x80\x80"), nullm::error);
}

TEST_CASE("ids outside the vocabulary are refused", "[text]") {
    const nullm::tokenizer tokenizer(tiny());
    CHECK_THROWS_AS(tokenizer.piece(4), nullm::error);
    CHECK_THROWS_AS(tokenizer.piece(-1), nullm::error);
    CHECK_THROWS_AS(tokenizer.is_control(4), nullm::error);
    CHECK_THROWS_AS(tokenizer.decode(ids{0, std::numeric_limits<nullm::token_id>::max()}), nullm::error);
}

TEST_CASE("a megabyte of one letter is one pre-token and is merged without quadratic work", "[text]") {
    const nullm::tokenizer tokenizer(text_test::small_vocabulary("smollm"));
    const std::string text(1 << 20, 'a');
    const auto found = tokenizer.encode(text);
    CHECK(found.size() < text.size());
    CHECK(tokenizer.decode(found) == text);
    const std::string spaces(1 << 20, ' '), lines(1 << 20, '\n');
    CHECK(tokenizer.decode(tokenizer.encode(spaces)) == spaces);
    CHECK(tokenizer.decode(tokenizer.encode(lines)) == lines);
}

TEST_CASE("a token too long to be looked up directly is still found by merging", "[text]") {
    nullm::bpe_vocabulary vocabulary;
    vocabulary.pre_tokenizer = "gpt-2";
    vocabulary.tokens = {"a"};
    for (int i = 0; i < 12; ++i) {
        vocabulary.merges.push_back(vocabulary.tokens.back() + " " + vocabulary.tokens.back());
        vocabulary.tokens.push_back(vocabulary.tokens.back() + vocabulary.tokens.back());
    }
    const nullm::tokenizer tokenizer(vocabulary);
    CHECK(tokenizer.encode(std::string(4096, 'a')) == ids{12});
    CHECK(tokenizer.encode(std::string(4096 + 1024 + 1, 'a')) == ids{12, 10, 0});
}

TEST_CASE("a tokenizer can be copied, and the copy outlives the original", "[text]") {
    auto original = std::optional<nullm::tokenizer>(tiny());
    const nullm::tokenizer copy = *original;
    original.reset();
    CHECK(copy.encode("ab<s>", nullm::special_tokens::parse) == ids{2, 3});
}

TEST_CASE("a vocabulary that contradicts itself is refused with a sentence", "[text]") {
    CHECK(complaint(tiny()).empty());
    auto v = tiny();
    v.tokens.clear();
    v.token_types.clear();
    v.merges.clear();
    CHECK(text_test::mentions(complaint(v), {"at least one token"}));
    v = tiny();
    v.token_types.pop_back();
    CHECK(text_test::mentions(complaint(v), {"4 token types", "found 3"}));
    v = tiny();
    v.token_types[1] = 9;
    CHECK(text_test::mentions(complaint(v), {"token 1", "found 9"}));
    v = tiny();
    v.tokens[1] = "a";
    CHECK(text_test::mentions(complaint(v), {"distinct tokens"}));
    v = tiny();
    v.tokens[0] = "a b";
    CHECK(text_test::mentions(complaint(v), {"byte-level alphabet", "a b"}));
    v = tiny();
    v.tokens[0] = "";
    CHECK(text_test::mentions(complaint(v), {"token 0"}));
    v = tiny();
    v.tokens[3] = "<\xFF>";
    CHECK(text_test::mentions(complaint(v), {"valid UTF-8"}));
    v = tiny();
    v.token_types[0] = 6;
    CHECK(text_test::mentions(complaint(v), {"<0x0A>"}));
    for (const char* merge :
         {"ab", "", " ", "a b a", "a  b", "a c", "a <s>", "b a", "a \xE4\xB8\xAD", "a \xFF"}) {
        v = tiny();
        v.merges.emplace_back(merge);
        CAPTURE(merge);
        CHECK(text_test::mentions(complaint(v), {"merge 1"}));
    }
    v = tiny();
    v.merges.emplace_back("a b");
    CHECK(text_test::mentions(complaint(v), {"distinct merges"}));
    for (const nullm::token_id id : {-1, 4, std::numeric_limits<nullm::token_id>::min()}) {
        v = tiny();
        v.bos = id;
        CHECK(text_test::mentions(complaint(v), {"bos"}));
        v = tiny();
        v.eos = id;
        CHECK(text_test::mentions(complaint(v), {"eos"}));
        v = tiny();
        v.eot = id;
        CHECK(text_test::mentions(complaint(v), {"eot"}));
    }
    v = tiny();
    v.pre_tokenizer = "bert";
    CHECK(text_test::mentions(complaint(v), {"bert"}));
}

TEST_CASE("SmolLM2's ids are the reference's", "[text][model]") {
    const auto model = text_test::model();
    if (!model) return;
    const nullm::tokenizer tokenizer(model->vocabulary());
    CHECK(tokenizer.size() == 49152);
    CHECK(tokenizer.stop_tokens() == ids{0, 2});
    for (const auto& entry : golden::read_json("smollm2_tokenizer.json")) {
        const auto text = entry["text"].get<std::string>();
        const auto expected = entry["ids"].get<ids>();
        CAPTURE(text);
        CHECK(tokenizer.encode(text, nullm::special_tokens::parse) == expected);
        CHECK(tokenizer.decode(expected) == entry["decoded"].get<std::string>());
        CHECK(tokenizer.decode(tokenizer.encode(text)) == text);
    }
}

TEST_CASE("SmolLM2's vocabulary carries random text there and back, except for its missing bytes",
          "[text][model]") {
    const auto model = text_test::model();
    if (!model) return;
    const nullm::tokenizer tokenizer(model->vocabulary());
    std::mt19937 random(9);
    int lossless = 0;
    for (int i = 0; i < 3000; ++i) {
        const std::string text = text_test::random_text(random, 40);
        std::string kept;
        for (const char c : text) {
            if (!tokenizer.first_lost_byte({&c, 1})) kept += c;
        }
        REQUIRE(tokenizer.decode(tokenizer.encode(text)) == kept);
        REQUIRE((kept == text) == !tokenizer.first_lost_byte(text));
        lossless += kept == text;
    }
    CHECK(lossless > 1000);
}
