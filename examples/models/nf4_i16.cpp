#include "make.hpp"

#include <nullm/linear/nf4_linear.hpp>

std::unique_ptr<const cli::any_model> cli::make_nf4_i16(const options& chosen,
                                                        const nullm::checkpoint& file) {
    return make_model<nullm::nf4_linear<64, nullm::i16>>(chosen, file);
}
