#include <nullm/io/gguf_format.hpp>
#include <support/catch.hpp>

using nullm::gguf_type;
using nullm::tensor_type;

TEST_CASE("the format's numbers, names and sizes are ggml's", "[io]") {
    REQUIRE(name_of(gguf_type::u8) == "u8");
    REQUIRE(name_of(gguf_type::boolean) == "bool");
    REQUIRE(name_of(gguf_type::f64) == "f64");
    REQUIRE(nullm::fixed_bytes(gguf_type::u64) == 8);
    REQUIRE(nullm::fixed_bytes(gguf_type::string) == 0);
    REQUIRE(nullm::least_bytes(gguf_type::string) == 8);
    REQUIRE(nullm::least_bytes(gguf_type::array) == 12);
    for (std::uint32_t t = 0; t < nullm::gguf_type_count; ++t) REQUIRE(nullm::least_bytes(gguf_type{t}) > 0);
    REQUIRE(nullm::tensor_type_of_ggml(0) == tensor_type::f32);
    REQUIRE(nullm::tensor_type_of_ggml(30) == tensor_type::bf16);
    REQUIRE_FALSE(nullm::tensor_type_of_ggml(12));
    REQUIRE(nullm::ggml_type_name(12) == "Q4_K");
    REQUIRE(nullm::ggml_type_name(23) == "IQ4_XS");
    REQUIRE(nullm::ggml_type_name(28) == "F64");
    REQUIRE(nullm::ggml_type_name(30) == "BF16");
    REQUIRE(nullm::ggml_type_name(35) == "TQ2_0");
    REQUIRE(nullm::ggml_type_name(40) == "NVFP4");
    // A type the library knows has the same name on both sides.
    for (std::uint32_t n = 0; n < 100; ++n) {
        if (const auto type = nullm::tensor_type_of_ggml(n))
            REQUIRE(nullm::ggml_type_name(n) == name_of(*type));
    }
}
