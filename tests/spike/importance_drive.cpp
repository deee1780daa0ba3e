#include <nullm/spike/drives/importance_drive.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <spike/levels.hpp>
#include <spike/toy_vocabulary.hpp>
#include <support/catch.hpp>
#include <vector>

using nullm::importance_drive;
using nullm::importance_params;
using nullm::token_id;

namespace {

/// Without what the stream and the pieces add: the table is the logistic of the score.
importance_params plain() {
    importance_params params;
    params.novelty_weight = params.digit_floor = params.capital_floor = params.rare_floor = 0.0F;
    return params;
}

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
    auto params = plain();
    params.rank_weight = 0.0F;
    const auto drive = importance_drive::build(toy.view(), params);
    // Only words that are no function words themselves count: the direction must generalise.
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
    CHECK(static_cast<double>(right) / static_cast<double>(pairs) > 0.98);  // AUROC
}

TEST_CASE("the later the tokenizer learned a token, the more it matters", "[spike][drive]") {
    const spike_test::toy_vocabulary toy;
    auto params = plain();
    const auto with_rank = importance_drive::build(toy.view(), params);
    params.rank_weight = 0.0F;
    const auto without = importance_drive::build(toy.view(), params);
    // The rank lowers what lies before the vocabulary's mean rank and raises what lies behind it.
    for (std::size_t t = toy.specials; t < toy.size; ++t) {
        const auto id = static_cast<token_id>(t);
        if (t < toy.size * 2 / 5) CHECK(with_rank.importance(id) <= without.importance(id));
        if (t > toy.size * 3 / 5) CHECK(with_rank.importance(id) >= without.importance(id));
    }
}

TEST_CASE("special tokens have intensity 1, and all others lie inside the unit interval", "[spike][drive]") {
    const spike_test::toy_vocabulary toy;
    for (const float slope : {0.0F, 1.0F, 1000.0F}) {
        auto params = plain();
        params.slope = slope;
        const auto drive = importance_drive::build(toy.view(), params);
        for (std::size_t t = 0; t < toy.size; ++t) {
            const float p = intensity(drive, static_cast<token_id>(t));
            CHECK(p == drive.importance(static_cast<token_id>(t)));
            CHECK((t < toy.specials ? p == 1.0F : p > 0.0F && p < 1.0F));
        }
    }
}

TEST_CASE("numbers, names and the vocabulary's last tokens have floors", "[spike][drive]") {
    spike_test::toy_vocabulary toy;
    toy.pieces[70] = " 1979";
    toy.pieces[71] = " Paris";
    toy.pieces[72] = " A";
    auto params = plain();
    params.digit_floor = 0.8F;
    params.capital_floor = 0.7F;
    const auto drive = importance_drive::build(toy.view(), params);
    const auto floors_of_zero = importance_drive::build(toy.view(), plain());
    CHECK(drive.importance(70) == std::max(0.8F, floors_of_zero.importance(70)));
    CHECK(drive.importance(71) == std::max(0.7F, floors_of_zero.importance(71)));
    CHECK(drive.importance(72) == floors_of_zero.importance(72));

    params = plain();
    params.rare_floor = 0.9F;
    params.rare_rank = 0.25F;
    const auto rare = importance_drive::build(toy.view(), params);
    for (std::size_t t = toy.specials; t < toy.size; ++t) {
        const auto id = static_cast<token_id>(t);
        const float floor = t >= toy.size / 4 ? 0.9F : 0.0F;
        CHECK(rare.importance(id) == std::max(floor, floors_of_zero.importance(id)));
    }
}

TEST_CASE("a token is new until it was used, and becomes so again when its use is long past",
          "[spike][drive]") {
    const spike_test::toy_vocabulary toy;
    auto params = plain();
    params.novelty_weight = 0.25F;
    params.novelty_half_life = 100;
    const auto drive = importance_drive::build(toy.view(), params);
    auto trace = drive.initial_trace();
    auto memory = drive.initial_memory();
    const auto added = [&](token_id token) {
        return drive.intensity(trace, memory, {.token = token}) - drive.importance(token);
    };
    CHECK(added(50) == Approx(0.25F));
    drive.settle(memory, 50);
    CHECK(added(50) == Approx(0.125F));
    drive.settle(memory, 50);
    CHECK(added(50) == Approx(0.25F / 3));
    CHECK(added(51) == Approx(0.25F));
    for (int i = 2; i < 100; ++i) drive.settle(memory, 60);
    CHECK(added(50) == Approx(0.125F));  // two uses count as one
    for (int i = 0; i < 500; ++i) drive.settle(memory, 60);
    CHECK(added(50) == Approx(0.25F));
    CHECK(drive.novelty(memory, 60) < 0.1F);
}

TEST_CASE("a drive that asks for no novelty keeps no memory", "[spike][drive]") {
    const spike_test::toy_vocabulary toy;
    const auto drive = importance_drive::build(toy.view(), plain());
    auto memory = drive.initial_memory();
    drive.settle(memory, 5);
    CHECK(memory.uses.empty());
    CHECK(memory == drive.initial_memory());
}

TEST_CASE("the user's words are kept or skipped where they end, whatever else is known", "[spike][drive]") {
    const spike_test::toy_vocabulary toy;
    auto params = plain();
    params.never_skip = {{5, 6}, {7}};
    params.always_skip = {{300}, {6, 5}};
    const auto drive = importance_drive::build(toy.view(), params);
    const auto memory = drive.initial_memory();
    auto trace = drive.initial_trace();
    std::int64_t position = 0;
    const auto next = [&](token_id token, float confidence = 1.0F) {
        return drive.intensity(trace, memory,
                               {.token = token, .position = position++, .confidence = confidence});
    };
    CHECK(next(5) == drive.importance(5));
    CHECK(next(6) == 1.0F);
    CHECK(next(5) == 0.0F);
    CHECK(next(7) == 1.0F);
    CHECK(next(6) == drive.importance(6));
    CHECK(next(300, 0.0F) == 0.0F);
    position = 1;  // as a loop goes back: the trace is put back, too
    trace = drive.initial_trace();
    CHECK(next(6) == drive.importance(6));
}

TEST_CASE("doubt adds to the intensity, up to the largest that is no verdict", "[spike][drive]") {
    const spike_test::toy_vocabulary toy;
    auto params = plain();
    params.uncertainty_weight = 0.5F;
    const auto drive = importance_drive::build(toy.view(), params);
    CHECK(intensity(drive, 5, 0.0F) == Approx(drive.importance(5) + 0.5F));
    CHECK(intensity(drive, 5, 0.5F) == Approx(drive.importance(5) + 0.25F));
    CHECK(intensity(drive, 399, 0.0F) == Approx(1.0F).margin(0.01));
    CHECK(intensity(drive, 399, 0.0F) < 1.0F);
    CHECK(intensity(drive, 0, 0.0F) == 1.0F);
    CHECK_THROWS_AS(intensity(drive, 5, 1.5F), nullm::error);
}

TEST_CASE("distances may come from elsewhere", "[spike][drive]") {
    const spike_test::toy_vocabulary toy;
    nullm::aligned_vector<float> distances(toy.size);
    for (std::size_t t = 0; t < toy.size; ++t) distances[t] = t % 2 == 0 ? 1.0F : 3.0F;
    auto params = plain();
    params.rank_weight = 0.0F;
    params.centre = 0.0F;
    const auto drive = importance_drive::build(toy.view(), distances, params);
    CHECK(drive.importance(10) == Approx(1 / (1 + std::exp(1.0))));  // standardised: -1 and 1
    CHECK(drive.importance(11) == Approx(1 / (1 + std::exp(-1.0))));
    distances.pop_back();
    CHECK_THROWS_AS(importance_drive::build(toy.view(), distances, params), nullm::error);
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
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const auto refused = [&](auto change) {
        importance_params params;
        change(params);
        CHECK_THROWS_AS(importance_drive::build(toy.view(), params), nullm::error);
    };
    refused([](auto& p) { p.neurons = 0; });
    refused([](auto& p) { p.rank_weight = -1.0F; });
    refused([&](auto& p) { p.slope = nan; });
    refused([&](auto& p) { p.centre = nan; });
    refused([](auto& p) { p.novelty_weight = 2.0F; });
    refused([](auto& p) { p.novelty_half_life = 0; });
    refused([](auto& p) { p.digit_floor = 1.5F; });
    refused([](auto& p) { p.capital_floor = -0.5F; });
    refused([](auto& p) { p.rare_floor = 1.5F; });
    refused([](auto& p) { p.rare_rank = 1.5F; });
    refused([](auto& p) { p.uncertainty_weight = 2.0F; });
    refused([](auto& p) { p.never_skip = {{400}}; });
    refused([](auto& p) { p.always_skip = {{}}; });
    refused([](auto& p) { p.never_skip = p.always_skip = {{1, 2}}; });
    CHECK_THROWS_AS(importance_drive::build({}, importance_params{}), nullm::error);
    const auto drive = importance_drive::build(toy.view());
    auto trace = drive.initial_trace();
    auto memory = drive.initial_memory();
    for (const token_id outside : {-1, static_cast<token_id>(toy.size)}) {
        CHECK_THROWS_AS(drive.importance(outside), nullm::error);
        CHECK_THROWS_AS(drive.intensity(trace, memory, {.token = outside}), nullm::error);
        CHECK_THROWS_AS(drive.settle(memory, outside), nullm::error);
    }
    CHECK(trace == drive.initial_trace());
    CHECK(memory == drive.initial_memory());

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
