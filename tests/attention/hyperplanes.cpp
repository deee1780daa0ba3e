#include <nullm/attention/hyperplanes.hpp>

#include <support/catch.hpp>

#include <bit>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <random>
#include <vector>

namespace {

using nullm::hyperplanes;
using nullm::lsh_shape;

// k = cosine q + sine q', with q and q' random orthonormal; or the first two axes, if axes: a choice no
// rotation of coordinates would hide.
void pair_at(double cosine, std::size_t size, std::mt19937& random, bool axes, float* q, float* k) {
    std::vector<double> a(size, 0.0);
    std::vector<double> b(size, 0.0);
    a[0] = 1;
    b[1] = 1;
    if (!axes) {
        std::normal_distribution<double> normal;
        for (auto& x : a) x = normal(random);
        for (auto& x : b) x = normal(random);
        double aa = 0;
        double ab = 0;
        for (std::size_t i = 0; i < size; ++i) aa += a[i] * a[i];
        for (std::size_t i = 0; i < size; ++i) ab += a[i] * b[i];
        double bb = 0;
        for (std::size_t i = 0; i < size; ++i) {
            b[i] -= ab / aa * a[i];
            bb += b[i] * b[i];
        }
        for (std::size_t i = 0; i < size; ++i) {
            a[i] /= std::sqrt(aa);
            b[i] /= std::sqrt(bb);
        }
    }
    for (std::size_t i = 0; i < size; ++i) {
        q[i] = static_cast<float>(a[i]);
        k[i] = static_cast<float>(cosine * a[i] + std::sqrt(1 - cosine * cosine) * b[i]);
    }
}

bool within(double found, double expected, double n, double sigmas) {
    return std::fabs(found - expected) <= sigmas * std::sqrt(expected * (1 - expected) / n) + 1e-12;
}

}  // namespace

TEST_CASE("a bit agrees with probability 1 - angle / pi", "[attention]") {
    nullm::thread_pool pool(1);
    std::mt19937 random(5);
    const lsh_shape shape{15, 500};
    std::vector<float> x(2 * 64);
    for (const double cosine : {-0.9, -0.3, 0.0, 0.2, 0.6, 0.95}) {
        int agreeing = 0;
        double bits = 0;
        for (std::uint64_t seed = 0; seed < 14; ++seed) {  // 105,000 bits
            const hyperplanes planes(shape, 64, seed, 0, pool);
            pair_at(cosine, 64, random, seed % 2 == 0, x.data(), x.data() + 64);
            std::vector<std::uint16_t> codes(2 * planes.code_stride());
            planes.hash({x.data(), 2, 64}, codes.data());
            for (std::size_t t = 0; t < shape.tables; ++t) {
                const auto differing = static_cast<unsigned>(codes[t] ^ codes[planes.code_stride() + t]);
                agreeing += 15 - std::popcount(differing);
                bits += 15;
            }
        }
        INFO("cosine " << cosine);
        CHECK(within(agreeing / bits, 1 - std::acos(cosine) / std::numbers::pi, bits, 4.5));
    }
}

TEST_CASE("tables hit, once and twice, with the probabilities of independent hyperplanes", "[attention]") {
    // A reseeded index of one pair, at the level of codes; the axes make it a strict test, since two
    // coordinates have no sum to hide their distribution in.
    nullm::thread_pool pool(1);
    std::mt19937 random(7);
    constexpr double seeds = 2000;
    for (const lsh_shape shape : {lsh_shape{4, 16}, lsh_shape{8, 75}, lsh_shape{10, 150}}) {
        for (const std::size_t size : {2, 12}) {
            if (size == 12 && shape.tables == 150) continue;  // slow, and nothing new
            const double cosines[] = {-0.5, -0.3, 0.0, 0.2, 0.4, 0.6, 0.8, 0.95};
            double tables[8] = {};
            double once[8] = {};
            double twice[8] = {};
            std::vector<float> x(2 * size);
            for (std::uint64_t seed = 0; seed < 2000; ++seed) {
                const hyperplanes planes(shape, size, seed, 3, pool);
                std::vector<std::uint16_t> codes(2 * planes.code_stride());
                for (int c = 0; c < 8; ++c) {
                    pair_at(cosines[c], size, random, size == 2, x.data(), x.data() + size);
                    planes.hash({x.data(), 2, size}, codes.data());
                    int hits = 0;
                    for (std::size_t t = 0; t < shape.tables; ++t) {
                        hits += codes[t] == codes[planes.code_stride() + t] ? 1 : 0;
                    }
                    tables[c] += hits;
                    once[c] += hits >= 1 ? 1 : 0;
                    twice[c] += hits >= 2 ? 1 : 0;
                }
            }
            for (int c = 0; c < 8; ++c) {
                const double rate = collision_probability(shape, cosines[c]);
                const double missed = std::pow(1 - rate, shape.tables);
                INFO(shape.bits << " bits, " << shape.tables << " tables, size " << size << ", cosine "
                                << cosines[c]);
                CHECK(within(tables[c] / (seeds * shape.tables), rate, seeds * shape.tables, 4));
                CHECK(within(once[c] / seeds, 1 - missed, seeds, 4));
                CHECK(within(twice[c] / seeds, std::exp(log_inclusion_probability(shape, cosines[c])), seeds,
                             4));
            }
        }
    }
}

TEST_CASE("codes are the same on any instruction set, in any batch and from any number of threads",
          "[attention]") {
    std::mt19937 random(9);
    std::normal_distribution<float> normal;
    for (const auto& [shape, size] : {std::pair{lsh_shape{9, 120}, 64UL},
                                      {lsh_shape{15, 2}, 20UL},
                                      {lsh_shape{1, 17}, 3UL},
                                      {lsh_shape{0, 5}, 8UL}}) {
        nullm::thread_pool one(1);
        nullm::thread_pool five(5);
        const hyperplanes planes(shape, size, 1, 2, one);
        const hyperplanes again(shape, size, 1, 2, five);
        std::vector<float> x(11 * (size + 3));
        for (auto& e : x) e = normal(random);
        const nullm::matrix_view<const float> rows(x.data(), 11, size, size + 3);
        std::vector<std::uint16_t> expected(11 * planes.code_stride());
        planes.hash(rows, expected.data(), nullm::isa::scalar);
        for (const auto level : {nullm::isa::scalar, nullm::isa::avx2, nullm::isa::avx512}) {
            if (level > nullm::detected_isa()) continue;
            for (const std::size_t batch : {1, 2, 3, 4, 5, 11}) {
                std::vector<std::uint16_t> found(expected.size());
                for (std::size_t first = 0; first < 11; first += batch) {
                    again.hash(rows.subrows(first, std::min<std::size_t>(batch, 11 - first)),
                               found.data() + first * planes.code_stride(), level);
                }
                CHECK(found == expected);
            }
        }
        for (std::size_t i = 0; i < expected.size(); ++i) {
            if (i % planes.code_stride() >= shape.tables) REQUIRE(expected[i] == 0);
            REQUIRE(expected[i] < 1U << shape.bits);
        }
    }
}

TEST_CASE("every layer and every seed has hyperplanes of its own", "[attention]") {
    nullm::thread_pool pool(1);
    const lsh_shape shape{15, 64};
    std::vector<float> x(64, 0.3F);
    x[5] = -2;
    const auto codes = [&](std::uint64_t seed, std::size_t layer) {
        const hyperplanes planes(shape, 64, seed, layer, pool);
        std::vector<std::uint16_t> c(planes.code_stride());
        planes.hash({x.data(), 1, 64}, c.data());
        return c;
    };
    CHECK(codes(1, 0) == codes(1, 0));
    CHECK(codes(1, 0) != codes(1, 1));
    CHECK(codes(1, 0) != codes(2, 0));
    CHECK(hyperplanes(shape, 64, 0, 0, pool).bytes() == 64 * 15 * 64 * 2);
}

TEST_CASE("a vector of zeros lies on no positive side", "[attention]") {
    nullm::thread_pool pool(1);
    const hyperplanes planes({9, 32}, 16, 0, 0, pool);
    const std::vector<float> zero(16, 0.0F);
    std::vector<std::uint16_t> codes(planes.code_stride(), 77);
    planes.hash({zero.data(), 1, 16}, codes.data());
    CHECK(codes == std::vector<std::uint16_t>(planes.code_stride(), 0));
}
