#include <nullm/spike/text_prototypes.hpp>

#include <limits>
#include <spike/levels.hpp>
#include <spike/toy_vocabulary.hpp>
#include <support/catch.hpp>
#include <vector>

using nullm::text_prototypes;
using nullm::token_id;

namespace {

nullm::prototype_params small() {
    nullm::prototype_params params;
    params.count = 16;
    params.iterations = 10;
    return params;
}

nullm::aligned_vector<float> direction_of(const nullm::token_directions& tokens, token_id token) {
    nullm::aligned_vector<float> direction(tokens.stride());
    tokens.direction(token, direction);
    return direction;
}

/// 64 tokens in each of 16 tight clusters, in an order that mixes them; lengths say nothing.
struct clustered_vocabulary {
    static constexpr std::size_t clusters = 16;
    static constexpr std::size_t size = 64 * clusters;
    static constexpr std::size_t width = 40;

    static std::size_t cluster_of(std::size_t token) { return (token / 4 + token) % clusters; }
    static void embed(token_id token, std::span<float> out) {
        const auto t = static_cast<std::uint32_t>(token);
        const auto cluster = static_cast<std::uint32_t>(cluster_of(t));
        const float length = 1.0F + nullm::draw_uniform({.seed = 3}, t);
        for (std::uint32_t j = 0; j < width; ++j) {
            const float centre = nullm::draw_uniform({.seed = 1}, cluster * 64 + j) - 0.5F;
            out[j] = length * (centre + 0.02F * (nullm::draw_uniform({.seed = 2}, t * 64 + j) - 0.5F));
        }
    }
    static nullm::vocabulary_view view() {
        return {.size = size,
                .width = width,
                .embedding = embed,
                .piece = [](token_id) { return std::string_view("word"); },
                .special = [](token_id) { return false; }};
    }
};

}  // namespace

TEST_CASE("directions have length one and forget what all embeddings share", "[spike][prototypes]") {
    const spike_test::toy_vocabulary toy;
    for (const auto level : spike_test::levels()) {
        const nullm::token_directions tokens(toy.view(), "test", level);
        REQUIRE(tokens.stride() == 48);
        std::vector<double> mean(toy.width, 0.0);
        for (std::size_t t = 0; t < toy.size; ++t) {
            for (std::size_t j = 0; j < toy.width; ++j) {
                mean[j] += static_cast<double>(toy.table[t * toy.width + j]) / static_cast<double>(toy.size);
            }
        }
        for (const token_id token : {0, 57, 399}) {
            const auto u = direction_of(tokens, token);
            double square = 0;
            double length = 0;
            for (std::size_t j = 0; j < toy.width; ++j) {
                const double d =
                    static_cast<double>(toy.table[static_cast<std::size_t>(token) * toy.width + j]) - mean[j];
                length += d * d;
            }
            for (std::size_t j = 0; j < toy.width; ++j) {
                const double d =
                    static_cast<double>(toy.table[static_cast<std::size_t>(token) * toy.width + j]) - mean[j];
                CHECK(static_cast<double>(u[j]) == Approx(d / std::sqrt(length)).margin(1e-5));
                square += static_cast<double>(u[j]) * static_cast<double>(u[j]);
            }
            for (std::size_t j = toy.width; j < u.size(); ++j) CHECK(u[j] == 0.0F);
            CHECK(square == Approx(1.0));
        }
    }
}

TEST_CASE("clusters that are there are found: their tokens share a prototype, and no two clusters do",
          "[spike][prototypes]") {
    using words = clustered_vocabulary;
    auto params = small();
    params.function_words = false;
    params.sample = 512;  // half of the tokens take part
    const auto prototypes = text_prototypes::build(words::view(), params);
    const nullm::token_directions tokens(words::view(), "test");
    std::vector<std::vector<std::size_t>> seen(words::clusters, std::vector<std::size_t>(prototypes.count()));
    for (std::size_t t = 0; t < words::size; ++t) {
        ++seen[words::cluster_of(t)][prototypes.nearest(direction_of(tokens, static_cast<token_id>(t)))];
    }
    for (std::size_t k = 0; k < prototypes.count(); ++k) {
        CHECK(prototypes.members(k) == 64);
        std::size_t whole = 0;
        for (const auto& cluster : seen) whole += cluster[k] == 64 ? 1 : 0;
        CHECK(whole == 1);
    }
}

TEST_CASE("fillers and terms end in different prototypes, and attention tells them apart",
          "[spike][prototypes]") {
    const spike_test::toy_vocabulary toy;
    auto params = small();
    params.rank_weight = 0.0F;
    const auto prototypes = text_prototypes::build(toy.view(), params);
    const auto table = prototypes.tabulate(toy.view());
    REQUIRE(table.size() == toy.size);
    std::size_t right = 0;
    std::size_t pairs = 0;
    for (std::size_t a = toy.specials + nullm::function_words.size(); a < toy.grammatical; ++a) {
        for (std::size_t b = toy.grammatical; b < toy.size; ++b) {
            right += table[a] < table[b] ? 1 : 0;
            ++pairs;
        }
    }
    CHECK(static_cast<double>(right) / static_cast<double>(pairs) > 0.95);
    double sum = 0;
    double square = 0;
    for (std::size_t k = 0; k < prototypes.count(); ++k) {
        sum += static_cast<double>(prototypes.termness(k));
        square += static_cast<double>(prototypes.termness(k)) * static_cast<double>(prototypes.termness(k));
    }
    CHECK(sum / 16 == Approx(0.0).margin(1e-5));
    CHECK(square / 16 == Approx(1.0));
}

TEST_CASE("attention sums to 1, is flat without sharpness and points with much of it",
          "[spike][prototypes]") {
    const spike_test::toy_vocabulary toy;
    const nullm::token_directions tokens(toy.view(), "test");
    const auto u = direction_of(tokens, 200);
    for (const float sharpness : {0.0F, 5.0F, 80.0F}) {
        auto params = small();
        params.sharpness = sharpness;
        const auto prototypes = text_prototypes::build(toy.view(), params);
        nullm::aligned_vector<float> weights(prototypes.count());
        prototypes.attend(u, weights);
        float sum = 0;
        for (const float w : weights) sum += w;
        CHECK(sum == Approx(1.0F));
        const std::size_t nearest = prototypes.nearest(u);
        for (const float w : weights) CHECK(w <= weights[nearest]);
        if (sharpness == 0.0F) CHECK(weights[nearest] == Approx(1.0F / 16));
        if (sharpness == 80.0F) CHECK(weights[nearest] > 0.5F);
    }
}

TEST_CASE("prototypes are the same bits on every instruction set, and others under another seed",
          "[spike][prototypes]") {
    const spike_test::toy_vocabulary toy;
    const auto reference = text_prototypes::build(toy.view(), small(), nullm::isa::scalar);
    const auto table = reference.tabulate(toy.view());
    for (const auto level : spike_test::levels()) {
        const auto other = text_prototypes::build(toy.view(), small(), level);
        REQUIRE(other.tabulate(toy.view()) == table);
        for (std::size_t k = 0; k < other.count(); ++k) {
            REQUIRE(std::equal(other.direction(k).begin(), other.direction(k).end(),
                               reference.direction(k).begin()));
            REQUIRE(other.members(k) == reference.members(k));
        }
    }
    auto params = small();
    params.seed = 1;
    CHECK(text_prototypes::build(toy.view(), params).tabulate(toy.view()) != table);
}

TEST_CASE("without a word list term-ness is the tokenizer's rank", "[spike][prototypes]") {
    spike_test::toy_vocabulary foreign;
    for (auto& piece : foreign.pieces) piece = "mot";
    CHECK_THROWS_AS(text_prototypes::build(foreign.view(), small()), nullm::error);
    auto params = small();
    params.function_words = false;
    const auto prototypes = text_prototypes::build(foreign.view(), params);
    const nullm::token_directions tokens(foreign.view(), "test");
    std::vector<double> rank(prototypes.count(), 0.0);
    for (std::size_t t = 0; t < foreign.size; ++t) {
        const std::size_t k = prototypes.nearest(direction_of(tokens, static_cast<token_id>(t)));
        rank[k] += std::log(static_cast<double>(t) + 1000) / static_cast<double>(prototypes.members(k));
    }
    for (std::size_t a = 0; a < prototypes.count(); ++a) {
        for (std::size_t b = 0; b < prototypes.count(); ++b) {
            if (rank[a] + 1e-3 < rank[b]) CHECK(prototypes.termness(a) < prototypes.termness(b));
        }
    }
}

TEST_CASE("embeddings that are all alike give prototypes that say nothing, and no NaN",
          "[spike][prototypes]") {
    spike_test::toy_vocabulary toy;
    std::fill(toy.table.begin(), toy.table.end(), 0.25F);
    for (const float r : text_prototypes::build(toy.view(), small()).tabulate(toy.view()))
        CHECK(std::isfinite(r));
}

TEST_CASE("prototypes that cannot be made are refused", "[spike][prototypes]") {
    spike_test::toy_vocabulary toy;
    const auto refused = [&](auto change) {
        auto params = small();
        change(params);
        CHECK_THROWS_AS(text_prototypes::build(toy.view(), params), nullm::error);
    };
    refused([](auto& p) { p.count = 0; });
    refused([](auto& p) { p.count = 500; });
    refused([](auto& p) { p.sample = 0; });
    refused([](auto& p) { p.sharpness = 100.0F; });
    refused([](auto& p) { p.sharpness = std::numeric_limits<float>::quiet_NaN(); });
    refused([](auto& p) { p.rank_weight = -1.0F; });
    CHECK_THROWS_AS(text_prototypes::build({}), nullm::error);
    const auto prototypes = text_prototypes::build(toy.view(), small());
    auto narrower = toy.view();
    narrower.width = 16;
    CHECK_THROWS_AS(prototypes.tabulate(narrower), nullm::error);
    toy.table[5] = std::numeric_limits<float>::infinity();
    CHECK_THROWS_AS(text_prototypes::build(toy.view(), small()), nullm::error);
}
