// Damaged model files: each must end in a loaded checkpoint or in one nullm::error, soon, and with little
// memory.

#include "allocation_counter.hpp"
#include "refusal.hpp"
#include "scratch_directory.hpp"

#include <nullm/model/checkpoint.hpp>
#include <nullm/text/tokenizer.hpp>
#include <support/catch.hpp>
#include <support/hostile.hpp>
#include <support/synthetic_checkpoint.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <ctime>
#include <set>

using nullm::tensor_type;
using support::bytes;
using support::dice;

namespace {

constexpr std::uint64_t damage_seed = 4;

/// Small enough that every prefix can be tried; all six storage types.
support::synthetic_spec tiny_quantised() {
    support::synthetic_spec spec;
    spec.name = "tiny";
    spec.layers = 1;
    spec.width = 32;
    spec.heads = 2;
    spec.kv_heads = 1;
    spec.mlp_width = 32;
    spec.vocabulary = 262;
    spec.tied_head = false;
    spec.types = {.embedding = tensor_type::q4_0,
                  .query = tensor_type::q4_1,
                  .key = tensor_type::q8_0,
                  .value = tensor_type::f16,
                  .output = tensor_type::bf16,
                  .gate = tensor_type::f32,
                  .up = tensor_type::q4_1,
                  .down = tensor_type::q8_0,
                  .head = tensor_type::q4_0};
    return spec;
}

support::synthetic_spec tiny_plain() {
    support::synthetic_spec spec;
    spec.name = "plain";
    spec.layers = 2;
    spec.width = 4;
    spec.heads = 1;
    spec.kv_heads = 1;
    spec.head_size = 4;
    spec.mlp_width = 5;
    spec.vocabulary = 259;
    spec.types = support::synthetic_types::all(tensor_type::f32);
    return spec;
}

struct outcome {
    bool loaded = false;
    std::size_t allocated = 0;  // in all, freed or not: more than what was ever held at once
    double cpu_seconds = 0;
};

/// Opens the model and touches everything a consumer would. Any exception but nullm::error ends the test.
template <class Open>
outcome consume(Open&& open) {
    outcome result;
    support::allocation_counter::reset();
    const std::clock_t begin = std::clock();
    support::survives([&] {
        const nullm::checkpoint model = open();
        unsigned char sum = 0;
        for (const auto& tensor : model.tensors()) {
            for (std::size_t r = 0; r < tensor.rows; ++r) {
                sum = static_cast<unsigned char>(sum ^ std::to_integer<unsigned char>(tensor.row(r).back()));
            }
        }
        const nullm::tokenizer words(model.vocabulary());
        const auto chat = model.chat_template();
        result.loaded = words.size() + model.name().size() + (chat ? chat->size() : 0) + sum > 0;
    });
    result.cpu_seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
    result.allocated = support::allocation_counter::total();
    return result;
}

outcome consume_bytes(const bytes& content) {
    return consume([&] { return nullm::checkpoint(content, "m.gguf"); });
}

void check_costs(const outcome& result, std::size_t size) {
    if (result.allocated > 2 * size + (64U << 20))
        FAIL("allocated " << result.allocated << " bytes for " << size);
    if (result.cpu_seconds >= 1) FAIL("took " << result.cpu_seconds << " s");
}

void mutate_once(bytes& content, std::size_t header, dice& roll) {
    // Three of four hit the metadata and the tensor records, where the structure is.
    const std::size_t range = roll.below(4) != 0 ? std::min(header, content.size()) : content.size();
    const std::size_t at = roll.below(range);
    const std::size_t left = content.size() - at;
    switch (roll.below(8)) {
        case 0:
        case 1:
            if (left != 0) content[at] ^= std::byte{static_cast<unsigned char>(1U << roll.below(8))};
            break;
        case 2:
            if (left != 0) content[at] = static_cast<std::byte>(roll.below(256));
            break;
        case 3:
        case 4:
        case 5: {
            constexpr std::array<std::uint64_t, 10> values = {
                0, 1, 2, 0x7FFFFFFF, 1ULL << 31, 0xFFFFFFFF, 1ULL << 32, (1ULL << 63) - 1, 1ULL << 63, ~0ULL};
            const std::uint64_t value = values[roll.below(values.size())];
            const std::size_t width = std::min<std::size_t>(left, std::size_t{1} << roll.below(4));
            std::memcpy(content.data() + at, &value, width);
            break;
        }
        case 6:
            if (roll.below(2) == 0) {
                content.resize(at);
            } else {
                content.erase(
                    content.begin() + static_cast<std::ptrdiff_t>(at),
                    content.begin() + static_cast<std::ptrdiff_t>(at + std::min(left, roll.below(64))));
            }
            break;
        default: {  // splice: a piece of the file again, over or between what is there
            const std::size_t from = roll.below(content.size());
            const bytes piece(content.begin() + static_cast<std::ptrdiff_t>(from),
                              content.begin() + static_cast<std::ptrdiff_t>(
                                                    from + std::min(content.size() - from, roll.below(200))));
            if (roll.below(2) == 0) {
                content.insert(content.begin() + static_cast<std::ptrdiff_t>(at), piece.begin(), piece.end());
            } else {
                std::copy_n(piece.begin(), std::min(piece.size(), left),
                            content.begin() + static_cast<std::ptrdiff_t>(at));
            }
        }
    }
    content.shrink_to_fit();  // so that AddressSanitizer sees the file's end
}

std::size_t header_size(const bytes& content) {
    const nullm::gguf_file file(content, "m.gguf");
    return static_cast<std::size_t>(file.tensors().front().bytes.data() - content.data());
}

}  // namespace

TEST_CASE("every proper prefix of a model file is refused", "[io][hostile]") {
    for (const auto& spec : {tiny_quantised(), tiny_plain()}) {
        const bytes whole = support::synthetic_checkpoint(spec);
        REQUIRE(consume_bytes(whole).loaded);
        for (std::size_t size = 0; size < whole.size(); ++size) {
            const bytes prefix(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
            const outcome result = consume_bytes(prefix);
            if (result.loaded) FAIL("a prefix of " << size << " bytes was loaded");
            check_costs(result, size);
        }
    }
}

TEST_CASE("ten thousand seeded mutations each end in a model or a sentence", "[io][hostile]") {
    std::size_t loaded = 0;
    std::size_t most = 0;
    double slowest = 0;
    const std::array<bytes, 2> bases = {support::synthetic_checkpoint(tiny_quantised()),
                                        support::synthetic_checkpoint(tiny_plain())};
    const std::array<std::size_t, 2> headers = {header_size(bases[0]), header_size(bases[1])};
    for (std::int64_t i = 0; i < 10000; ++i) {
        dice roll(damage_seed, i);
        const std::size_t base = roll.below(2);
        bytes content = bases[base];
        for (std::size_t n = 1 + roll.below(3); n != 0; --n) mutate_once(content, headers[base], roll);
        const outcome result = consume_bytes(content);
        check_costs(result, content.size());
        loaded += result.loaded ? 1 : 0;
        most = std::max(most, result.allocated);
        slowest = std::max(slowest, result.cpu_seconds);
    }
    INFO("loaded " << loaded << ", at most " << most << " bytes, at most " << slowest << " s");
    // Both ends must be common, or the mutations test nothing.
    CHECK(loaded > 500);
    CHECK(loaded < 9000);
}

TEST_CASE("mutated files on disk end the same way as in memory", "[io][hostile]") {
    const support::scratch_directory directory;
    const bytes base = support::synthetic_checkpoint(tiny_plain());
    const std::size_t header = header_size(base);
    for (std::int64_t i = 0; i < 300; ++i) {
        dice roll(damage_seed, 20000 + i);
        bytes content = base;
        mutate_once(content, header, roll);
        const auto path = directory.write("m.gguf", content);
        const outcome mapped = consume([&] { return nullm::checkpoint(path); });
        check_costs(mapped, content.size());
        REQUIRE(mapped.loaded == consume_bytes(content).loaded);
    }
}

TEST_CASE("files that fill memory with the smallest records stay within the bound", "[io][hostile]") {
    // Four million empty strings in place of the merges: eight bytes each in the file, thirty-two in memory.
    support::gguf_writer writer = support::synthetic_writer(tiny_plain());
    bytes merges = support::gguf_writer::array_header(8, 1U << 22);
    merges.resize(merges.size() + (std::size_t{8} << 22));
    writer.set_raw("tokenizer.ggml.merges", 9, merges);
    bytes content = writer.file();
    outcome result = consume_bytes(content);
    REQUIRE_FALSE(result.loaded);
    check_costs(result, content.size());

    // The largest tables that are let in, in the fewest bytes.
    constexpr std::size_t largest = 1U << 18;
    writer = support::synthetic_writer(tiny_plain());
    std::vector<std::string> spellings(largest);
    for (std::size_t i = 0; i < largest; ++i) {
        for (std::size_t n = i; n != 0 || spellings[i].empty(); n /= 64)
            spellings[i] += static_cast<char>('0' + n % 64);
    }
    writer.set_u32("llama.vocab_size", largest);
    writer.set_tensor("token_embd.weight", tensor_type::f32, largest, 4,
                      std::vector<float>(largest * 4, 1.0F));
    writer.set_strings("tokenizer.ggml.tokens", spellings);
    writer.set_i32s("tokenizer.ggml.token_type", std::vector<std::int32_t>(largest, 1));
    // Every way to put a token together from two others: almost two a token.
    std::vector<std::string> splits;
    // The first tokens end and begin texts: control tokens, which never merge.
    const std::set<std::string> known(spellings.begin() + 3, spellings.end());
    for (const auto& whole : known) {
        for (std::size_t cut = 1; cut < whole.size(); ++cut) {
            if (known.contains(whole.substr(0, cut)) && known.contains(whole.substr(cut)))
                splits.push_back(whole.substr(0, cut) + " " + whole.substr(cut));
        }
    }
    REQUIRE(splits.size() > 2 * largest - largest / 8);
    writer.set_strings("tokenizer.ggml.merges", splits);
    content = writer.file();
    spellings = {};
    splits = {};
    support::allocation_counter::reset();
    {
        const nullm::checkpoint model(content, "m.gguf");
        REQUIRE(model.vocabulary().tokens.size() == largest);
        const nullm::tokenizer words(model.vocabulary());
        REQUIRE(words.size() == largest);
    }
    INFO("handed out " << support::allocation_counter::total() << " of " << content.size());
    REQUIRE(support::allocation_counter::total() <= 2 * content.size() + (64U << 20));

    // As many metadata entries and tensors as are let in.
    support::gguf_writer crowd;
    for (int i = 0; i < 65536; ++i) crowd.add_raw(std::to_string(i), 0, {std::byte{1}});
    for (int i = 0; i < 65536; ++i) crowd.add_raw_tensor(std::to_string(i), 0, {1}, bytes(4));
    content = crowd.file();
    support::allocation_counter::reset();
    const nullm::gguf_file file(content, "m.gguf");
    REQUIRE(file.tensors().size() == 65536);
    REQUIRE(support::allocation_counter::total() < (16U << 20));
}
