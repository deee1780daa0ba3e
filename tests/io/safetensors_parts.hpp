#pragma once
// Pieces of safetensors files, put together by hand so that they can be wrong.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace support {

/// Length, JSON and `data` bytes 0, 1, 2, ...
inline std::vector<std::byte> safetensors_bytes(const std::string& json, std::size_t data = 0) {
    std::vector<std::byte> out(8 + json.size() + data);
    const std::uint64_t length = json.size();
    std::memcpy(out.data(), &length, 8);
    std::memcpy(out.data() + 8, json.data(), json.size());
    for (std::size_t i = 0; i < data; ++i) out[8 + json.size() + i] = static_cast<std::byte>(i);
    return out;
}

inline std::vector<std::byte> bytes_of_file(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    std::vector<std::byte> out(text.size());
    std::memcpy(out.data(), text.data(), text.size());
    return out;
}

}  // namespace support
