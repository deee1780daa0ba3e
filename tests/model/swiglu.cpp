#include <nullm/model/swiglu.hpp>

#include <support/catch.hpp>

#include <cmath>
#include <random>
#include <vector>

TEST_CASE("swiglu is silu(gate) times up", "[model]") {
    std::vector<float> gate;
    std::vector<float> up;
    for (float g = -100; g <= 100; g += 0.37F) {
        gate.push_back(g);
        up.push_back(1 + g / 150);
    }
    std::vector<float> y(gate.size());
    nullm::swiglu(gate, up, y);
    for (std::size_t i = 0; i < gate.size(); ++i) {
        const double g = gate[i];
        const double expected = g / (1 + std::exp(-g)) * up[i];
        // exp errs by 2 u, sum, quotient and product by one each: below 6 u. Where e^-g is cut off at e^88
        // the result is below 100 e^-88.
        CHECK(std::fabs(y[i] - expected) <= 6 * std::ldexp(1.0, -24) * std::fabs(expected) + 1e-36);
    }
}

TEST_CASE("swiglu gives the same bits on every instruction set and over its inputs", "[model]") {
    std::mt19937 random(1);
    std::normal_distribution<float> normal(0.0F, 4.0F);
    for (const std::size_t size : {1, 7, 9, 16, 23, 33, 200}) {
        std::vector<float> gate(size);
        std::vector<float> up(size);
        for (auto& x : gate) x = normal(random);
        for (auto& x : up) x = normal(random);
        std::vector<float> expected(size);
        nullm::swiglu(gate, up, expected, nullm::isa::scalar);
        for (const nullm::isa level : {nullm::isa::avx2, nullm::isa::avx512}) {
            if (level > nullm::detected_isa()) continue;
            auto over_gate = gate;
            auto over_up = up;
            nullm::swiglu(over_gate, up, over_gate, level);
            nullm::swiglu(gate, over_up, over_up, level);
            CHECK(over_gate == expected);
            CHECK(over_up == expected);
        }
    }
}
