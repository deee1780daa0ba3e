#include <nullm/linear/native_linear.hpp>

#include <model/any_batch.hpp>
#include <support/catch.hpp>

using namespace llama_fixture;

TEST_CASE("native weights leave the same bits in any batch", "[model]") {
    using nullm::native_linear;
    // Formats stored as floats keep a second copy of the activations, so a model without them is another one.
    for (const auto& spec : {mixed_formats(), one_format(tensor_type::q4_0)}) {
        check_any_batch(spec, start<native_linear<nullm::i16>, nullm::exact_attention<nullm::f16>>);
        check_any_batch(spec, start<native_linear<nullm::i8>, nullm::exact_attention<nullm::bf16>>);
    }
    check_any_batch(mixed_formats(), start<native_linear<nullm::f32>, nullm::exact_attention<float>>);
}
