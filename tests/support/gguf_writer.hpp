#pragma once
// Writes GGUF files: honest ones, and with the raw_ functions any others.

#include <nullm/core/half.hpp>
#include <nullm/core/tensor.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace support {

using bytes = std::vector<std::byte>;

template <class T>
void append(bytes& out, const T& value) {
    const std::size_t at = out.size();
    out.resize(at + sizeof(T));
    std::memcpy(out.data() + at, &value, sizeof(T));
}

inline void append_text(bytes& out, std::string_view text) {
    append(out, std::uint64_t{text.size()});
    const auto* const first = reinterpret_cast<const std::byte*>(text.data());
    out.insert(out.end(), first, first + text.size());
}

/// Encodes values in the file's format, block by block: scales are rounded to f16 first and codes are the
/// nearest to those (so the error is at most half a step, one step at the clamped end). Rows must hold whole
/// blocks.
inline bytes encode(nullm::tensor_type type, std::span<const float> values) {
    using nullm::tensor_type;
    bytes out;
    if (type == tensor_type::f32) {
        for (const float x : values) append(out, x);
        return out;
    }
    if (type == tensor_type::f16) {
        for (const float x : values) append(out, nullm::to_f16(x).bits);
        return out;
    }
    if (type == tensor_type::bf16) {
        for (const float x : values) append(out, nullm::to_bf16(x).bits);
        return out;
    }
    if (values.size() % 32 != 0) throw std::invalid_argument("encode: not a multiple of 32 values");
    const auto code = [](float x, float step, long least, long most) {
        return step == 0 ? 0L : std::clamp(std::lround(x / step), least, most);
    };
    const auto append_nibbles = [&out](const std::uint8_t* codes) {
        for (int i = 0; i < 16; ++i) append(out, static_cast<std::uint8_t>(codes[i] | (codes[i + 16] << 4)));
    };
    for (std::size_t begin = 0; begin < values.size(); begin += 32) {
        const auto block = values.subspan(begin, 32);
        const auto [low, high] = std::minmax_element(block.begin(), block.end());
        const float largest = -*low > *high ? *low : *high;  // the one of largest magnitude, with its sign
        std::uint8_t codes[32];
        if (type == tensor_type::q8_0) {
            const auto d = nullm::to_f16(std::fabs(largest) / 127);
            append(out, d.bits);
            for (const float x : block) {
                append(out, static_cast<std::int8_t>(code(x, nullm::to_float(d), -127, 127)));
            }
        } else if (type == tensor_type::q4_0) {
            const auto d = nullm::to_f16(largest / -8);
            append(out, d.bits);
            for (std::size_t i = 0; i < 32; ++i) {
                codes[i] = static_cast<std::uint8_t>(code(block[i], nullm::to_float(d), -8, 7) + 8);
            }
            append_nibbles(codes);
        } else {
            const auto d = nullm::to_f16((*high - *low) / 15);
            const auto m = nullm::to_f16(*low);
            append(out, d.bits);
            append(out, m.bits);
            for (std::size_t i = 0; i < 32; ++i) {
                codes[i] =
                    static_cast<std::uint8_t>(code(block[i] - nullm::to_float(m), nullm::to_float(d), 0, 15));
            }
            append_nibbles(codes);
        }
    }
    return out;
}

/// Collects metadata and tensors and lays them out. Setting a key or tensor again replaces it in place.
class gguf_writer {
 public:
    std::string magic = "GGUF";
    std::uint32_t version = 3;
    std::uint64_t alignment = 32;  // of the layout; write the key general.alignment yourself

    void set_u32(const std::string& key, std::uint32_t value) { set_number(key, 4, value); }
    void set_i32(const std::string& key, std::int32_t value) { set_number(key, 5, value); }
    void set_f32(const std::string& key, float value) { set_number(key, 6, value); }
    void set_bool(const std::string& key, bool value) {
        set_number(key, 7, static_cast<std::uint8_t>(value));
    }
    void set_u64(const std::string& key, std::uint64_t value) { set_number(key, 10, value); }
    void set_string(const std::string& key, std::string_view value) {
        bytes raw;
        append_text(raw, value);
        set_raw(key, 8, raw);
    }
    void set_strings(const std::string& key, const std::vector<std::string>& values) {
        bytes raw = array_header(8, values.size());
        for (const auto& value : values) append_text(raw, value);
        set_raw(key, 9, raw);
    }
    void set_i32s(const std::string& key, const std::vector<std::int32_t>& values) {
        bytes raw = array_header(5, values.size());
        for (const auto value : values) append(raw, value);
        set_raw(key, 9, raw);
    }
    void set_f32s(const std::string& key, const std::vector<float>& values) {
        bytes raw = array_header(6, values.size());
        for (const auto value : values) append(raw, value);
        set_raw(key, 9, raw);
    }
    /// Any type number and value bytes.
    void set_raw(const std::string& key, std::uint32_t type, bytes value) {
        for (auto& entry : entries_) {
            if (entry.key == key) {
                entry = {key, type, std::move(value)};
                return;
            }
        }
        add_raw(key, type, std::move(value));
    }
    /// The same without looking whether the key is there.
    void add_raw(const std::string& key, std::uint32_t type, bytes value) {
        entries_.push_back({key, type, std::move(value)});
    }
    void erase(const std::string& key) {
        std::erase_if(entries_, [&](const auto& entry) { return entry.key == key; });
    }

    /// A matrix of rows x cols, or with rows == 1 a vector.
    void set_tensor(const std::string& name, nullm::tensor_type type, std::size_t rows, std::size_t cols,
                    std::span<const float> values) {
        if (values.size() != rows * cols) throw std::invalid_argument("set_tensor: size of " + name);
        constexpr std::uint32_t numbers[] = {0, 1, 30, 2, 3, 8};
        std::vector<std::uint64_t> size = {cols};
        if (rows != 1) size.push_back(rows);
        set_raw_tensor(name, numbers[static_cast<std::size_t>(type)], size, encode(type, values));
    }
    /// Any ggml type number and sizes (fastest first); `offset` overrides where the record says the data is.
    void set_raw_tensor(const std::string& name, std::uint32_t type, std::vector<std::uint64_t> size,
                        bytes data, std::optional<std::uint64_t> offset = {}) {
        for (auto& tensor : tensors_) {
            if (tensor.name == name) {
                tensor = {name, type, std::move(size), std::move(data), offset};
                return;
            }
        }
        add_raw_tensor(name, type, std::move(size), std::move(data), offset);
    }
    void add_raw_tensor(const std::string& name, std::uint32_t type, std::vector<std::uint64_t> size,
                        bytes data, std::optional<std::uint64_t> offset = {}) {
        tensors_.push_back({name, type, std::move(size), std::move(data), offset});
    }
    void erase_tensor(const std::string& name) {
        std::erase_if(tensors_, [&](const auto& tensor) { return tensor.name == name; });
    }
    /// The data of a tensor, to be damaged.
    bytes& data_of(const std::string& name) {
        for (auto& tensor : tensors_) {
            if (tensor.name == name) return tensor.data;
        }
        throw std::invalid_argument("no tensor " + name);
    }

    bytes file() const {
        bytes out;
        for (const char c : magic) append(out, c);
        append(out, version);
        append(out, std::uint64_t{tensors_.size()});
        append(out, std::uint64_t{entries_.size()});
        for (const auto& entry : entries_) {
            append_text(out, entry.key);
            append(out, entry.type);
            out.insert(out.end(), entry.value.begin(), entry.value.end());
        }
        std::uint64_t next = 0;
        for (const auto& tensor : tensors_) {
            append_text(out, tensor.name);
            append(out, static_cast<std::uint32_t>(tensor.size.size()));
            for (const auto n : tensor.size) append(out, n);
            append(out, tensor.type);
            append(out, tensor.offset.value_or(next));
            next = aligned(next + tensor.data.size());
        }
        for (const auto& tensor : tensors_) {
            out.resize(aligned(out.size()));
            out.insert(out.end(), tensor.data.begin(), tensor.data.end());
        }
        return out;
    }

    std::filesystem::path write(const std::filesystem::path& path) const {
        const bytes content = file();
        std::ofstream out(path, std::ios::binary);
        out.write(reinterpret_cast<const char*>(content.data()),
                  static_cast<std::streamsize>(content.size()));
        if (!out.flush()) throw std::runtime_error("cannot write " + path.string());
        return path;
    }

    static bytes array_header(std::uint32_t element, std::uint64_t count) {
        bytes raw;
        append(raw, element);
        append(raw, count);
        return raw;
    }

 private:
    struct stored_entry {
        std::string key;
        std::uint32_t type;
        bytes value;
    };
    struct stored_tensor {
        std::string name;
        std::uint32_t type;
        std::vector<std::uint64_t> size;
        bytes data;
        std::optional<std::uint64_t> offset;
    };

    template <class T>
    void set_number(const std::string& key, std::uint32_t type, T value) {
        bytes raw;
        append(raw, value);
        set_raw(key, type, raw);
    }
    std::uint64_t aligned(std::uint64_t n) const { return (n + alignment - 1) / alignment * alignment; }

    std::vector<stored_entry> entries_;
    std::vector<stored_tensor> tensors_;
};

}  // namespace support
