#pragma once
// GGUF: one file with a model's metadata and its tensors (ggml docs/gguf.md, versions 2 and 3,
// little-endian).

#include <nullm/core/abi.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/tensor.hpp>
#include <nullm/io/gguf_cursor.hpp>
#include <nullm/io/gguf_format.hpp>
#include <nullm/io/gguf_metadata.hpp>
#include <nullm/io/mapped_file.hpp>

#include <algorithm>
#include <array>
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

/// A GGUF file, checked in full when opened except for the weights themselves (see verify_finite). Metadata
/// look-ups (find_u32, find_string, ...) are inherited from gguf_metadata. All views point into the mapping
/// and live as long as the gguf_file, also when it is moved.
///
/// Refused, with nullm::error: what the format forbids (counts, lengths and offsets outside the file,
/// unaligned or overlapping tensors, repeated names, text that is not UTF-8), and tensors of a type the
/// library does not compute with. Time is linear in the metadata, memory at most about 12 MB whatever the
/// file says.
class gguf_file : public gguf_metadata {
 public:
    explicit gguf_file(const std::filesystem::path& path) : gguf_file(mapped_file(path), path.string()) {}

    /// Reads bytes that the caller keeps alive; `name` stands for the file in errors.
    gguf_file(std::span<const std::byte> bytes, std::string name) { read(bytes, std::move(name)); }

    /// Matrices (ne[1] rows of ne[0]) and vectors (one row), in the file's order.
    std::span<const tensor_view> tensors() const { return tensors_; }

    /// Names of tensors of three and four dimensions; find() refuses them.
    std::span<const std::string_view> deep_tensors() const { return deep_tensors_; }

    /// The tensor of that name, or nothing. Throws if it has more than two dimensions.
    std::optional<tensor_view> find(std::string_view name) const {
        const auto found =
            std::lower_bound(records_.begin(), records_.end(), name,
                             [](const record& r, std::string_view key) { return r.name < key; });
        if (found == records_.end() || found->name != name) return std::nullopt;
        if (found->index == deep) {
            throw error(tensor_place(name), "one or two dimensions", "three or more");
        }
        return tensors_[found->index];
    }

    /// "<file>: tensor <name>", for errors about a tensor.
    std::string tensor_place(std::string_view name) const {
        return file_name() + ": tensor " + escaped(name);
    }

 private:
    struct record {
        std::string_view name;
        std::uint64_t begin = 0;  // in the data section
        std::uint64_t end = 0;
        std::uint32_t index = deep;  // into tensors_
    };
    static constexpr std::uint32_t deep = 0xFFFFFFFFU;
    static constexpr std::uint64_t least_record =
        33;                                           // bytes: name 8 + 1, dimensions 4 + 8, type 4, offset 8
    static constexpr std::uint64_t least_entry = 14;  // bytes: key 8 + 1, type 4, value 1

    gguf_file(mapped_file file, std::string name) : mapping_(std::move(file)) {
        read(mapping_->bytes(), std::move(name));
    }

    void read(std::span<const std::byte> bytes, std::string name) {
        gguf_cursor cursor(bytes, name);
        const auto magic = cursor.number<std::array<char, 4>>("the GGUF magic");
        if (std::string_view(magic.data(), 4) != "GGUF") {
            throw error(name, "a GGUF file (first bytes \"GGUF\")", in_quotes({magic.data(), 4}));
        }
        const auto version = cursor.number<std::uint32_t>("the GGUF version");
        if (version != 2 && version != 3) {
            const bool swapped = version != 0 && (version & 0xFFFFU) == 0;
            throw error(name, "GGUF version 2 or 3", swapped ? "a big-endian file" : std::to_string(version));
        }
        const auto tensor_count = cursor.count("tensors", least_record, gguf_limits::tensors);
        const auto entry_count = cursor.count("metadata entries", least_entry, gguf_limits::entries);
        static_cast<gguf_metadata&>(*this) = gguf_metadata(cursor, entry_count, bytes, name);
        read_tensors(cursor, tensor_count, bytes);
    }

    std::uint64_t alignment() const {
        const std::uint64_t value = find_u32("general.alignment").value_or(32);
        if (value < 8 || value > gguf_limits::alignment || (value & (value - 1)) != 0) {
            throw error(where("general.alignment"), "a power of two from 8 to 1048576",
                        std::to_string(value));
        }
        return value;
    }

    void read_tensors(gguf_cursor& cursor, std::uint64_t count, std::span<const std::byte> bytes) {
        const std::uint64_t align = alignment();
        // The metadata took its bytes since the first check: what is left must still hold the records.
        cursor.check_count(cursor.where(), count, "tensors", least_record, gguf_limits::tensors);
        tensors_.reserve(static_cast<std::size_t>(count));
        records_.reserve(static_cast<std::size_t>(count));
        for (std::uint64_t i = 0; i < count; ++i) read_tensor(cursor, align);

        const std::uint64_t data_begin = (cursor.position() + align - 1) / align * align;
        const std::uint64_t data_size = bytes.size() > data_begin ? bytes.size() - data_begin : 0;
        for (const record& r : records_) {
            if (r.end > data_size) {
                throw error(tensor_place(r.name),
                            "a data section of at least " + std::to_string(r.end) + " bytes",
                            std::to_string(data_size) + " bytes");
            }
            if (r.index == deep) continue;
            tensors_[r.index].bytes = bytes.subspan(static_cast<std::size_t>(data_begin + r.begin),
                                                    static_cast<std::size_t>(r.end - r.begin));
        }
        std::sort(records_.begin(), records_.end(),
                  [](const record& a, const record& b) { return a.begin < b.begin; });
        for (std::size_t i = 1; i < records_.size(); ++i) {
            if (records_[i].begin < records_[i - 1].end) {
                throw error(tensor_place(records_[i].name), "bytes of its own",
                            "bytes shared with " + in_quotes(records_[i - 1].name));
            }
        }
        std::sort(records_.begin(), records_.end(),
                  [](const record& a, const record& b) { return a.name < b.name; });
        const auto twin =
            std::adjacent_find(records_.begin(), records_.end(),
                               [](const record& a, const record& b) { return a.name == b.name; });
        if (twin != records_.end())
            throw error(file_name(), "every tensor once", in_quotes(twin->name) + " twice");
    }

    void read_tensor(gguf_cursor& cursor, std::uint64_t align) {
        const std::string place = cursor.where();
        const std::string_view name = cursor.text("a tensor name");
        if (name.empty() || name.size() > gguf_limits::name_bytes) {
            throw error(place, "a tensor name of 1 to 65536 bytes", std::to_string(name.size()) + " bytes");
        }
        const auto dimensions = cursor.number<std::uint32_t>("a number of dimensions");
        if (dimensions < 1 || dimensions > gguf_limits::dimensions) {
            throw error(tensor_place(name), "1 to 4 dimensions", std::to_string(dimensions));
        }
        std::array<std::uint64_t, gguf_limits::dimensions> size = {1, 1, 1, 1};
        for (std::uint32_t d = 0; d < dimensions; ++d) size[d] = cursor.number<std::uint64_t>("a dimension");
        const auto number = cursor.number<std::uint32_t>("a tensor type");
        const auto offset = cursor.number<std::uint64_t>("a tensor offset");

        const auto type = tensor_type_of_ggml(number);
        if (!type) {
            throw error(tensor_place(name), "F32, F16, BF16, Q4_0, Q4_1 or Q8_0", ggml_type_name(number));
        }
        if (size[0] % block_elements(*type) != 0) {
            throw error(tensor_place(name),
                        "rows of a multiple of 32 elements for " + std::string(name_of(*type)),
                        std::to_string(size[0]));
        }
        std::uint64_t total = 0;
        bool fits = size[0] != 0 &&
                    !__builtin_mul_overflow(size[0] / block_elements(*type), block_bytes(*type), &total);
        std::uint64_t elements = size[0];
        for (std::uint32_t d = 1; fits && d < dimensions; ++d) {
            fits = size[d] != 0 && !__builtin_mul_overflow(total, size[d], &total) &&
                   !__builtin_mul_overflow(elements, size[d], &elements);
        }
        std::uint64_t end = 0;
        if (!fits || __builtin_add_overflow(offset, total, &end)) {
            throw error(tensor_place(name), "positive dimensions whose product fits 64 bits",
                        describe(size, dimensions));
        }
        if (offset % align != 0) {
            throw error(tensor_place(name), "an offset that is a multiple of " + std::to_string(align),
                        std::to_string(offset));
        }
        if (size[2] * size[3] == 1) {
            records_.push_back({name, offset, end, static_cast<std::uint32_t>(tensors_.size())});
            tensors_.push_back(
                {name, *type, static_cast<std::size_t>(size[1]), static_cast<std::size_t>(size[0]), {}});
        } else {
            records_.push_back({name, offset, end, deep});
            deep_tensors_.push_back(name);
        }
    }

    static std::string describe(const std::array<std::uint64_t, 4>& size, std::uint32_t dimensions) {
        std::string out;
        for (std::uint32_t d = 0; d < dimensions; ++d) {
            if (d != 0) out += " x ";
            out += std::to_string(size[d]);
        }
        return out;
    }

    std::optional<mapped_file> mapping_;
    std::vector<tensor_view> tensors_;
    std::vector<std::string_view> deep_tensors_;
    std::vector<record> records_;  // sorted by name
};

}  // namespace nullm::inline NULLM_ABI
