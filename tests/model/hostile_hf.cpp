// Damaged configs, tokenizers, indexes and model files: each ends in a model or in one sentence.

#include "hf_files.hpp"
#include "llama_fixture.hpp"

#include <nullm/model/open_checkpoint.hpp>
#include <nullm/text/tokenizer.hpp>
#include <support/catch.hpp>
#include <support/hostile.hpp>

#include "../io/scratch_directory.hpp"

#include <algorithm>
#include <string>

namespace {

using support::dice;
using support::survives;

constexpr std::uint64_t damage_seed = 11;

/// Changes a byte, cuts, repeats a piece, or puts in what JSON is made of.
void mutate(std::string& text, dice& roll) {
    static const std::string words[] = {"null", "true", "{", "}", "[",  "]",    "\"", ",", ":", "-1",
                                        "1e999", "0", "18446744073709551616", "\\u0000", "\xff", "\"\""};
    const std::size_t at = roll.below(text.size());
    switch (roll.below(4)) {
        case 0:
            if (!text.empty()) text[at] = static_cast<char>(roll.below(256));
            break;
        case 1:
            text.erase(at, 1 + roll.below(20));
            break;
        case 2:
            text.insert(roll.below(text.size()), text.substr(at, roll.below(60)));
            break;
        default:
            text.insert(at, words[roll.below(std::size(words))]);
    }
}

/// A vocabulary of few tokens, so that a hundred thousand of them take seconds.
nullm::bpe_vocabulary small_vocabulary() {
    nullm::bpe_vocabulary made;
    made.tokens = {"<s>", "</s>", "<x>", "a", "b", "c", "ab", "abc"};
    made.token_types = {3, 3, 4, 1, 1, 1, 1, 1};
    made.merges = {"a b", "ab c"};
    made.pre_tokenizer = "smollm";
    made.bos = 0;
    made.eos = 1;
    return made;
}

constexpr std::size_t rows = 10;  // two more than there are tokens

void read_config(const std::string& text) {
    static_cast<void>(nullm::read_hf_config(text, "folder config.json"));
}
void read_words(const std::string& tokenizer, const std::string& config) {
    const nullm::tokenizer words(nullm::read_hf_vocabulary({tokenizer, config}, rows, "folder"));
    static_cast<void>(words.encode("abcab"));
    static_cast<void>(nullm::read_hf_chat_template(config, "folder"));
}

}  // namespace

TEST_CASE("every proper prefix of a folder's texts is refused", "[model][hostile]") {
    const llama_fixture::synthetic gguf(hf_files::plain_spec());
    const std::string config = hf_files::texts(gguf.file).at("config.json");
    const auto words = nullm::write_hf_tokenizer(small_vocabulary(), 64, "a template");
    REQUIRE(survives([&] { read_config(config); }));
    REQUIRE(survives([&] { read_words(words.tokenizer, words.config); }));
    // The texts end in a line feed, which is no part of their JSON.
    for (std::size_t n = 0; n < config.size(); ++n) {
        CHECK_FALSE(survives([&] { read_config(config.substr(0, n)); }));
    }
    for (std::size_t n = 0; n + 1 < words.tokenizer.size(); ++n) {
        CHECK_FALSE(survives([&] { read_words(words.tokenizer.substr(0, n), words.config); }));
    }
    for (std::size_t n = 1; n + 1 < words.config.size(); ++n) {  // none at all is allowed
        CHECK_FALSE(survives([&] { read_words(words.tokenizer, words.config.substr(0, n)); }));
    }
}

TEST_CASE("a hundred thousand seeded mutations of texts each end in a reading or a sentence", "[model][hostile]") {
    const llama_fixture::synthetic gguf(hf_files::plain_spec());
    const std::string config = hf_files::texts(gguf.file).at("config.json");
    const auto words = nullm::write_hf_tokenizer(small_vocabulary(), 64, "a template");
    std::size_t read = 0;
    constexpr std::int64_t all = 100000;
    for (std::int64_t i = 0; i < all; ++i) {
        dice roll(damage_seed, i);
        const std::size_t which = roll.below(3);
        std::string text = which == 0 ? config : which == 1 ? words.tokenizer : words.config;
        for (std::size_t n = 1 + roll.below(3); n != 0; --n) mutate(text, roll);
        text.shrink_to_fit();  // so that AddressSanitizer sees its end
        read += survives([&] {
            if (which == 0) return read_config(text);
            if (which == 1) return read_words(text, words.config);
            read_words(words.tokenizer, text);
        });
    }
    INFO("read " << read);
    // Both ends must be common, or the mutations test nothing.
    CHECK(read > all / 100);
    CHECK(read < all * 9 / 10);
}

TEST_CASE("mutated model files and folders end in a model or a sentence", "[model][hostile]") {
    support::synthetic_spec spec = hf_files::plain_spec();
    spec.layers = 1;
    spec.width = 4;
    spec.heads = 2;
    spec.kv_heads = 1;
    spec.head_size = 2;
    spec.mlp_width = 4;
    spec.vocabulary = 259;
    const llama_fixture::synthetic gguf(spec);
    const support::scratch_directory scratch;
    hf_files::write_folder(gguf.file, scratch.path(), 2);
    const auto file = scratch.path() / "whole.safetensors";
    {
        nullm::safetensors_writer out;
        const hf_files::tensors all(gguf.file);
        for (const auto& t : all.names) hf_files::tensors::add(out, t);
        for (const auto& [name, text] : hf_files::texts(gguf.file)) out.set_metadata(name, text);
        out.write(file);
    }
    const auto content = [&] {
        const nullm::mapped_file mapped(file);
        return std::string(reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size());
    }();
    const auto open = [](const std::string& bytes) {
        const nullm::checkpoint model =
            nullm::open_checkpoint(std::as_bytes(std::span(bytes.data(), bytes.size())), "m.safetensors");
        static_cast<void>(nullm::tokenizer(model.vocabulary()));
    };
    REQUIRE(survives([&] { open(content); }));
    std::size_t read = 0;
    for (std::int64_t i = 0; i < 1500; ++i) {
        dice roll(damage_seed, 1000000 + i);
        std::string damaged = content;
        if (i % 3 == 0) {
            damaged.resize(roll.below(damaged.size()));
        } else {
            // The header is the smaller part: half of the damage is done there.
            std::string head = damaged.substr(0, i % 2 == 0 ? 4000 : damaged.size());
            const std::size_t size = head.size();
            mutate(head, roll);
            damaged.replace(0, size, head);
        }
        damaged.shrink_to_fit();
        read += survives([&] { open(damaged); });
    }
    CHECK(read > 15);
    const auto index = scratch.path() / "model.safetensors.index.json";
    const auto text = nullm::detail::read_text_file(index, 1U << 20);
    for (std::int64_t i = 0; i < 300; ++i) {
        dice roll(damage_seed, 2000000 + i);
        std::string damaged = text;
        mutate(damaged, roll);
        hf_files::write_text(index, damaged);
        survives([&] { nullm::open_checkpoint(scratch.path()); });
    }
}

TEST_CASE("texts nested without end, and texts without end, are refused before they cost memory", "[model][hostile]") {
    std::string deep(1U << 16, '[');
    CHECK_FALSE(survives([&] { read_config("{\"a\":" + deep); }));
    CHECK_FALSE(survives([&] { read_words(deep, ""); }));
    CHECK_FALSE(survives([&] { read_config(std::string((1U << 20) + 1, ' ')); }));
}
