#pragma once
// What a call says when it refuses.

#include <nullm/core/error.hpp>

#include <string>

namespace support {

/// The sentence of the nullm::error that f throws; empty if it throws nothing. Other exceptions pass.
template <class F>
std::string refusal(F&& f) {
    try {
        f();
    } catch (const nullm::error& refused) {
        return refused.what();
    }
    return {};
}

inline bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace support
