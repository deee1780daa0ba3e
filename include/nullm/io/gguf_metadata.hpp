#pragma once
// The key-value part of a GGUF file: an index of views, with typed look-ups.

#include <nullm/core/abi.hpp>
#include <nullm/core/error.hpp>
#include <nullm/io/gguf_array.hpp>
#include <nullm/io/gguf_cursor.hpp>
#include <nullm/io/gguf_format.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// Metadata of a file. Keys and values stay in the file's bytes; an entry costs 56 bytes of memory.
/// Look-ups return nothing for an absent key and throw nullm::error, naming key, expected and found type, for
/// a key of another type: a number is never converted.
class gguf_metadata {
 public:
    struct entry {
        std::string_view key;
        gguf_type type = gguf_type::u8;
        gguf_type element = gguf_type::u8;  // of an array
        std::uint64_t count = 0;            // of an array's elements, or a string's bytes
        std::size_t offset = 0;  // of the value; of the first element or byte, for arrays and strings
    };

    gguf_metadata() = default;

    /// Reads `count` entries at the cursor. Refuses empty, overlong or repeated keys and unknown value types.
    gguf_metadata(gguf_cursor& cursor, std::uint64_t count, std::span<const std::byte> bytes,
                  std::string_view file)
        : bytes_(bytes), file_(file) {
        entries_.reserve(static_cast<std::size_t>(count));
        for (std::uint64_t i = 0; i < count; ++i) entries_.push_back(read_entry(cursor));
        std::sort(entries_.begin(), entries_.end(),
                  [](const entry& a, const entry& b) { return a.key < b.key; });
        const auto twin = std::adjacent_find(entries_.begin(), entries_.end(),
                                             [](const entry& a, const entry& b) { return a.key == b.key; });
        if (twin != entries_.end())
            throw error(file_, "every metadata key once", in_quotes(twin->key) + " twice");
    }

    /// All entries, sorted by key.
    std::span<const entry> entries() const { return entries_; }
    bool contains(std::string_view key) const { return look_up(key) != nullptr; }

    std::optional<std::uint32_t> find_u32(std::string_view key) const {
        return find_number<std::uint32_t>(key, gguf_type::u32);
    }
    std::optional<std::int32_t> find_i32(std::string_view key) const {
        return find_number<std::int32_t>(key, gguf_type::i32);
    }
    std::optional<std::uint64_t> find_u64(std::string_view key) const {
        return find_number<std::uint64_t>(key, gguf_type::u64);
    }
    std::optional<float> find_f32(std::string_view key) const {
        return find_number<float>(key, gguf_type::f32);
    }
    std::optional<bool> find_bool(std::string_view key) const {
        const auto value = find_number<std::uint8_t>(key, gguf_type::boolean);
        if (!value) return std::nullopt;
        if (*value > 1) throw error(where(key), "a bool (0 or 1)", std::to_string(*value));
        return *value == 1;
    }
    /// A view into the file.
    std::optional<std::string_view> find_string(std::string_view key) const {
        const entry* const found = look_up(key, gguf_type::string);
        if (found == nullptr) return std::nullopt;
        return std::string_view(reinterpret_cast<const char*>(bytes_.data()) + found->offset,
                                static_cast<std::size_t>(found->count));
    }
    std::optional<gguf_strings> find_strings(std::string_view key) const {
        const entry* const found = look_up_array(key, gguf_type::string);
        if (found == nullptr) return std::nullopt;
        return gguf_strings(bytes_.data() + found->offset, static_cast<std::size_t>(found->count));
    }
    std::optional<gguf_numbers<std::int32_t>> find_i32s(std::string_view key) const {
        return find_numbers<std::int32_t>(key, gguf_type::i32);
    }
    std::optional<gguf_numbers<float>> find_f32s(std::string_view key) const {
        return find_numbers<float>(key, gguf_type::f32);
    }

    const std::string& file_name() const { return file_; }
    /// "<file>: <key>", for errors about a value.
    std::string where(std::string_view key) const { return file_ + ": " + std::string(key); }

 private:
    static gguf_type read_type(gguf_cursor& cursor) {
        const std::string place = cursor.where();
        const auto number = cursor.number<std::uint32_t>("a value type");
        if (number >= gguf_type_count)
            throw error(place, "a value type from 0 to 12", std::to_string(number));
        return static_cast<gguf_type>(number);
    }

    static entry read_entry(gguf_cursor& cursor) {
        entry made;
        const std::string place = cursor.where();
        made.key = cursor.text("a metadata key");
        if (made.key.empty() || made.key.size() > gguf_limits::name_bytes) {
            throw error(place, "a key of 1 to 65536 bytes", std::to_string(made.key.size()) + " bytes");
        }
        made.type = read_type(cursor);
        if (made.type == gguf_type::string) {
            made.count = cursor.text(made.key).size();
            made.offset = cursor.position() - static_cast<std::size_t>(made.count);
        } else if (made.type == gguf_type::array) {
            made.element = read_type(cursor);
            made.count = element_count(cursor, made.element);
            made.offset = cursor.position();
            skip_elements(cursor, made.element, made.count, 1);
        } else {
            made.offset = cursor.position();
            cursor.skip(fixed_bytes(made.type), made.key);
        }
        return made;
    }

    static std::uint64_t element_count(gguf_cursor& cursor, gguf_type element) {
        return cursor.count("array elements", least_bytes(element),
                            std::numeric_limits<std::uint64_t>::max());
    }

    static void skip_elements(gguf_cursor& cursor, gguf_type element, std::uint64_t count, int depth) {
        if (fixed_bytes(element) != 0) {
            cursor.skip(count * fixed_bytes(element),
                        "an array");  // no overflow: count was bounded by the file
        } else if (element == gguf_type::string) {
            for (std::uint64_t i = 0; i < count; ++i) cursor.text("a string");
        } else {
            if (depth == gguf_limits::array_depth) {
                throw error(cursor.where(), "arrays nested at most 4 deep", "deeper ones");
            }
            for (std::uint64_t i = 0; i < count; ++i) {
                const gguf_type inner = read_type(cursor);
                skip_elements(cursor, inner, element_count(cursor, inner), depth + 1);
            }
        }
    }

    const entry* look_up(std::string_view key) const {
        const auto found = std::lower_bound(entries_.begin(), entries_.end(), key,
                                            [](const entry& e, std::string_view k) { return e.key < k; });
        return found != entries_.end() && found->key == key ? &*found : nullptr;
    }
    const entry* look_up(std::string_view key, gguf_type type) const {
        const entry* const found = look_up(key);
        if (found != nullptr && found->type != type) {
            throw error(where(key), "the type " + std::string(name_of(type)), name_of(found->type));
        }
        return found;
    }
    const entry* look_up_array(std::string_view key, gguf_type element) const {
        const entry* const found = look_up(key);
        if (found == nullptr) return nullptr;
        const std::string expected = "an array of " + std::string(name_of(element));
        if (found->type != gguf_type::array) throw error(where(key), expected, name_of(found->type));
        if (found->element != element) {
            throw error(where(key), expected, "an array of " + std::string(name_of(found->element)));
        }
        return found;
    }
    template <class T>
    std::optional<T> find_number(std::string_view key, gguf_type type) const {
        const entry* const found = look_up(key, type);
        if (found == nullptr) return std::nullopt;
        T value;
        std::memcpy(&value, bytes_.data() + found->offset, sizeof(T));
        return value;
    }
    template <class T>
    std::optional<gguf_numbers<T>> find_numbers(std::string_view key, gguf_type element) const {
        const entry* const found = look_up_array(key, element);
        if (found == nullptr) return std::nullopt;
        return gguf_numbers<T>(bytes_.data() + found->offset, static_cast<std::size_t>(found->count));
    }

    std::span<const std::byte> bytes_;
    std::string file_;
    std::vector<entry> entries_;
};

}  // namespace nullm::inline NULLM_ABI
