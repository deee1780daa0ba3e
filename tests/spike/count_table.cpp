#include <nullm/spike/count_table.hpp>
#include <nullm/spike/fold_hash.hpp>

#include <support/catch.hpp>

using nullm::count_table;
using nullm::fold_hash;

namespace {

/// A key of one line, with this tag.
std::uint64_t key_in_line(std::uint64_t line, std::uint64_t tag) {
    return line << 16 | tag;
}

}  // namespace

TEST_CASE("a key has been seen as often as it was added", "[spike][count_table]") {
    count_table table(64);
    for (std::uint64_t k = 0; k < 200; ++k) {
        CHECK(table.count(fold_hash(1, k)) == 0);
        for (std::uint64_t i = 0; i <= k % 5; ++i) table.add(fold_hash(1, k));
    }
    for (std::uint64_t k = 0; k < 200; ++k) CHECK(table.count(fold_hash(1, k)) == k % 5 + 1);
}

TEST_CASE("in a full line a newcomer takes the place of the oldest that was seen once",
          "[spike][count_table]") {
    count_table table(2);
    for (std::uint64_t tag = 1; tag <= 16; ++tag) table.add(key_in_line(1, tag));
    table.add(key_in_line(1, 1));  // the oldest, but seen twice
    table.add(key_in_line(1, 100));
    CHECK(table.count(key_in_line(1, 100)) == 1);
    CHECK(table.count(key_in_line(1, 1)) == 2);
    CHECK(table.count(key_in_line(1, 2)) == 0);
    for (std::uint64_t tag = 3; tag <= 16; ++tag) CHECK(table.count(key_in_line(1, tag)) == 1);
    CHECK(table.count(key_in_line(0, 3)) == 0);  // the other line knows nothing of it
}

TEST_CASE("a key that was seen often is worn down before it gives way", "[spike][count_table]") {
    count_table table(1);
    for (std::uint64_t tag = 1; tag <= 16; ++tag) {
        for (int i = 0; i < 3; ++i) table.add(tag);
    }
    int newcomers = 0;
    while (table.count(99) == 0) {
        table.add(99);
        ++newcomers;
    }
    // Of sixteen equal counts the least is always the next one: each goes from 3 to 1 by two steps, one of
    // them first.
    CHECK(newcomers > 2);
    std::uint32_t left = 0;
    for (std::uint64_t tag = 1; tag <= 16; ++tag) left += table.count(tag) > 0 ? 1 : 0;
    CHECK(left == 15);
}

TEST_CASE("halving rounds up, so what was seen once is kept until its place is needed",
          "[spike][count_table]") {
    count_table table(1);
    for (std::uint64_t tag = 1; tag <= 4; ++tag) {
        for (std::uint64_t i = 0; i < tag; ++i) table.add(tag);
    }
    table.halve();
    CHECK(table.count(1) == 1);
    CHECK(table.count(2) == 1);
    CHECK(table.count(3) == 2);
    CHECK(table.count(4) == 2);
    CHECK(table.count(5) == 0);
}

TEST_CASE("a count stops at its largest value", "[spike][count_table]") {
    count_table table(1);
    for (int i = 0; i < 70000; ++i) table.add(7);
    CHECK(table.count(7) == 65535);
}

TEST_CASE("a key whose slot bits are zero is a key like any other", "[spike][count_table]") {
    count_table table(1);
    CHECK(table.count(0) == 0);
    table.add(0);
    CHECK(table.count(0) == 1);
}

TEST_CASE("tables are equal iff the same keys were added in the same order", "[spike][count_table]") {
    count_table a(8);
    count_table b(8);
    for (std::uint64_t k = 0; k < 1000; ++k) {
        a.add(fold_hash(3, k % 177));
        b.add(fold_hash(3, k % 177));
        REQUIRE(a == b);
    }
    const count_table copy = a;
    a.add(fold_hash(3, 5000));
    CHECK(a != b);
    CHECK(copy == b);
}

TEST_CASE("a number of lines that is no power of two is refused", "[spike][count_table]") {
    for (const std::size_t lines : {0, 3, 100, 1 << 21}) CHECK_THROWS_AS(count_table(lines), nullm::error);
    CHECK_NOTHROW(count_table(1));
}
