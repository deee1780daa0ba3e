#pragma once
// Writes safetensors files as the reference implementation does.

#include <nullm/core/abi.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/in_quotes.hpp>
#include <nullm/core/utf8.hpp>
#include <nullm/io/atomic_file.hpp>
#include <nullm/io/safetensors_dtype.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// Collects tensors, then writes them in one go: ordered by alignment descending, then by name; the header
/// padded with spaces to a multiple of 8, so that every array is aligned to its element.
class safetensors_writer {
 public:
    /// Throws nullm::error if key or value is not UTF-8. A key set again takes the new value.
    void set_metadata(std::string key, std::string value) {
        if (!is_utf8(key) || !is_utf8(value))
            throw error("safetensors metadata", "UTF-8", nullm::in_quotes(key));
        metadata_[std::move(key)] = std::move(value);
    }

    /// The bytes are not copied: they must stay until the last write(). Row-major, little-endian. Throws
    /// nullm::error if the name is taken or not UTF-8, or shape, type and bytes disagree.
    void add(std::string name, safetensors_dtype dtype, std::vector<std::uint64_t> shape,
             std::span<const std::byte> bytes) {
        const std::string where = "safetensors tensor " + nullm::in_quotes(name);
        if (!is_utf8(name)) throw error(where, "a name in UTF-8", "other bytes");
        if (name == "__metadata__") throw error(where, "a name the format does not use itself", "it");
        if (shape.size() > safetensors_limits::dimensions) {
            throw error(where, "at most 64 dimensions", std::to_string(shape.size()));
        }
        std::uint64_t bits = 1;
        bool fits = true;
        for (const std::uint64_t n : shape) fits = !__builtin_mul_overflow(bits, n, &bits) && fits;
        fits = !__builtin_mul_overflow(bits, bits_of(dtype), &bits) && fits;
        if (!fits) throw error(where, "a size that fits 64 bits", "more");
        if (bits % 8 != 0 || bits / 8 != bytes.size()) {
            throw error(where, std::to_string(bits) + " bits for its shape of " + std::string(name_of(dtype)),
                        std::to_string(bytes.size()) + " bytes");
        }
        const bool added = tensors_.try_emplace(std::move(name), dtype, std::move(shape), bytes).second;
        if (!added) throw error(where, "every tensor once", "it twice");
    }
    void add(std::string name, std::vector<std::uint64_t> shape, std::span<const float> values) {
        add(std::move(name), safetensors_dtype::f32, std::move(shape), std::as_bytes(values));
    }

    /// Writes the file: whole, or not at all (atomic_file). Throws nullm::error where it cannot.
    void write(const std::filesystem::path& path) const {
        const auto order = ordered();
        const std::string head = header(order);
        atomic_file out(path);
        out.write(head);
        for (const named* t : order) out.write(t->second.bytes);
        out.commit();
    }

    /// The same bytes in memory.
    std::vector<std::byte> file() const {
        const auto order = ordered();
        const std::string head = header(order);
        const auto bytes = std::as_bytes(std::span(head.data(), head.size()));
        std::vector<std::byte> out(bytes.begin(), bytes.end());
        for (const named* t : order) {
            out.insert(out.end(), t->second.bytes.begin(), t->second.bytes.end());
        }
        return out;
    }

 private:
    struct tensor {
        tensor(safetensors_dtype type, std::vector<std::uint64_t> sizes, std::span<const std::byte> content)
            : dtype(type), shape(std::move(sizes)), bytes(content) {}
        safetensors_dtype dtype;
        std::vector<std::uint64_t> shape;
        std::span<const std::byte> bytes;
    };
    using named = std::pair<const std::string, tensor>;

    std::vector<const named*> ordered() const {
        std::vector<const named*> order;
        order.reserve(tensors_.size());
        for (const named& t : tensors_) order.push_back(&t);
        std::stable_sort(order.begin(), order.end(), [](const named* a, const named* b) {
            return a->second.dtype > b->second.dtype;  // the reference order: widest first
        });
        return order;
    }

    /// Length and JSON.
    std::string header(const std::vector<const named*>& order) const {
        std::string json = "{";
        if (!metadata_.empty()) {
            json += "\"__metadata__\":{";
            for (const auto& [key, value] : metadata_) {
                if (json.back() != '{') json += ',';
                append_string(json, key);
                json += ':';
                append_string(json, value);
            }
            json += '}';
        }
        std::uint64_t offset = 0;
        for (const named* entry : order) {
            const tensor& t = entry->second;
            if (json.size() > 1) json += ',';
            append_string(json, entry->first);
            json += ":{\"dtype\":\"";
            json += name_of(t.dtype);
            json += "\",\"shape\":[";
            for (const std::uint64_t n : t.shape) {
                if (json.back() != '[') json += ',';
                json += std::to_string(n);
            }
            json += "],\"data_offsets\":[" + std::to_string(offset) + ",";
            offset += t.bytes.size();
            json += std::to_string(offset) + "]}";
        }
        json += '}';
        json.resize((json.size() + 7) / 8 * 8, ' ');
        if (json.size() > safetensors_limits::header_bytes) {
            throw error("safetensors header", "at most 100000000 bytes", std::to_string(json.size()));
        }
        std::string out;
        for (unsigned shift = 0; shift < 64; shift += 8) {
            out += static_cast<char>((std::uint64_t{json.size()} >> shift) & 0xFFU);
        }
        return out + json;
    }

    static void append_string(std::string& out, std::string_view text) {
        constexpr char digits[] = "0123456789abcdef";
        out += '"';
        for (const char c : text) {
            const auto byte = static_cast<unsigned char>(c);
            if (c == '"' || c == '\\') {
                out += '\\';
                out += c;
            } else if (byte < 0x20) {
                out += "\\u00";
                out += digits[byte >> 4];
                out += digits[byte & 15U];
            } else {
                out += c;
            }
        }
        out += '"';
    }

    std::map<std::string, tensor> tensors_;
    std::map<std::string, std::string> metadata_;
};

}  // namespace nullm::inline NULLM_ABI
