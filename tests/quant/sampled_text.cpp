#include <nullm/linear/native_linear.hpp>
#include <nullm/quant/sampled_text.hpp>

#include <model/llama_fixture.hpp>
#include <support/catch.hpp>

#include <algorithm>
#include <set>
#include <vector>

namespace {

using namespace llama_fixture;
using linear = nullm::native_linear<nullm::i16>;

TEST_CASE("sampled text is what the model alone would go on with, for any number of threads", "[quant]") {
    constexpr std::size_t windows = 3, window = 40;
    const synthetic_spec spec;
    const synthetic made(spec);
    const nullm::tokenizer tokens(made.file.vocabulary());
    nullm::thread_pool one(1), three(3);
    std::vector<std::size_t> seen;
    const auto text = nullm::sample_text<linear>(made.file, tokens, windows, window, 9, one,
                                                 [&](std::size_t done) { seen.push_back(done); });
    CHECK(seen.size() == window);
    CHECK(seen.back() == windows * window);
    REQUIRE(text.size() == windows * window);
    CHECK(nullm::sample_text<linear>(made.file, tokens, windows, window, 9, three) == text);
    CHECK(nullm::sample_text<linear>(made.file, tokens, windows, window, 10, three) != text);
    // More windows go on, they do not change the first.
    const auto more = nullm::sample_text<linear>(made.file, tokens, 50, window, 9, three);
    CHECK(std::equal(text.begin(), text.end(), more.begin()));

    const model_of<linear> model(made.file);
    const nullm::temperature_sampler sampler;
    const std::size_t given = tokens.find("<|endoftext|>") || tokens.bos() ? 2 : 1;
    for (const std::size_t w : {0, 1, 2}) {
        const auto mine = std::span(text).subspan(w * window, window);
        model_of<linear>::state session(model, {.threads = 1});
        for (std::size_t p = 0; p + 1 < window; ++p) {
            const auto logits = model.forward(session, mine.subspan(p, 1), 1);
            if (p + 1 < given) continue;
            const nullm::draw_key key{.seed = 9,
                                      .stream = nullm::draw_stream::sampler,
                                      .position = static_cast<std::int64_t>(w * window + p + 1)};
            REQUIRE(mine[p + 1] == sampler.sample(logits.row(0), key));
        }
    }
}

TEST_CASE("each sampled text begins with a word of its own", "[quant]") {
    constexpr std::size_t windows = 16, window = 2;
    const synthetic_spec spec;
    const synthetic made(spec);
    const nullm::tokenizer tokens(made.file.vocabulary());
    nullm::thread_pool one(1);
    const auto text = nullm::sample_text<linear>(made.file, tokens, windows, window, 1, one);
    const bool opened = tokens.find("<|endoftext|>") || tokens.bos();
    std::set<token_id> first;
    for (std::size_t w = 0; w < windows; ++w) {
        const token_id word = text[w * window + (opened ? 1 : 0)];
        CHECK_FALSE(tokens.is_control(word));
        CHECK_FALSE(tokens.piece(word).empty());
        first.insert(word);
        if (opened) CHECK(text[w * window] == text[0]);
    }
    CHECK(first.size() > windows / 2);
}

}  // namespace
