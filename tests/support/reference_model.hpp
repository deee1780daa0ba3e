#pragma once
// SmolLM2-135M-Instruct.Q4_1.gguf, where NULLM_MODEL names it; tests that need it say so and are skipped otherwise.

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <optional>

namespace support {

inline std::optional<std::filesystem::path> reference_model() {
    const char* path = std::getenv("NULLM_MODEL");
    if (path != nullptr && *path != '\0') return path;
    std::cout << "skipped: NULLM_MODEL does not name the reference model\n";
    return std::nullopt;
}

}  // namespace support
