#pragma once
// Reads the arrays of a golden .safetensors file. Trusts the file: it is ours.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace golden {

class tensors {
 public:
    explicit tensors(const std::string& name) {
        std::ifstream file(std::string(NULLM_GOLDEN_DIR) + "/" + name, std::ios::binary);
        if (!file) throw std::runtime_error("missing golden file " + name);
        bytes_.assign(std::istreambuf_iterator<char>(file), {});
        std::uint64_t header = 0;
        std::memcpy(&header, bytes_.data(), sizeof(header));
        data_ = 8 + header;
        index_ = nlohmann::json::parse(bytes_.data() + 8, bytes_.data() + data_);
    }

    template <class T>
    std::vector<T> read(const std::string& name) const {
        const auto& offsets = index_.at(name).at("data_offsets");
        const std::size_t begin = offsets[0].get<std::size_t>();
        const std::size_t size = offsets[1].get<std::size_t>() - begin;
        std::vector<T> values(size / sizeof(T));
        std::memcpy(values.data(), bytes_.data() + data_ + begin, values.size() * sizeof(T));
        return values;
    }

    std::vector<std::size_t> shape(const std::string& name) const {
        return index_.at(name).at("shape").get<std::vector<std::size_t>>();
    }

 private:
    std::vector<char> bytes_;
    std::size_t data_ = 0;
    nlohmann::json index_;
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
