#include "make.hpp"

#include <nullm/linear/native_linear.hpp>

std::unique_ptr<const cli::any_model> cli::make_native_f32(const options& chosen,
                                                           const nullm::checkpoint& file) {
    return make_model<nullm::native_linear<nullm::f32>>(chosen, file);
}
