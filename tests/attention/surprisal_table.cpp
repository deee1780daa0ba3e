#include <nullm/attention/surprisal_table.hpp>
#include <nullm/attention/table_sampler.hpp>

#include <support/catch.hpp>

#include <cmath>
#include <vector>

namespace {

float look_up(const nullm::surprisal_table& table, float cosine, float most = 100, float inverse_norm = 1) {
    float found = -1;
    NULLM_DISPATCH(nullm::active_isa(),
                   look_up_surprisal(table.data(), static_cast<float>(nullm::surprisal_table::per_unit),
                                     &cosine, 1.0F, &inverse_norm, 1, most, &found));
    return found;
}

}  // namespace

TEST_CASE("the surprisal table is within a thousandth of the formula, and never falls with the angle",
          "[attention]") {
    for (const nullm::lsh_shape shape :
         {nullm::lsh_shape{1, 2}, nullm::lsh_shape{15, 2}, nullm::lsh_shape{4, 16}, nullm::lsh_shape{8, 75},
          nullm::lsh_shape{10, 150}}) {
        const nullm::surprisal_table table(shape);
        float before = 100;
        double worst = 0;
        for (int i = -20000; i <= 20000; ++i) {
            const float cosine = static_cast<float>(i) / 20000;
            const float found = look_up(table, cosine);
            const double expected = -log_inclusion_probability(shape, static_cast<double>(cosine));
            if (expected < -std::log(1e-4))
                worst = std::max(worst, std::fabs(static_cast<double>(found) - expected));
            // Neighbouring cosines may differ by the rounding of one interpolation: an ulp of 60.
            CHECK(found <= before + 4e-6F);
            before = found;
        }
        INFO(shape.bits << " bits, " << shape.tables << " tables");
        CHECK(worst < 1e-3);
        CHECK(look_up(table, 1.0F) == 0.0F);
        CHECK(look_up(table, 1.0001F) == 0.0F);
        CHECK(look_up(table, -1.0001F) == look_up(table, -1.0F));
    }
}

TEST_CASE("a surprisal is bounded by the floor, and nothing for keys that are found always", "[attention]") {
    const nullm::surprisal_table table({10, 150});
    CHECK(look_up(table, -0.9F, 9.0F) == 9.0F);
    CHECK(look_up(table, -0.9F, 9.0F, 0.0F) == 0.0F);
    const nullm::surprisal_table certain({0, 2});
    for (const float cosine : {-1.0F, -0.2F, 0.7F, 1.0F}) CHECK(look_up(certain, cosine) == 0.0F);
}

TEST_CASE("every instruction set looks up the same bits", "[attention]") {
    const nullm::surprisal_table table({9, 120});
    std::vector<float> dots(501);
    std::vector<float> norms(501);
    for (std::size_t i = 0; i < dots.size(); ++i) {
        dots[i] = (static_cast<float>(i) - 250) * 0.0137F;
        norms[i] = 0.2F + 0.001F * static_cast<float>(i % 97);
    }
    const auto run = [&](nullm::isa level) {
        std::vector<float> out(dots.size());
        NULLM_DISPATCH(level,
                       look_up_surprisal(table.data(), static_cast<float>(nullm::surprisal_table::per_unit),
                                         dots.data(), 0.731F, norms.data(), dots.size(), 9.2F, out.data()));
        return out;
    };
    for (const auto level : {nullm::isa::avx2, nullm::isa::avx512}) {
        if (level <= nullm::detected_isa()) CHECK(run(level) == run(nullm::isa::scalar));
    }
}
