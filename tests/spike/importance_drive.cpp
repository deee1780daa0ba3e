#include <nullm/spike/drives/importance_drive.hpp>

#include <limits>
#include <spike/levels.hpp>
#include <spike/toy_vocabulary.hpp>
#include <support/catch.hpp>

using nullm::importance_drive;
using nullm::token_id;

namespace {

float intensity(const importance_drive& drive, token_id token, float confidence = 1.0F) {
    auto trace = drive.initial_trace();
    std::vector<float> out(drive.width(), -1.0F);
    drive.intensities(trace, drive.initial_memory(), {.token = token, .confidence = confidence}, out);
    for (const float x : out) REQUIRE(x == out[0]);
    return out[0];
}

}  // namespace

TEST_CASE("words like the function words matter less than the others, whatever their length",
          "[spike][drive]") {
    const spike_test::toy_vocabulary toy;
    const auto drive =
        importance_drive::build(toy.view(), {.rank_weight = 0.0F, .slope = 1.0F, .centre = 0.0F});
    // Only words that were no anchors of the centroid count: the direction must generalise.
    std::size_t right = 0;
    std::size_t pairs = 0;
    for (std::size_t a = toy.specials + nullm::function_words.size(); a < toy.grammatical; ++a) {
        for (std::size_t b = toy.grammatical; b < toy.size; ++b) {
            right += drive.importance(static_cast<token_id>(a)) < drive.importance(static_cast<token_id>(b))
                         ? 1
                         : 0;
            ++pairs;
        }
    }
    CHECK(static_cast<double>(right) / static_cast<double>(pairs) > 0.99);  // AUROC
}

TEST_CASE("the later the tokenizer learned a token, the more it matters", "[spike][drive]") {
    spike_test::toy_vocabulary toy;
    const auto view = toy.view();
    const auto drive = importance_drive::build(view, {.rank_weight = 0.5F});
    const auto without = importance_drive::build(view, {.rank_weight = 0.0F});
    // The rank moves every score up or down by its own sign alone: below the middle id it lowers, above it
    // raises.
    for (std::size_t t = toy.specials; t < toy.size; ++t) {
        const auto id = static_cast<token_id>(t);
        if (t < toy.size / 2) CHECK(drive.importance(id) <= without.importance(id));
        if (t > toy.size / 2) CHECK(drive.importance(id) >= without.importance(id));
    }
}

TEST_CASE("special tokens have intensity 1, and all others lie inside the unit interval", "[spike][drive]") {
    const spike_test::toy_vocabulary toy;
    const auto drive = importance_drive::build(toy.view());
    for (std::size_t t = 0; t < toy.size; ++t) {
        const float p = intensity(drive, static_cast<token_id>(t));
        if (t < toy.specials) CHECK(p == 1.0F);
        CHECK((p > 0.0F && p <= 1.0F));
        CHECK(p == drive.importance(static_cast<token_id>(t)));
    }
}

TEST_CASE("doubt adds to the intensity, up to 1", "[spike][drive]") {
    const spike_test::toy_vocabulary toy;
    const auto drive = importance_drive::build(toy.view(), {.uncertainty_weight = 0.5F});
    CHECK(intensity(drive, 5, 0.0F) == Approx(drive.importance(5) + 0.5F));
    CHECK(intensity(drive, 5, 0.5F) == Approx(drive.importance(5) + 0.25F));
    CHECK(intensity(drive, 0, 0.0F) == 1.0F);
    CHECK_THROWS_AS(intensity(drive, 5, 1.5F), nullm::error);
}

TEST_CASE("the table is the same bits on every instruction set and of every copy", "[spike][drive]") {
    const spike_test::toy_vocabulary toy;
    const auto drive = importance_drive::build(toy.view(), {}, nullm::isa::scalar);
    const auto copy = drive;
    for (const auto level : spike_test::levels()) {
        const auto other = importance_drive::build(toy.view(), {}, level);
        for (std::size_t t = 0; t < toy.size; ++t) {
            const auto id = static_cast<token_id>(t);
            REQUIRE(drive.importance(id) == other.importance(id));
            REQUIRE(drive.importance(id) == copy.importance(id));
        }
    }
}

TEST_CASE("a drive that cannot be right is refused", "[spike][drive]") {
    spike_test::toy_vocabulary toy;
    CHECK_THROWS_AS(importance_drive::build(toy.view(), {.neurons = 0}), nullm::error);
    CHECK_THROWS_AS(importance_drive::build(toy.view(), {.rank_weight = -1.0F}), nullm::error);
    CHECK_THROWS_AS(importance_drive::build(toy.view(), {.slope = std::numeric_limits<float>::quiet_NaN()}),
                    nullm::error);
    CHECK_THROWS_AS(importance_drive::build(toy.view(), {.uncertainty_weight = 2.0F}), nullm::error);
    CHECK_THROWS_AS(importance_drive::build({}, {}), nullm::error);
    const auto drive = importance_drive::build(toy.view());
    CHECK_THROWS_AS(drive.importance(-1), nullm::error);
    CHECK_THROWS_AS(drive.importance(static_cast<token_id>(toy.size)), nullm::error);

    toy.table[500] = std::numeric_limits<float>::infinity();
    CHECK_THROWS_AS(importance_drive::build(toy.view()), nullm::error);
    spike_test::toy_vocabulary foreign;
    for (auto& piece : foreign.pieces) piece = "mot";
    CHECK_THROWS_AS(importance_drive::build(foreign.view()), nullm::error);
}

TEST_CASE("embeddings that are all alike give a finite table", "[spike][drive]") {
    spike_test::toy_vocabulary toy;
    std::fill(toy.table.begin(), toy.table.end(), 0.25F);
    const auto drive = importance_drive::build(toy.view());
    for (std::size_t t = 0; t < toy.size; ++t) {
        const float p = drive.importance(static_cast<token_id>(t));
        CHECK((p > 0.0F && p <= 1.0F));
    }
}
