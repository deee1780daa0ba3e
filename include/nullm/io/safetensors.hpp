#pragma once
// safetensors: one file of named arrays, as Python's model hubs exchange them (safetensors 0.8.0).

#include <nullm/core/abi.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/in_quotes.hpp>
#include <nullm/core/tensor.hpp>
#include <nullm/io/mapped_file.hpp>
#include <nullm/io/safetensors_dtype.hpp>
#include <nullm/io/safetensors_header.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// An array of a file: row-major, little-endian, at any alignment.
struct safetensors_tensor {
    std::string_view name;
    safetensors_dtype dtype = safetensors_dtype::boolean;
    std::span<const std::uint64_t> shape;  // empty for a scalar
    std::span<const std::byte> bytes;
};

/// "64 x 48", for errors; "scalar" for no dimensions, and of many the first eight.
inline std::string describe_shape(std::span<const std::uint64_t> shape) {
    constexpr std::size_t shown = 8;
    if (shape.empty()) return "scalar";
    std::string out = std::to_string(shape.front());
    for (const std::uint64_t n : shape.first(std::min(shape.size(), shown)).subspan(1)) {
        out += " x " + std::to_string(n);
    }
    return shape.size() > shown ? out + " x ..." : out;
}

/// A safetensors file, checked in full when opened except for the values themselves. Views point into the
/// mapping and into memory of the safetensors_file, and live as long as it, also when it is moved.
///
/// Refused, with nullm::error: everything the reference implementation refuses (a header that is not one JSON
/// object in UTF-8, metadata that are not strings, unknown types, sizes and offsets that disagree, gaps,
/// overlaps, bytes left over), and three things it lets pass though the format forbids them: a header that
/// does not start with `{`, a name given twice (once its escapes are read), and likewise a metadata key.
/// Also more than 64 dimensions, and ignored fields nested deeper than 64. Memory: up to 16 times the header,
/// which has at most 100,000,000 bytes.
class safetensors_file {
 public:
    explicit safetensors_file(const std::filesystem::path& path)
        : safetensors_file(mapped_file(path), path.string()) {}

    /// Reads bytes that the caller keeps alive; `name` stands for the file in errors.
    safetensors_file(std::span<const std::byte> bytes, std::string name) { read(bytes, std::move(name)); }

    /// All tensors, sorted by name.
    std::span<const safetensors_tensor> tensors() const { return tensors_; }

    /// The tensor of that name, or nothing.
    const safetensors_tensor* find(std::string_view name) const {
        const auto found = lower_bound(name);
        return found != tensors_.end() && found->name == name ? &*found : nullptr;
    }
    /// The same; throws nullm::error if there is none.
    const safetensors_tensor& at(std::string_view name) const {
        const safetensors_tensor* const found = find(name);
        if (found == nullptr) throw error(tensor_place(name), "a tensor of that name", "none");
        return *found;
    }
    /// The tensors whose names start with `prefix`, sorted by name.
    std::span<const safetensors_tensor> starting_with(std::string_view prefix) const {
        const auto first = lower_bound(prefix);
        auto last = first;
        while (last != tensors_.end() && last->name.starts_with(prefix)) ++last;
        return {first, last};
    }

    /// A matrix of F32, F16 or BF16 as linear layers take it. A tensor of one dimension counts as one row.
    /// Throws nullm::error if there is none, or it is of another type or shape.
    tensor_view view(std::string_view name, std::size_t rows, std::size_t cols) const {
        const safetensors_tensor& tensor = at(name);
        const auto type = storage_of(tensor.dtype);
        if (!type) throw error(tensor_place(name), "F32, F16 or BF16", name_of(tensor.dtype));
        const auto& shape = tensor.shape;
        const bool fits = (shape.size() == 2 && shape[0] == rows && shape[1] == cols) ||
                          (shape.size() == 1 && rows == 1 && shape[0] == cols);
        if (!fits) {
            throw error(tensor_place(name), std::to_string(rows) + " x " + std::to_string(cols),
                        describe_shape(shape));
        }
        return {tensor.name, *type, rows, cols, tensor.bytes};
    }

    /// Keys and values of __metadata__, sorted by key.
    std::span<const std::pair<std::string_view, std::string_view>> metadata() const { return metadata_; }
    std::optional<std::string_view> find_metadata(std::string_view key) const {
        const auto found = std::lower_bound(metadata_.begin(), metadata_.end(), key,
                                            [](const auto& e, std::string_view k) { return e.first < k; });
        if (found == metadata_.end() || found->first != key) return std::nullopt;
        return found->second;
    }

    const std::string& file_name() const { return file_; }
    /// "<file>: tensor <name>", for errors about a tensor.
    std::string tensor_place(std::string_view name) const {
        return file_ + ": tensor " + nullm::in_quotes(name);
    }

 private:
    safetensors_file(mapped_file file, std::string name) : mapping_(std::move(file)) {
        read(mapping_->bytes(), std::move(name));
    }

    std::vector<safetensors_tensor>::const_iterator lower_bound(std::string_view name) const {
        return std::lower_bound(tensors_.begin(), tensors_.end(), name,
                                [](const safetensors_tensor& t, std::string_view n) { return t.name < n; });
    }

    void read(std::span<const std::byte> bytes, std::string name) {
        file_ = std::move(name);
        if (bytes.size() < 8) {
            throw error(file_, "8 bytes that give the header's length",
                        std::to_string(bytes.size()) + " bytes");
        }
        std::uint64_t length = 0;
        std::memcpy(&length, bytes.data(), 8);
        if (length > safetensors_limits::header_bytes) {
            throw error(file_, "a header of at most 100000000 bytes", std::to_string(length));
        }
        if (length > bytes.size() - 8) {
            throw error(file_, "a header of " + std::to_string(length) + " bytes",
                        std::to_string(bytes.size() - 8) + " bytes to the end of the file");
        }
        const auto header = bytes.subspan(8, static_cast<std::size_t>(length));
        const auto data = bytes.subspan(8 + static_cast<std::size_t>(length));
        safetensors_header parsed =
            read_safetensors_header({reinterpret_cast<const char*>(header.data()), header.size()}, file_);

        check_offsets(parsed, data.size());
        tensors_.reserve(parsed.tensors.size());
        for (const auto& r : parsed.tensors) {
            tensors_.push_back({.name = parsed.view(r.name),
                                .dtype = r.dtype,
                                .shape = std::span(parsed.dimensions).subspan(r.shape_at, r.rank),
                                .bytes = data.subspan(static_cast<std::size_t>(r.begin),
                                                      static_cast<std::size_t>(r.end - r.begin))});
        }
        metadata_.reserve(parsed.metadata.size());
        for (const auto& e : parsed.metadata)
            metadata_.emplace_back(parsed.view(e.key), parsed.view(e.value));
        text_ = std::move(parsed.text);  // moving a vector leaves its elements, and the views, where they are
        dimensions_ = std::move(parsed.dimensions);
        sort_names();
    }

    /// Shape, type and offsets of each tensor agree, and together they tile the data without gap or overlap.
    void check_offsets(safetensors_header& parsed, std::uint64_t data_size) const {
        for (const auto& r : parsed.tensors) {
            const auto shape = std::span(parsed.dimensions).subspan(r.shape_at, r.rank);
            const auto where = [&] { return tensor_place(parsed.view(r.name)); };
            std::uint64_t bits = 1;
            bool fits = true;
            for (const std::uint64_t n : shape) fits = fits && !__builtin_mul_overflow(bits, n, &bits);
            fits = fits && !__builtin_mul_overflow(bits, std::uint64_t{bits_of(r.dtype)}, &bits);
            if (!fits) throw error(where(), "a size that fits 64 bits", describe_shape(shape));
            if (bits % 8 != 0) throw error(where(), "whole bytes", std::to_string(bits) + " bits");
            if (r.end < r.begin) {
                throw error(where(), "data_offsets in order", offsets(r.begin, r.end));
            }
            if (r.end - r.begin != bits / 8) {
                throw error(where(),
                            std::to_string(bits / 8) + " bytes for " + describe_shape(shape) + " of " +
                                std::string(name_of(r.dtype)),
                            offsets(r.begin, r.end));
            }
        }
        // Empty tensors sort before the one that starts where they lie.
        auto& order = parsed.tensors;
        std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
            return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
        });
        std::uint64_t reached = 0;
        for (const auto& r : order) {
            if (r.begin != reached) {
                throw error(tensor_place(parsed.view(r.name)), "data from offset " + std::to_string(reached),
                            offsets(r.begin, r.end));
            }
            reached = r.end;
        }
        if (reached != data_size) {
            throw error(file_, std::to_string(reached) + " bytes of data behind the header",
                        std::to_string(data_size));
        }
    }
    static std::string offsets(std::uint64_t begin, std::uint64_t end) {
        return "offsets " + std::to_string(begin) + " to " + std::to_string(end);
    }

    void sort_names() {
        std::sort(tensors_.begin(), tensors_.end(),
                  [](const auto& a, const auto& b) { return a.name < b.name; });
        const auto twin = std::adjacent_find(tensors_.begin(), tensors_.end(),
                                             [](const auto& a, const auto& b) { return a.name == b.name; });
        if (twin != tensors_.end())
            throw error(file_, "every tensor once", nullm::in_quotes(twin->name) + " twice");
        std::sort(metadata_.begin(), metadata_.end());
        const auto key = std::adjacent_find(metadata_.begin(), metadata_.end(),
                                            [](const auto& a, const auto& b) { return a.first == b.first; });
        if (key != metadata_.end()) {
            throw error(file_, "every key of __metadata__ once", nullm::in_quotes(key->first) + " twice");
        }
    }

    std::optional<mapped_file> mapping_;
    std::string file_;
    std::vector<char> text_;
    std::vector<std::uint64_t> dimensions_;
    std::vector<safetensors_tensor> tensors_;
    std::vector<std::pair<std::string_view, std::string_view>> metadata_;
};

}  // namespace nullm::inline NULLM_ABI
