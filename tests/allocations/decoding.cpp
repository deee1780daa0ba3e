#include <nullm/generate/session.hpp>
#include <nullm/generate/span_gate.hpp>
#include <nullm/linear/nf4_linear.hpp>

#include <io/allocation_counter.hpp>
#include <model/llama_fixture.hpp>
#include <support/catch.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

// Whatever a decoding loop needs it keeps: what it did once it does again without allocating. The first time,
// memory grows: activations to the largest batch, the cache by a chunk for every 256 positions (one is kept
// in reserve), the texts and the gate's log with the text. A reader's restart, once in half a context, is not
// covered, nor is temperature_sampler, which ranks in memory of its own.

using llama_fixture::random_tokens;
using llama_fixture::synthetic;
using llama_fixture::synthetic_spec;
using nullm::token_id;
using support::allocation_counter;

namespace {

synthetic_spec spec_with_words() {
    synthetic_spec spec;
    spec.vocabulary = 700;  // holds words of grammar, which the gate's drive asks for
    return spec;
}

/// A text that repeats itself, so that the drafter has something to propose.
std::vector<token_id> repeated_words(std::size_t count, std::size_t vocabulary) {
    const auto words = random_tokens(9, vocabulary, 4);
    std::vector<token_id> tokens;
    for (std::size_t i = 0; i < count; ++i) tokens.push_back(words[i % 7 + i / 40 % 3]);
    return tokens;
}

template <class F>
std::size_t bytes_allocated(const F& work) {
    allocation_counter::reset();
    work();
    return allocation_counter::total();
}

template <class Linear>
void check_forward() {
    const synthetic made(spec_with_words());
    const nullm::llama<Linear, nullm::exact_attention<nullm::f16>> model(made.file, {.threads = 2});
    typename decltype(model)::state state(model, {.threads = 2});
    const auto tokens = random_tokens(400, model.vocabulary());
    const std::span<const token_id> all(tokens);
    const auto pass = [&](std::size_t first, std::size_t m) {
        model.truncate(state, first);
        model.forward(state, all.subspan(first, m), std::min<std::size_t>(m, 16));
    };
    // Never back to 0: with nothing to hold the cache keeps one chunk, not two.
    constexpr std::size_t firsts[] = {1, 200, 252, 299};
    constexpr std::size_t sizes[] = {300, 64, 16, 9, 8, 7, 4, 3, 2, 1};
    pass(0, 1);
    for (const std::size_t first : firsts) {
        for (const std::size_t m : sizes) pass(first, std::min(m, 400 - first));
    }
    for (const std::size_t first : firsts) {
        for (const std::size_t m : sizes) {
            INFO(m << " tokens at " << first);
            CHECK(bytes_allocated([&] { pass(first, std::min(m, 400 - first)); }) == 0);
        }
    }
}

}  // namespace

TEST_CASE("the counter sees what is allocated", "[allocations]") {
    // By name: a new-expression whose result nobody sees may be left out.
    CHECK(bytes_allocated([] { ::operator delete(::operator new(28)); }) >= 28);
}

TEST_CASE("a pass of a size seen before allocates nothing", "[allocations]") {
    check_forward<nullm::native_linear<nullm::i16>>();
    check_forward<nullm::nf4_linear<64, nullm::i8>>();
}

TEST_CASE("a writer that goes on allocates nothing", "[allocations]") {
    const synthetic made(spec_with_words());
    const nullm::tokenizer words(made.file.vocabulary());
    const nullm::model_of<nullm::quiet> model(made.file, {.threads = 2});
    const auto prompt = repeated_words(60, model.vocabulary());
    for (const float theta : {0.8F, 1.0F}) {
        INFO("theta " << theta);
        auto writer =
            nullm::write<nullm::quiet>(model, nullm::make_gate<nullm::quiet>(made.file, words, {theta}),
                                       prompt, {.max_tokens = 240, .explore = 31, .seed = 3}, {.threads = 2});
        const auto write_all = [&] {
            while (!writer.finished()) writer.next();
        };
        write_all();
        const auto stats = writer.stats();
        CHECK(stats.nulls > 20);
        CHECK(stats.passes > 20);
        writer.rewind(240);
        CHECK(bytes_allocated(write_all) == 0);
        CHECK(writer.text().size() == 240);
        for (const std::size_t back : {1UL, 20UL, 200UL}) {
            CHECK(bytes_allocated([&] {
                      writer.rewind(back);
                      write_all();
                  }) == 0);
        }
    }
}

TEST_CASE("a reader that goes on allocates nothing", "[allocations]") {
    const synthetic made(spec_with_words());
    const nullm::tokenizer words(made.file.vocabulary());
    const nullm::model_of<nullm::quiet> model(made.file, {.threads = 2});
    const auto text = random_tokens(300, model.vocabulary());
    for (const float theta : {0.8F, 1.0F}) {
        INFO("theta " << theta);
        auto reader =
            nullm::read<nullm::quiet>(model, nullm::make_gate<nullm::quiet>(made.file, words, {theta}),
                                      {.seed = 3, .max_pending = 40, .explore = 31}, {.threads = 2});
        reader.push(text.front());  // never back to 0, as above
        const auto read_all = [&] {
            for (const token_id token : text) reader.push(token);
            reader.commit();
            reader.force();
        };
        read_all();
        CHECK(reader.stats().emitted > 3);
        CHECK(reader.stats().nulls > 3);
        reader.rewind(text.size());
        CHECK(bytes_allocated(read_all) == 0);
        CHECK(bytes_allocated([&] {
                  reader.rewind(150);
                  for (std::size_t i = 150; i < text.size(); ++i) reader.push(text[i]);
              }) == 0);
    }
}

TEST_CASE("a reader that drops line after line allocates nothing", "[allocations]") {
    const synthetic made(spec_with_words());
    const nullm::tokenizer words(made.file.vocabulary());
    const nullm::model_of<nullm::quiet> model(made.file, {.threads = 2});
    const nullm::span_gate gate(nullm::make_gate<nullm::quiet>(made.file, words),
                                nullm::fixed_threshold(1.0F), {.carry = 0.0F});
    nullm::basic_reader reader(model, nullm::model_of<nullm::quiet>::state(model, {.threads = 2}), gate,
                               nullm::greedy{}, {.seed = 3, .discard = true, .never_drop = {5}});
    const auto text = random_tokens(2000, model.vocabulary());
    const auto read_lines = [&](std::size_t begin, std::size_t end) {
        for (std::size_t i = begin; i < end; ++i) {
            reader.push(text[i] == 5 ? 6 : text[i]);
            if (i % 13 == 12) reader.end_span();
        }
    };
    read_lines(0, 650);
    CHECK(bytes_allocated([&] { read_lines(650, 1950); }) == 0);
    CHECK(reader.stats().spans == 150);
    CHECK(reader.stats().kept() == 1);
}
