#pragma once
// The model named by the environment, for the tests with the tag [model].

#include <nullm/model/checkpoint.hpp>

#include <cstdlib>
#include <iostream>
#include <optional>

namespace text_test {

/// The checkpoint at NULLM_MODEL; without it the test says so and is skipped.
inline std::optional<nullm::checkpoint> model() {
    const char* path = std::getenv("NULLM_MODEL");
    if (path == nullptr || *path == '\0') {
        std::cout << "skipped: set NULLM_MODEL to SmolLM2-135M-Instruct.Q4_1.gguf to run this test\n";
        return std::nullopt;
    }
    return std::optional<nullm::checkpoint>(std::in_place, path);
}

}  // namespace text_test
