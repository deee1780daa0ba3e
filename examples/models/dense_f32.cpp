#include "make.hpp"

#include <nullm/linear/dense_linear.hpp>

std::unique_ptr<const cli::any_model> cli::make_dense_f32(const options& chosen,
                                                          const nullm::checkpoint& file) {
    return make_model<nullm::dense_linear<float>>(chosen, file);
}
