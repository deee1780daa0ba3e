#pragma once
// A small JSON file as a document: what model hubs keep beside the weights.

#include <nullm/core/abi.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/in_quotes.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace nullm::inline NULLM_ABI {

/// Parses one JSON object, nested at most 32 deep. Throws nullm::error, naming `where`, for anything else and
/// for more than `most` bytes. Of a key given twice the last value counts, as for Python. Memory: up to about
/// 40 times the text.
inline nlohmann::json read_json_object(std::string_view text, const std::string& where, std::size_t most) {
    constexpr int deepest = 32;
    if (text.size() > most) {
        throw error(where, "at most " + std::to_string(most) + " bytes", std::to_string(text.size()));
    }
    nlohmann::json document;
    try {
        document = nlohmann::json::parse(
            text, [&](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
                if (depth > deepest) throw error(where, "JSON nested at most 32 deep", "more");
                return true;
            });
    } catch (const nlohmann::json::parse_error& wrong) {
        throw error(where, "JSON", "something else at byte " + std::to_string(wrong.byte));
    } catch (const nlohmann::json::out_of_range&) {
        throw error(where, "numbers that fit a double", "a larger one");
    }
    if (!document.is_object()) throw error(where, "a JSON object", document.type_name());
    return document;
}

/// Typed look-ups in an object; a key whose value is null counts as absent. Every one throws nullm::error,
/// naming `where` and the key, for a value of another type or out of range.
class json_object {
 public:
    json_object(const nlohmann::json& object, std::string where) : object_(object), where_(std::move(where)) {}

    const nlohmann::json* find(const char* key) const {
        const auto found = object_.find(key);
        return found == object_.end() || found->is_null() ? nullptr : &*found;
    }
    const nlohmann::json& at(const char* key) const {
        const nlohmann::json* const found = find(key);
        if (found == nullptr) throw error(place(key), "a value", "none");
        return *found;
    }
    json_object object(const char* key) const {
        const nlohmann::json& value = at(key);
        if (!value.is_object()) refuse(key, "an object", value);
        return {value, place(key)};
    }
    std::optional<std::size_t> find_size(const char* key, std::size_t most) const {
        const nlohmann::json* const value = find(key);
        if (value == nullptr) return std::nullopt;
        if (!value->is_number_unsigned() || value->get<std::uint64_t>() == 0 ||
            value->get<std::uint64_t>() > most) {
            refuse(key, "1 to " + std::to_string(most), *value);
        }
        return static_cast<std::size_t>(value->get<std::uint64_t>());
    }
    std::size_t size(const char* key, std::size_t most) const {
        at(key);
        return *find_size(key, most);
    }
    /// Above 0 and finite as a float.
    std::optional<float> find_positive(const char* key) const {
        const nlohmann::json* const value = find(key);
        if (value == nullptr) return std::nullopt;
        const double number = value->is_number() ? value->get<double>() : 0.0;
        if (!(number > 0 && number < static_cast<double>(std::numeric_limits<float>::max()))) {
            refuse(key, "a positive number", *value);
        }
        return static_cast<float>(number);
    }
    std::optional<bool> find_bool(const char* key) const {
        const nlohmann::json* const value = find(key);
        if (value == nullptr) return std::nullopt;
        if (!value->is_boolean()) refuse(key, "true or false", *value);
        return value->get<bool>();
    }
    std::optional<std::string> find_string(const char* key) const {
        const nlohmann::json* const value = find(key);
        if (value == nullptr) return std::nullopt;
        if (!value->is_string()) refuse(key, "a string", *value);
        return value->get<std::string>();
    }

    std::string place(const char* key) const { return where_ + ": " + key; }
    [[noreturn]] void refuse(const char* key, std::string_view expected, const nlohmann::json& found) const {
        const bool shown = found.is_number() || found.is_boolean();
        throw error(place(key), expected,
                    found.is_string() ? in_quotes(found.get_ref<const std::string&>())
                    : shown           ? found.dump()
                                      : found.type_name());
    }

 private:
    const nlohmann::json& object_;
    std::string where_;
};

}  // namespace nullm::inline NULLM_ABI
