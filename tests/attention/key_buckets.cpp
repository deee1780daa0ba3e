#include <nullm/attention/key_buckets.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <random>
#include <vector>

namespace {

// Codes of [0, n) in each table; handed out in runs of an odd length.
struct codes {
    codes(std::size_t n, std::size_t tables, std::size_t bits)
        : table(tables, std::vector<std::uint16_t>(n)) {
        std::mt19937 random(static_cast<unsigned>(n));
        for (auto& t : table) {
            for (auto& c : t) c = static_cast<std::uint16_t>(random() % (1U << bits));
        }
    }
    std::span<const std::uint16_t> operator()(std::size_t t, std::size_t position) const {
        const std::size_t left = table[t].size() - position;
        return std::span(table[t]).subspan(position, std::min<std::size_t>(left, 13));
    }
    std::vector<std::vector<std::uint16_t>> table;
};

}  // namespace

TEST_CASE("a bucket holds the positions of its code, ascending, whatever their number", "[attention]") {
    for (const std::size_t n : {1, 2, 63, 64, 65, 1000, 65535, 65536, 65537}) {
        for (const std::size_t first : {0, 1}) {
            const codes all(n, 2, 4);
            const nullm::key_buckets buckets(first, n, 4, 2, all);
            CHECK(buckets.end() == n);
            CHECK(buckets.bytes() == 2 * ((n - first) + 17) * (n <= 65535 ? 2 : 4));
            for (std::uint16_t code = 0; code < 16; ++code) {
                std::size_t t = 0;
                const std::uint16_t wanted[] = {code, static_cast<std::uint16_t>(15 - code)};
                buckets.look_up(wanted, [&](const auto& found) {
                    std::vector<std::size_t> expected;
                    for (std::size_t p = first; p < n; ++p) {
                        if (all.table[t][p] == wanted[t]) expected.push_back(p);
                    }
                    ++t;
                    REQUIRE(std::equal(found.begin(), found.end(), expected.begin(), expected.end()));
                });
                CHECK(t == 2);
            }
        }
    }
}

TEST_CASE("tables of no bits have one bucket", "[attention]") {
    const codes all(70, 3, 0);
    const nullm::key_buckets buckets(10, 70, 0, 3, all);
    const std::uint16_t zero[] = {0, 0, 0};
    buckets.look_up(zero, [](const auto& found) { CHECK(found.size() == 60); });
}
