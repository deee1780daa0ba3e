#pragma once
// Arrays of a golden .safetensors file, and numbers written in hexadecimal.

#include <nullm/io/safetensors.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace golden {

class tensors {
 public:
    explicit tensors(const std::string& name) : file_(std::filesystem::path(NULLM_GOLDEN_DIR) / name) {}

    template <class T>
    std::vector<T> read(const std::string& name) const {
        const auto bytes = file_.at(name).bytes;
        std::vector<T> values(bytes.size() / sizeof(T));
        std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
        return values;
    }

    std::vector<std::size_t> shape(const std::string& name) const {
        const auto sizes = file_.at(name).shape;
        return {sizes.begin(), sizes.end()};
    }

 private:
    nullm::safetensors_file file_;
};

/// Floats written as eight hexadecimal digits each.
inline std::vector<float> floats_of(const nlohmann::json& hex) {
    std::vector<float> values;
    for (const auto& text : hex) {
        const auto bits = static_cast<std::uint32_t>(std::stoul(text.get<std::string>(), nullptr, 16));
        values.emplace_back();
        std::memcpy(&values.back(), &bits, sizeof(bits));
    }
    return values;
}

/// Bytes written as two hexadecimal digits each, in one string.
inline std::vector<std::byte> bytes_of(const std::string& hex) {
    std::vector<std::byte> bytes;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
        bytes.push_back(static_cast<std::byte>(std::stoul(hex.substr(i, 2), nullptr, 16)));
    }
    return bytes;
}

}  // namespace golden
