#pragma once
// Reads the fixtures in tests/golden/.

#include <cstdint>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace golden {

inline nlohmann::json read_json(const std::string& name) {
    std::ifstream file(std::string(NULLM_GOLDEN_DIR) + "/" + name);
    if (!file) throw std::runtime_error("missing golden file " + name);
    return nlohmann::json::parse(file);
}

inline std::vector<std::uint8_t> decode_base64(const std::string& text) {
    std::vector<std::uint8_t> bytes;
    std::uint32_t buffer = 0;
    int bits = 0;
    for (const char c : text) {
        const char* alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        const char* found = std::strchr(alphabet, c);
        if (found == nullptr || c == '\0') continue;  // padding
        buffer = (buffer << 6) | static_cast<std::uint32_t>(found - alphabet);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            bytes.push_back(static_cast<std::uint8_t>((buffer >> bits) & 0xFFU));
        }
    }
    return bytes;
}

inline std::vector<float> decode_floats(const std::string& text) {
    const auto bytes = decode_base64(text);
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
    return values;
}

}  // namespace golden
