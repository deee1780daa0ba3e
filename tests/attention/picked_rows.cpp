#include <nullm/attention/picked_rows.hpp>

#include <attention/clustered_keys.hpp>
#include <support/catch.hpp>
#include <support/same_bits.hpp>

#include <cmath>
#include <cstdint>
#include <vector>

namespace {

using nullm::isa;
using nullm_test::clustered_keys;

// Part results of some heads.
struct results {
    results(std::size_t heads, std::size_t parts, std::size_t stride_)
        : count(parts),
          stride(stride_),
          maximum(heads * parts),
          total(heads * parts),
          square(heads * parts),
          values(heads * parts * stride_) {}
    nullm::attention_part at(std::size_t head, std::size_t part) {
        const std::size_t slot = head * count + part;
        return {&maximum[slot], &total[slot], &square[slot], values.data() + slot * stride};
    }
    std::size_t count, stride;
    std::vector<float> maximum, total, square;
    nullm::aligned_vector<float> values;
};

// Three heads of position 299, and all that may be read.
struct last_of_300 {
    last_of_300() {
        p.store(cache, 0, p.length);
        cache.commit(p.length);
    }
    clustered_keys p{3, 1, 20, 300};
    nullm::kv_cache<float> cache{p.cache_shape(1), p.length, {true}};
    nullm::key_query query{.position = 299, .limit = 300, .q = {p.rows(299, 1).data, 3, 20}};
};

// Attention of position 699's heads to `positions`, cut into `parts` of them.
std::vector<float> attend(const clustered_keys& p, bool in_rows, const std::vector<std::uint32_t>& positions,
                          const std::vector<float>& surprisal, std::size_t parts, isa level) {
    nullm::kv_cache<float> cache(p.cache_shape(1), p.length, {in_rows});
    p.store(cache, 0, p.length);
    cache.commit(p.length);
    const nullm::key_query query{.position = p.length - 1,
                                 .limit = p.length,
                                 .q = {p.rows(p.length - 1, 1).data, p.heads, p.head_size}};
    results made(p.heads, parts, cache.value_stride());
    nullm::picked_rows<float> rows;
    for (std::size_t part = 0; part < parts; ++part) {
        const std::size_t first = positions.size() * part / parts;
        const std::size_t last = positions.size() * (part + 1) / parts;
        rows.list(cache, query, std::span(positions).subspan(first, last - first));
        rows.dot(level);
        nullm::attention_part to[nullm::picked_rows<float>::most_heads] = {};
        for (std::size_t i = 0; i < p.heads; ++i) {
            std::copy(surprisal.begin() + static_cast<std::ptrdiff_t>(first),
                      surprisal.begin() + static_cast<std::ptrdiff_t>(last), rows.surprisal(i));
            to[i] = made.at(i, part);
        }
        rows.mix(to, level);
    }
    std::vector<float> o(p.heads * p.head_size);
    std::vector<float> factor(parts);
    for (std::size_t i = 0; i < p.heads; ++i) {
        float total = 0;
        float square = 0;
        NULLM_DISPATCH(
            level,
            merge_picked(parts, &made.maximum[i * parts], &made.total[i * parts], &made.square[i * parts],
                         made.values.data() + i * parts * made.stride, made.stride, p.head_size,
                         o.data() + i * p.head_size, factor.data(), total, square));
        CHECK(total >= 1);
        CHECK(square <= total * total * 1.0001F);
    }
    return o;
}

std::vector<double> expected(const clustered_keys& p, const std::vector<std::uint32_t>& positions,
                             const std::vector<float>& surprisal) {
    std::vector<double> o(p.heads * p.head_size);
    for (std::size_t i = 0; i < p.heads; ++i) {
        double total = 0;
        for (std::size_t j = 0; j < positions.size(); ++j) {
            double dot = 0;
            for (std::size_t d = 0; d < p.head_size; ++d)
                dot += static_cast<double>(p.rows(p.length - 1, 1).data[i * p.head_size + d]) *
                       static_cast<double>(p.k[positions[j] * p.head_size + d]);
            const double w = std::exp(dot / std::sqrt(static_cast<double>(p.head_size)) +
                                      static_cast<double>(surprisal[j]) - 20);
            for (std::size_t d = 0; d < p.head_size; ++d)
                o[i * p.head_size + d] += w * static_cast<double>(p.v[positions[j] * p.head_size + d]);
            total += w;
        }
        for (std::size_t d = 0; d < p.head_size; ++d) o[i * p.head_size + d] /= total;
    }
    return o;
}

}  // namespace

TEST_CASE("picked keys are attended to under their surprisal, the parts of a choice as the whole",
          "[attention]") {
    const clustered_keys p(3, 1, 20, 700);
    std::vector<std::uint32_t> positions;
    std::vector<float> surprisal;
    for (std::uint32_t at = 2; at < 700; at += 1 + at % 2) {
        positions.push_back(at);
        surprisal.push_back(at % 5 == 0 ? 0.0F : 0.01F * static_cast<float>(at % 300));
    }
    const auto exact = expected(p, positions, surprisal);
    for (const bool in_rows : {false, true}) {
        for (const std::size_t parts : {1U, 2U, 7U}) {
            const auto scalar = attend(p, in_rows, positions, surprisal, parts, isa::scalar);
            for (std::size_t i = 0; i < exact.size(); ++i)
                CHECK(std::fabs(static_cast<double>(scalar[i]) - exact[i]) < 2e-5);
            for (const isa level : {isa::avx2, isa::avx512, isa::vnni}) {
                if (level > nullm::detected_isa()) continue;
                INFO(parts << " parts, " << name_of(level));
                CHECK(support::same_bits(attend(p, in_rows, positions, surprisal, parts, level), scalar));
            }
        }
    }
}

TEST_CASE("a part without keys adds nothing", "[attention]") {
    const clustered_keys p(2, 1, 16, 300);
    const std::vector<std::uint32_t> positions{7, 250};
    const std::vector<float> surprisal(2);
    const auto two = attend(p, true, positions, surprisal, 2, nullm::active_isa());
    // Of five parts of two keys three are empty.
    CHECK(support::same_bits(attend(p, true, positions, surprisal, 5, nullm::active_isa()), two));
}

TEST_CASE("the logarithm of what some rows weigh together is right to a float's digits", "[attention]") {
    const last_of_300 asked;
    for (const std::size_t count : {1U, 16U, 37U}) {
        std::vector<std::uint32_t> positions(count);
        for (std::size_t j = 0; j < count; ++j) positions[j] = static_cast<std::uint32_t>(7 * j);
        nullm::picked_rows<float> rows;
        rows.list(asked.cache, asked.query, positions);
        for (const isa level : {isa::scalar, isa::avx2, isa::avx512}) {
            if (level > nullm::detected_isa()) continue;
            rows.dot(level);
            for (std::size_t i = 0; i < 3; ++i) {
                double sum = 0;
                for (std::size_t j = 0; j < count; ++j)
                    sum += std::exp(static_cast<double>(rows.dots(i)[j]) / std::sqrt(20.0));
                CHECK(static_cast<double>(rows.log_sum(i, level)) ==
                      Approx(std::log(sum)).epsilon(1e-6).margin(1e-6));
                CHECK(rows.log_sum(i, level) == rows.log_sum(i, isa::scalar));
            }
        }
    }
}

TEST_CASE("rows asked for while others are mixed change nothing of these", "[attention]") {
    const last_of_300 asked;
    std::vector<std::uint32_t> positions(60);
    for (std::size_t j = 0; j < positions.size(); ++j) positions[j] = static_cast<std::uint32_t>(5 * j);
    for (const std::size_t others : {0U, 7U, 60U}) {  // none, fewer than are mixed, and more
        nullm::picked_rows<float> next;
        next.list(asked.cache, asked.query, std::span(positions).first(others));
        for (const isa level : {isa::scalar, isa::avx2, isa::avx512}) {
            if (level > nullm::detected_isa()) continue;
            results alone(3, 1, asked.cache.value_stride());
            results beside(3, 1, asked.cache.value_stride());
            const auto mix = [&](results& made, const nullm::picked_rows<float>* ahead) {
                nullm::picked_rows<float> rows;
                rows.list(asked.cache, asked.query, std::span(positions).first(37));
                rows.dot(level);
                nullm::attention_part to[nullm::picked_rows<float>::most_heads] = {};
                for (std::size_t i = 0; i < 3; ++i) to[i] = made.at(i, 0);
                rows.mix(to, level, ahead);
            };
            mix(alone, nullptr);
            mix(beside, &next);
            CHECK(support::same_bits(beside.values, alone.values));
            CHECK(support::same_bits(beside.total, alone.total));
        }
    }
}
