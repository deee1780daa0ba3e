#include <nullm/model/nf4_checkpoint.hpp>

#include <support/catch.hpp>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <vector>

// nf4_hf.safetensors: the state_dict of two Linear4bit layers, plain and double-quantised.

TEST_CASE("a layer that bitsandbytes saved decodes to its codes times its scales, and multiplies", "[model]") {
    const nullm::safetensors_file file(std::filesystem::path(NULLM_GOLDEN_DIR) / "nf4_hf.safetensors");
    nullm::thread_pool pool(2);
    for (const char* layer : {"model.plain", "model.nested"}) {
        INFO(layer);
        const nullm::nf4_weight weight = nullm::gather_nf4(file, layer);
        CHECK(weight.nested.has_value() == (std::string_view(layer) == "model.nested"));
        const auto scales = nullm::nf4_scales(weight);
        REQUIRE(scales.size() == weight.blocks());
        const auto linear = nullm::load_nf4_linear<64, nullm::f32>(file, layer, pool);
        REQUIRE(linear.out() == weight.rows);
        REQUIRE(linear.in() == weight.cols);

        std::vector<float> x(weight.cols);
        for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 13) - 6;
        nullm::prepared_rows<nullm::f32> input;
        input.assign({x.data(), 1, x.size()}, pool);
        std::vector<float> y(weight.rows);
        linear.apply(input, {y.data(), 1, y.size()}, pool);

        std::vector<float> row(weight.cols);
        for (std::size_t r = 0; r < weight.rows; ++r) {
            linear.decode_row(r, row);
            double sum = 0;
            double magnitude = 0;
            for (std::size_t c = 0; c < weight.cols; ++c) {
                const std::size_t i = r * weight.cols + c;
                const auto byte = std::to_integer<unsigned>(weight.packed[i / 2]);
                const std::uint32_t bits = nullm::nf4_codebook_bits[i % 2 == 0 ? byte >> 4 : byte & 15];
                float code = 0;
                std::memcpy(&code, &bits, sizeof(code));
                REQUIRE(row[c] == code * scales[i / weight.block]);
                sum += static_cast<double>(row[c]) * x[c];
                magnitude += std::abs(static_cast<double>(row[c]) * x[c]);
            }
            // A quarter of the columns a chain of fma: each rounding errs by 2^-24 of a sum below the magnitude.
            CHECK(std::abs(y[r] - sum) <= static_cast<double>(weight.cols / 4 + 3) * 0x1p-24 * magnitude);
        }
    }
}

TEST_CASE("a layer of other blocks than asked for is refused", "[model]") {
    const nullm::safetensors_file file(std::filesystem::path(NULLM_GOLDEN_DIR) / "nf4_hf.safetensors");
    nullm::thread_pool pool(1);
    CHECK_THROWS_AS((nullm::load_nf4_linear<128, nullm::i16>(file, "model.plain", pool)), nullm::error);
}
