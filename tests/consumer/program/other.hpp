#pragma once
#include <nullm/core/isa.hpp>

#include <cstddef>

namespace other {

std::size_t encoded(std::size_t neurons);
nullm::isa (*address_of_active_isa())();

}  // namespace other
