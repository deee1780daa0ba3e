#include "make.hpp"

#include <nullm/linear/native_linear.hpp>

std::unique_ptr<const cli::any_model> cli::make_native_i16(const options& chosen,
                                                           const nullm::checkpoint& file) {
    return make_model<nullm::native_linear<nullm::i16>>(chosen, file);
}
