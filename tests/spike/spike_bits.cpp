#include <nullm/spike/spike_bits.hpp>

#include <spike/levels.hpp>
#include <support/catch.hpp>

using nullm::spike_bits;

TEST_CASE("a layer of spikes starts silent at every width", "[spike]") {
    for (const std::size_t n : spike_test::widths()) {
        const spike_bits bits(n);
        CHECK(bits.size() == n);
        CHECK(bits.count() == 0);
        CHECK(bits.words().size() == (n + 63) / 64);
    }
    CHECK(spike_bits().size() == 0);
    CHECK(spike_bits().count() == 0);
    CHECK(spike_bits(0) == spike_bits());
}

TEST_CASE("a spike that is set is seen, counted and taken back alone", "[spike]") {
    for (const std::size_t n : spike_test::widths()) {
        for (std::size_t i = 0; i < n; ++i) {
            spike_bits bits(n);
            bits.set(i);
            for (std::size_t j = 0; j < n; ++j) REQUIRE(bits[j] == (i == j));
            REQUIRE(bits.count() == 1);
            bits.set(i, false);
            REQUIRE(bits == spike_bits(n));
        }
    }
}

TEST_CASE("layers are equal iff they have the same width and spikes", "[spike]") {
    spike_bits a(100);
    spike_bits b(100);
    a.set(99);
    CHECK(a != b);
    b.set(99);
    CHECK(a == b);
    CHECK(spike_bits(99) != spike_bits(100));
}

TEST_CASE("reset leaves nothing of the spikes before", "[spike]") {
    spike_bits bits(130);
    for (std::size_t i = 0; i < 130; ++i) bits.set(i);
    CHECK(bits.count() == 130);
    bits.reset(70);
    CHECK(bits == spike_bits(70));
    bits.reset(130);
    CHECK(bits == spike_bits(130));
}
