#include <nullm/linear/dense_linear.hpp>
#include <nullm/linear/nf4_linear.hpp>

#include <model/any_batch.hpp>
#include <support/catch.hpp>

// Weights in another form than the file's.

using namespace llama_fixture;

TEST_CASE("NF4 weights leave the same bits in any batch", "[model]") {
    using nullm::nf4_linear;
    check_any_batch(mixed_formats(), start<nf4_linear<64, nullm::i16>, small_lsh>);
    check_any_batch(mixed_formats(), start<nf4_linear<64, nullm::i8>, nullm::exact_attention<nullm::f16>>);
    check_any_batch(mixed_formats(), start<nf4_linear<64, nullm::f32>, nullm::exact_attention<nullm::f16>>);
}

TEST_CASE("dense weights leave the same bits in any batch", "[model]") {
    using nullm::dense_linear;
    check_any_batch(mixed_formats(), start<dense_linear<float>, nullm::exact_attention<float>>);
    check_any_batch(mixed_formats(), start<dense_linear<nullm::bf16>, small_lsh>);
}
