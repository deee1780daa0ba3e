#include <nullm/attention/exact_attention.hpp>

#include <support/catch.hpp>
#include <support/same_bits.hpp>

#include <cmath>
#include <limits>
#include <random>
#include <utility>
#include <vector>

namespace {

using nullm::exact_attention;
using nullm::isa;
using nullm::kv_cache;
using nullm::matrix_view;
using support::same_bits;

// Random queries, keys and values of `length` positions of one layer (number 1 of 2).
struct problem {
    problem(std::size_t heads_, std::size_t kv_heads_, std::size_t head_size_, std::size_t length_,
            unsigned seed = 1)
        : heads(heads_),
          kv_heads(kv_heads_),
          head_size(head_size_),
          length(length_),
          q(length * heads * head_size),
          k(length * kv_heads * head_size),
          v(k.size()) {
        std::mt19937 random(seed);
        std::normal_distribution<float> normal;
        for (auto& x : q) x = normal(random) * 1.5F;
        for (auto& x : k) x = normal(random);
        for (auto& x : v) x = normal(random);
    }

    nullm::kv_shape shape() const { return {.layers = 2, .kv_heads = kv_heads, .head_size = head_size}; }

    template <class T>
    void store(kv_cache<T>& cache, std::size_t first, std::size_t last) const {
        const std::size_t width = kv_heads * head_size;
        cache.prepare(last);
        for (std::size_t p = first; p < last; ++p) {
            cache.store(1, p, {k.data() + p * width, width}, {v.data() + p * width, width});
        }
    }

    // The rows in batches of m, as a model would run them.
    template <class T>
    std::vector<float> run(exact_attention<T> attention, std::size_t m, unsigned threads,
                           bool in_rows = false) const {
        nullm::thread_pool pool(threads);
        kv_cache<T> cache(shape(), length, {false, in_rows});
        typename exact_attention<T>::state state(attention, {.heads = heads, .cache = shape()});
        const std::size_t width = heads * head_size;
        std::vector<float> o(length * width, std::numeric_limits<float>::quiet_NaN());
        for (std::size_t first = 0; first < length; first += m) {
            const std::size_t rows = std::min(m, length - first);
            store(cache, first, first + rows);
            attention.attend(state, 1, matrix_view<const float>(q.data() + first * width, rows, width), first,
                             cache, matrix_view<float>(o.data() + first * width, rows, width), pool);
            cache.commit(first + rows);
        }
        return o;
    }

    // softmax(q k / sqrt(head_size)) v in double, from keys and values rounded to T; and sum of weight x |v|,
    // which scales the tolerance.
    template <class T>
    void reference(std::size_t row, std::size_t head, std::vector<double>& o, std::vector<double>& magnitude,
                   double& largest_score_magnitude) const {
        const std::size_t kv_head = head / (heads / kv_heads);
        std::vector<double> score(row + 1);
        double top = -std::numeric_limits<double>::infinity();
        largest_score_magnitude = 0;
        for (std::size_t j = 0; j <= row; ++j) {
            double sum = 0;
            double absolute = 0;
            for (std::size_t d = 0; d < head_size; ++d) {
                const double product =
                    static_cast<double>(q[(row * heads + head) * head_size + d]) *
                    nullm::to_float(nullm::from_float<T>(k[(j * kv_heads + kv_head) * head_size + d]));
                sum += product;
                absolute += std::fabs(product);
            }
            const double scale = 1 / std::sqrt(static_cast<double>(head_size));
            score[j] = sum * scale;
            top = std::max(top, score[j]);
            largest_score_magnitude = std::max(largest_score_magnitude, absolute * scale);
        }
        double total = 0;
        o.assign(head_size, 0);
        magnitude.assign(head_size, 0);
        for (std::size_t j = 0; j <= row; ++j) {
            const double weight = std::exp(score[j] - top);
            total += weight;
            for (std::size_t d = 0; d < head_size; ++d) {
                const double value =
                    nullm::to_float(nullm::from_float<T>(v[(j * kv_heads + kv_head) * head_size + d]));
                o[d] += weight * value;
                magnitude[d] += weight * std::fabs(value);
            }
        }
        for (std::size_t d = 0; d < head_size; ++d) {
            o[d] /= total;
            magnitude[d] /= total;
        }
    }

    std::size_t heads, kv_heads, head_size, length;
    std::vector<float> q, k, v;
};

template <class T>
void check_against_reference(const problem& p) {
    const auto o = p.run(exact_attention<T>{}, 64, 2);
    // A score is a chain of head_size fma and two roundings: its error is below (head_size + 3) u S, S being
    // the sum of |products| (u = 2^-24). Subtracting the maximum doubles that and rounds once more, exp adds
    // its own 2 u: a weight's relative error r is below 2 (head_size + 4) u S + 2 u. Value and weight sums
    // over n keys add n u each at the very most, merging chunks 6 u a chunk. In all |error| < (2 r + (2 n + 6
    // chunks + 4) u) sum w |v|.
    const double u = std::ldexp(1.0, -24);
    std::vector<double> expected;
    std::vector<double> magnitude;
    double worst = 0;  // error / allowed
    for (std::size_t row = 0; row < p.length; row += (row < 40 ? 1 : 37)) {
        for (std::size_t head = 0; head < p.heads; ++head) {
            double scores = 0;
            p.reference<T>(row, head, expected, magnitude, scores);
            const double n = static_cast<double>(row + 1);
            const double weight_error = 2 * (static_cast<double>(p.head_size) + 4) * u * scores + 2 * u;
            const double relative = 2 * weight_error + (2 * n + 6 * (n / 256 + 1) + 4) * u;
            for (std::size_t d = 0; d < p.head_size; ++d) {
                const double error = std::fabs(o[(row * p.heads + head) * p.head_size + d] - expected[d]);
                worst = std::max(worst, error / (relative * magnitude[d]));
            }
        }
    }
    INFO("head size " << p.head_size << ", worst error / allowed " << worst);
    CHECK(worst <= 1);
}

}  // namespace

TEMPLATE_TEST_CASE("keys that lie in rows give the same bits as interleaved ones", "[attention]", float,
                   nullm::f16, nullm::bf16) {
    for (const auto& p : {problem(6, 2, 20, 530), problem(9, 3, 64, 300)}) {
        const auto expected = p.run(exact_attention<TestType>{}, 64, 1);
        for (const std::size_t m : {1U, 7U, 64U, 530U}) {
            for (const unsigned threads : {1U, 2U, 5U}) {
                CHECK(same_bits(p.run(exact_attention<TestType>{}, m, threads, true), expected));
            }
        }
    }
}

TEST_CASE("attention is the softmax of scaled scores over all earlier positions, at any head size",
          "[attention]") {
    for (const std::size_t head_size : {10, 20, 64, 80, 128}) {
        check_against_reference<float>(problem(4, 2, head_size, 530));
    }
    check_against_reference<float>(problem(9, 3, 64, 300));
    check_against_reference<float>(problem(5, 1, 16, 300));
    check_against_reference<nullm::f16>(problem(4, 2, 64, 300));
    check_against_reference<nullm::bf16>(problem(4, 2, 64, 300));
}

TEST_CASE("a 16-bit cache moves the result by no more than its rounding", "[attention]") {
    const problem p(4, 2, 64, 400);
    const auto exact = p.run(exact_attention<float>{}, 64, 2);
    const auto half = p.run(exact_attention<nullm::f16>{}, 64, 2);
    const auto brain = p.run(exact_attention<nullm::bf16>{}, 64, 2);
    // Rounding moves a score by at most 2^-p S (p = 11 for f16, 8 for bf16, S < 8 here: sum |q k| / 8 with
    // |q| about 1.5, 64 elements), so a weight by a factor below e^(2 x 8 x 2^-p), and a value by 2^-p of
    // itself (|v| < 5).
    double worst_half = 0;
    double worst_brain = 0;
    for (std::size_t i = 0; i < exact.size(); ++i) {
        worst_half = std::max(worst_half, std::fabs(static_cast<double>(half[i]) - exact[i]));
        worst_brain = std::max(worst_brain, std::fabs(static_cast<double>(brain[i]) - exact[i]));
    }
    CHECK(worst_half > 0);
    CHECK(worst_half < 5 * 17 * std::ldexp(1.0, -11));
    CHECK(worst_brain < 5 * 17 * std::ldexp(1.0, -8));
    CHECK(worst_half < worst_brain);
}

TEMPLATE_TEST_CASE("attention gives the same bits in any batch, on any threads and instruction set",
                   "[attention]", float, nullm::f16, nullm::bf16) {
    for (const auto& p : {problem(6, 2, 20, 530), problem(3, 3, 64, 270), problem(5, 1, 80, 270)}) {
        const auto expected = p.run(exact_attention<TestType>{.level = isa::scalar}, 16, 1);
        for (const isa level : {isa::scalar, isa::avx2, isa::avx512, isa::vnni}) {
            if (level > nullm::detected_isa()) continue;
            for (const auto& [m, threads] :
                 {std::pair{16, 3U}, {1, 2U}, {1, 1U}, {2, 2U}, {300, 1U}, {300, 2U}}) {
                if (level == isa::scalar && threads != 3) continue;  // slow, and the others cover it
                INFO(name_of(level) << ", batches of " << m << ", " << threads << " threads");
                CHECK(same_bits(
                    p.run(exact_attention<TestType>{.level = level}, static_cast<std::size_t>(m), threads),
                    expected));
            }
        }
    }
}

TEST_CASE("grouped queries equal independent heads over repeated keys", "[attention]") {
    const problem grouped(6, 2, 24, 280);
    problem repeated(6, 6, 24, 280);
    repeated.q = grouped.q;
    for (std::size_t p = 0; p < grouped.length; ++p) {
        for (std::size_t head = 0; head < 6; ++head) {
            for (std::size_t d = 0; d < 24; ++d) {
                repeated.k[(p * 6 + head) * 24 + d] = grouped.k[(p * 2 + head / 3) * 24 + d];
                repeated.v[(p * 6 + head) * 24 + d] = grouped.v[(p * 2 + head / 3) * 24 + d];
            }
        }
    }
    CHECK(same_bits(grouped.run(exact_attention<nullm::f16>{}, 50, 2),
                    repeated.run(exact_attention<nullm::f16>{}, 50, 2)));
}

TEST_CASE("a later position never touches an earlier one, not even with infinities", "[attention]") {
    const problem clean(4, 2, 20, 40);
    problem poisoned = clean;
    for (std::size_t i = 30 * 2 * 20; i < 40 * 2 * 20; ++i) {
        poisoned.k[i] = std::numeric_limits<float>::infinity();
        poisoned.v[i] = std::numeric_limits<float>::quiet_NaN();
    }
    auto a = clean.run(exact_attention<nullm::f16>{}, 40, 2);
    auto b = poisoned.run(exact_attention<nullm::f16>{}, 40, 2);
    a.resize(30 * 4 * 20);
    b.resize(30 * 4 * 20);
    CHECK(same_bits(a, b));
}

TEST_CASE("the largest score wins, however large", "[attention]") {
    problem p(1, 1, 16, 300);
    for (auto& x : p.q) x = 100;
    for (auto& x : p.k) x = 0;
    for (std::size_t d = 0; d < 16; ++d) p.k[7 * 16 + d] = 100;  // a score of 40,000 in the first chunk
    const auto o = p.run(exact_attention<float>{}, 300, 1);
    for (std::size_t row = 7; row < 300; ++row) {
        for (std::size_t d = 0; d < 16; ++d) REQUIRE(o[row * 16 + d] == p.v[7 * 16 + d]);
    }
}
