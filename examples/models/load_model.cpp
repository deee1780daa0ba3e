#include "make.hpp"

namespace {

cli::maker* maker_of(const cli::options& chosen) {
    using cli::arithmetic;
    const arithmetic a = chosen.computes_in();
    switch (chosen.linear) {
        case cli::linear::native:
            return a == arithmetic::i16  ? cli::make_native_i16
                   : a == arithmetic::i8 ? cli::make_native_i8
                                         : cli::make_native_f32;
        case cli::linear::nf4:
            return a == arithmetic::i16  ? cli::make_nf4_i16
                   : a == arithmetic::i8 ? cli::make_nf4_i8
                                         : cli::make_nf4_f32;
        case cli::linear::f32:
            break;
    }
    if (a != arithmetic::f32) {
        throw nullm::error("--linear f32", "--arith f32, which weights in float are multiplied in",
                           cli::name_of(a));
    }
    return cli::make_dense_f32;
}

}  // namespace

cli::chosen_model cli::load_model(const options& chosen, const nullm::checkpoint& file) {
    return chosen_model(maker_of(chosen)(chosen, file));
}
