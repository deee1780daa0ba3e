#include <nullm/attention/sketch_index.hpp>

#include <support/catch.hpp>

#include <random>
#include <vector>

namespace {

constexpr std::size_t width = 64;
using index_type = nullm::sketch_index<2>;

std::vector<float> keys(std::size_t n, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> all(n * width);
    for (auto& x : all) x = normal(random);
    return all;
}

// Keys number [first, last) of `all` at positions 5 + first and on.
void append(index_type& index, const std::vector<float>& all, std::size_t first, std::size_t last,
            nullm::isa level = nullm::active_isa()) {
    std::vector<std::int32_t> codes;
    index.prepare(5 + last);
    for (std::size_t i = first; i < last; ++i) index.store(5 + i, all.data() + i * width, codes, level);
    index.commit(5 + last);
}

}  // namespace

TEST_CASE("an index holds the codes of its keys, however they were appended", "[attention]") {
    const auto all = keys(700, 1);
    index_type whole(width, 5);
    append(whole, all, 0, 700, nullm::isa::scalar);
    CHECK(whole.first() == 5);
    CHECK(whole.end() == 705);
    index_type parts(width, 5);
    for (std::size_t i = 0; i < 700; i += 7) append(parts, all, i, i + 7);
    CHECK(parts == whole);
    std::vector<std::int32_t> codes(2 * width);
    std::vector<std::int32_t> words(nullm::sketch_code<2>::words(width) * 16);
    for (const std::size_t i : {0U, 250U, 251U, 507U, 699U}) {
        const std::int32_t scale = nullm::sketch_code<2>::encode(all.data() + i * width, width, codes.data(),
                                                                 words.data(), nullm::active_isa());
        CHECK(whole.scale(5 + i) == scale);
        for (std::size_t d = 0; d < width; ++d)
            CHECK(whole.code_of(5 + i, d) == nullm::sketch_code<2>::code(words.data(), d));
    }
}

TEST_CASE("a copy of an index shares its memory until one side changes", "[attention]") {
    const auto all = keys(2000, 1);
    const auto others = keys(2000, 2);
    index_type index(width, 5);
    append(index, all, 0, 1400);
    const index_type saved = index;
    CHECK(saved.chunk_of(0) == index.chunk_of(0));
    index.truncate(5 + 1300);
    append(index, others, 1300, 1500);
    CHECK(saved.chunk_of(0) == index.chunk_of(0));  // full chunks stay shared
    CHECK(saved.chunk_of(1024) != index.chunk_of(1024));
    index_type expected(width, 5);
    append(expected, all, 0, 1400);
    CHECK(saved == expected);
    expected.truncate(1305);
    CHECK(!(saved == expected));
    append(expected, others, 1300, 1500);
    CHECK(index == expected);
    index.truncate(0);
    CHECK(index.end() == 5);
    CHECK(saved.end() == 1405);
}

TEST_CASE("keys without direction are marked, and the mark goes with them", "[attention]") {
    auto all = keys(300, 1);
    std::fill_n(all.begin() + 66 * width, width, 0.0F);
    index_type index(width, 5);
    append(index, all, 0, 300);
    CHECK(index.always(1) == std::uint64_t{1} << (71 - 64));
    CHECK(index.always(0) == 0);
    CHECK(index.scale(71) == 0);
    index.truncate(60);
    append(index, keys(300, 1), 55, 100);
    CHECK(index.always(1) == 0);
}

TEST_CASE("an index of two bits takes 20 bytes a key at head size 64", "[attention]") {
    index_type index(width, 0);
    std::vector<std::int32_t> codes;
    index.prepare(2048);
    index.commit(2048);
    CHECK(index.bytes() >= 2048 * 20);
    CHECK(index.bytes() <= 2048 * 21);  // a tenth of a 16-bit cache is 25.6
}
