#pragma once
// The library's one exception: what was expected, what was found, and where.

#include <nullm/core/abi.hpp>

#include <stdexcept>
#include <string>
#include <string_view>

namespace nullm::inline NULLM_ABI {

/// Thrown on bad input (files, text, options). what() is one sentence: "<where>: expected <expected>, found <found>".
class error : public std::runtime_error {
 public:
    error(std::string_view where, std::string_view expected, std::string_view found)
        : std::runtime_error(std::string(where) + ": expected " + std::string(expected) + ", found " +
                             std::string(found)) {}
};

/// Thrown by a forward pass that was asked to stop (see `llama::state::request_cancel`). The caches are as they
/// were before the call.
class cancelled : public std::runtime_error {
 public:
    cancelled() : std::runtime_error("forward pass cancelled") {}
};

}  // namespace nullm::inline NULLM_ABI
