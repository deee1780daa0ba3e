#include <nullm/text/merge_table.hpp>

#include <support/catch.hpp>

#include <random>
#include <vector>

TEST_CASE("the scan and the queue merge alike", "[text]") {
    // Ids 0-3 are letters; merges join random ids, so ranks come in no useful order and a merge may open one
    // of lower rank. Lengths keep results finite: an id stands for at most 16 letters.
    std::mt19937 random(11);
    for (int round = 0; round < 40; ++round) {
        std::vector<std::size_t> lengths(4, 1);
        std::vector<std::uint32_t> ranks(200);
        for (std::uint32_t i = 0; i < ranks.size(); ++i) ranks[i] = i;
        std::shuffle(ranks.begin(), ranks.end(), random);
        nullm::merge_table merges(ranks.size());
        for (const std::uint32_t rank : ranks) {
            const auto left = static_cast<nullm::token_id>(random() % lengths.size());
            const auto right = static_cast<nullm::token_id>(random() % lengths.size());
            const std::size_t length =
                lengths[static_cast<std::size_t>(left)] + lengths[static_cast<std::size_t>(right)];
            if (length > 16) continue;
            if (merges.insert(left, right, rank, static_cast<nullm::token_id>(lengths.size())))
                lengths.push_back(length);
        }
        for (int i = 0; i < 200; ++i) {
            nullm::merge_table::state scan, queue, both;
            for (std::size_t n = random() % 130; n > 0; --n)
                scan.symbols.push_back(static_cast<int>(random() % 4));
            queue.symbols = both.symbols = scan.symbols;
            merges.apply_short(scan);
            merges.apply_long(queue);
            merges.apply(both);
            REQUIRE(scan.symbols == queue.symbols);
            REQUIRE(scan.symbols == both.symbols);
        }
    }
}

TEST_CASE("a pair is found with its rank and result, and inserted once", "[text]") {
    nullm::merge_table merges(2);
    CHECK(merges.insert(1, 2, 7, 3));
    CHECK(!merges.insert(1, 2, 8, 4));
    CHECK(merges.insert(2, 1, 0, 5));
    CHECK(merges.find(1, 2).rank == 7);
    CHECK(merges.find(1, 2).result == 3);
    CHECK(merges.find(2, 2).rank == nullm::merge_table::no_merge);
    CHECK(nullm::merge_table().find(1, 2).rank == nullm::merge_table::no_merge);
}
