#include <nullm/attention/table_index.hpp>

#include <support/catch.hpp>

#include <cstdint>
#include <random>
#include <vector>

namespace {

using nullm::lsh_shape;
using nullm::table_index;

// Keys with few different codes, so that there are many duplicates and many hits; one in 17 is found always.
struct keys {
    keys(lsh_shape shape_, std::size_t n, unsigned seed) : shape(shape_), codes(n * shape.tables), norms(n) {
        std::mt19937 random(seed);
        for (auto& c : codes) c = static_cast<std::uint16_t>(random() % (1U << shape.bits));
        for (auto& x : norms) x = random() % 17 == 0 ? 0.0F : static_cast<float>(random() % 100 + 1);
    }

    void append(table_index& index, std::size_t count, std::size_t merge_at) const {
        const std::size_t at = index.end();
        index.append(codes.data() + at * shape.tables, shape.tables, {norms.data() + at, count}, merge_at);
    }

    std::vector<std::uint32_t> brute_force(const std::uint16_t* wanted, std::size_t first,
                                           std::size_t limit) const {
        std::vector<std::uint32_t> found;
        for (std::size_t p = first; p < limit; ++p) {
            std::size_t hits = norms[p] == 0 ? 2 : 0;
            for (std::size_t t = 0; t < shape.tables; ++t)
                hits += codes[p * shape.tables + t] == wanted[t] ? 1 : 0;
            if (hits >= 2) found.push_back(static_cast<std::uint32_t>(p));
        }
        return found;
    }

    lsh_shape shape;
    std::vector<std::uint16_t> codes;  // (position, table)
    std::vector<float> norms;          // inverse
};

std::vector<std::uint32_t> find(const table_index& index, const std::uint16_t* wanted, std::size_t limit,
                                nullm::isa level = nullm::active_isa()) {
    table_index::scratch scratch;
    std::vector<std::uint32_t> found{99};
    index.find(wanted, limit, scratch, found, level);
    return found;
}

}  // namespace

TEST_CASE("a look-up finds exactly the keys whose codes match twice, whatever their number", "[attention]") {
    const lsh_shape shape{3, 4};
    for (const std::size_t n : {0, 1, 2, 63, 64, 65, 1000, 65535, 65537}) {
        const keys all(shape, n + 5, static_cast<unsigned>(n));
        for (const std::size_t merge_at : {std::size_t{1}, std::size_t{700}, std::size_t{1} << 20U}) {
            if (n > 60000 && merge_at == 700) continue;  // 90 merges of all: slow
            table_index index(shape, 5);
            for (std::size_t end = 5; end < n + 5; end = index.end()) {
                all.append(index, std::min<std::size_t>(n > 60000 ? 30000 : 301, n + 5 - end), merge_at);
            }
            CHECK(index.tail() == (merge_at == 1 ? 0 : merge_at == 700 && n == 1000 ? 97 : n));
            for (unsigned q = 0; q < 4; ++q) {
                const keys query(shape, 1, 1000 + q);
                for (const std::size_t limit : {n + 5, n / 2 + 5, std::size_t{5}, std::size_t{0}}) {
                    const auto expected = all.brute_force(query.codes.data(), 5, limit);
                    for (const auto level : {nullm::isa::scalar, nullm::isa::avx2, nullm::isa::avx512}) {
                        if (level > nullm::detected_isa()) continue;
                        REQUIRE(find(index, query.codes.data(), limit, level) == expected);
                    }
                }
            }
        }
    }
}

TEST_CASE("an index equals the rebuilt one after any mix of appends, rewinds, merges, copies and returns",
          "[attention]") {
    const lsh_shape shape{4, 9};
    std::mt19937 random(3);
    for (unsigned round = 0; round < 60; ++round) {
        const std::size_t first = random() % 70;
        const std::size_t merge_at = 1 + random() % 400;
        keys all(shape, 1500, round);
        table_index index(shape, first);
        std::vector<std::pair<table_index, keys>> saved;
        for (int step = 0; step < 40; ++step) {
            const unsigned choice = random() % 8;
            if (choice < 4) {
                const std::size_t most = 1500 - index.end();
                all.append(index, std::min<std::size_t>(most, random() % (choice == 0 ? 300 : 20)), merge_at);
            } else if (choice < 6) {
                const std::size_t n = random() % 3 == 0
                                          ? random() % (index.end() + 1)
                                          : index.end() - std::min<std::size_t>(index.end(), random() % 30);
                index.truncate(n);
                // Other keys come to stand where those were.
                const keys other(shape, 1500, 1000 + round * 100 + static_cast<unsigned>(step));
                for (std::size_t p = n; p < 1500; ++p) {
                    all.norms[p] = other.norms[p];
                    for (std::size_t t = 0; t < 9; ++t) all.codes[p * 9 + t] = other.codes[p * 9 + t];
                }
            } else if (choice == 6) {
                saved.emplace_back(index, all);
            } else if (!saved.empty()) {
                const auto& back = saved[random() % saved.size()];
                index = back.first;
                all = back.second;
            }
            table_index rebuilt(shape, first);
            all.append(rebuilt, index.end() - first, std::size_t{1} << 20U);
            REQUIRE(index == rebuilt);
            const keys query(shape, 1, static_cast<unsigned>(random()));
            const std::size_t limit = first + random() % (index.end() - first + 1);
            REQUIRE(find(index, query.codes.data(), index.end()) ==
                    all.brute_force(query.codes.data(), first, index.end()));
            REQUIRE(find(index, query.codes.data(), limit) ==
                    all.brute_force(query.codes.data(), first, limit));
        }
        for (const auto& [kept, its] : saved) {  // nobody has written into a copy
            table_index rebuilt(shape, first);
            its.append(rebuilt, kept.end() - first, 50);
            REQUIRE(kept == rebuilt);
        }
    }
}

TEST_CASE("indexes of other keys, lengths or first positions differ", "[attention]") {
    const lsh_shape shape{4, 5};
    const keys all(shape, 100, 1);
    const keys other(shape, 100, 2);
    table_index a(shape, 3);
    table_index b(shape, 3);
    CHECK(a == b);
    all.append(a, 60, 10);
    CHECK(!(a == b));
    all.append(b, 60, 1000);
    CHECK(a == b);
    CHECK(!(a == table_index(shape, 4)));
    b.truncate(62);
    CHECK(!(a == b));
    other.append(b, 1, 1000);
    CHECK(!(a == b));
}

TEST_CASE("an index of nothing finds nothing and holds no memory", "[attention]") {
    table_index index({4, 5}, 7);
    const std::uint16_t wanted[5] = {};
    CHECK(index.bytes() == 0);
    CHECK(index.end() == 7);
    CHECK(find(index, wanted, 7).empty());
    index.truncate(3);
    CHECK(index.end() == 7);
    CHECK(find(index, wanted, 0).empty());
}

TEST_CASE("a key costs four bytes a table, and its norm", "[attention]") {
    const lsh_shape shape{2, 8};
    const keys all(shape, 2048, 1);
    table_index index(shape, 0);
    all.append(index, 2048, 1024);
    // Codes and bucket entries; norm and mark; bucket starts; vectors and pointers of the chunks.
    const std::size_t least = 2048 * (4 * 8 + 4) + 8 * 5 * 2;
    CHECK(index.bytes() >= least);
    CHECK(index.bytes() <= least + 2048 / 256 * 160);
}
