#pragma once
// A gate as a small JSON file: what it is made of, by name, and what it was fitted to.

#include <nullm/core/abi.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/in_quotes.hpp>
#include <nullm/core/utf8.hpp>
#include <nullm/io/atomic_file.hpp>
#include <nullm/io/gate_kinds.hpp>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// A drive or a threshold: its kind, and every number the kind takes (gate_kinds.hpp).
struct gate_part {
    std::string kind;
    std::map<std::string, double> numbers = {};

    /// Of a number the kind takes; std::out_of_range for any other.
    float at(const std::string& name) const { return static_cast<float>(numbers.at(name)); }
    friend bool operator==(const gate_part&, const gate_part&) = default;
};

/// What calibrate() was asked for and came to.
struct gate_fit {
    double target_skip = 0;       // in [0, 1]
    double skip = 0;              // on the text it was fitted to, in [0, 1]
    std::uint64_t positions = 0;  // of that text
    std::uint64_t seed = 0;       // of the gate's draws
    friend bool operator==(const gate_fit&, const gate_fit&) = default;
};

struct gate_description {
    std::string model;  // the checkpoint's own name: a theta means nothing over another vocabulary
    gate_part drive = {};
    gate_part threshold = {};
    std::optional<gate_fit> fit = {};
    friend bool operator==(const gate_description&, const gate_description&) = default;
};

/// Larger files are no gate.
inline constexpr std::size_t longest_gate_file = 64 * 1024;

/// The double that is written as briefly as the float: 0.28, not 0.2800000011920929. Reads back as the same
/// float.
inline double shortest_double(float x) {
    char digits[32];
    const auto written = std::to_chars(digits, digits + sizeof(digits), x);
    double value = x;
    std::from_chars(digits, written.ptr, value);
    return value;
}

namespace detail {

using gate_json = nlohmann::ordered_json;

/// Takes an object apart key by key: a key that is not asked for, missing or of another type is refused by
/// file and key.
class gate_object {
 public:
    gate_object(const gate_json& value, std::string where) : where_(std::move(where)), value_(value) {
        if (!value.is_object()) throw error(where_, "an object", found(value));
    }

    bool has(std::string_view key) {
        asked_.insert(std::string(key));
        return value_.contains(std::string(key));
    }
    gate_object object(std::string_view key) { return {get(key), at(key)}; }
    std::string text(std::string_view key) {
        const gate_json& value = get(key);
        if (!value.is_string()) throw error(at(key), "a string", found(value));
        return value.get<std::string>();
    }
    double number(std::string_view key, double low, double high) {
        const gate_json& value = get(key);
        const auto refuse = [&] {
            throw error(at(key), "a number from " + shown(low) + " to " + shown(high), found(value));
        };
        if (!value.is_number()) refuse();
        const auto x = value.get<double>();
        if (!(x >= low && x <= high)) refuse();
        return x;
    }
    std::uint64_t count(std::string_view key) {
        const gate_json& value = get(key);
        if (!value.is_number_unsigned()) throw error(at(key), "a whole number below 2^64", found(value));
        return value.get<std::uint64_t>();
    }
    std::string at(std::string_view key) const { return where_ + ": " + std::string(key); }

    /// To be called last.
    void refuse_others() const {
        for (const auto& [key, value] : value_.items()) {
            if (asked_.count(key) == 0) throw error(where_, "no other keys", in_quotes(key));
        }
    }

 private:
    const gate_json& get(std::string_view key) {
        if (!has(key)) throw error(at(key), "a value", "none");
        return value_.at(std::string(key));
    }
    static std::string found(const gate_json& value) {
        if (value.is_object()) return "an object";
        if (value.is_array()) return "an array";
        return value.is_string() ? in_quotes(value.get<std::string>()) : value.dump();
    }
    static std::string shown(double x) { return gate_json(x).dump(); }

    std::string where_;
    const gate_json& value_;
    std::set<std::string, std::less<>> asked_;
};

inline gate_part read_gate_part(gate_object from, std::span<const gate_kind> kinds) {
    gate_part part{from.text("kind"), {}};
    const auto found = std::find_if(kinds.begin(), kinds.end(),
                                    [&](const gate_kind& kind) { return kind.name == part.kind; });
    if (found == kinds.end()) throw error(from.at("kind"), names_of(kinds), in_quotes(part.kind));
    for (const gate_number& number : found->numbers) {
        part.numbers[std::string(number.name)] = from.number(number.name, number.low, number.high);
    }
    from.refuse_others();
    return part;
}

/// JSON of which every object has every key once. nlohmann::json would keep the last of several.
inline gate_json parse_gate_json(std::string_view text, const std::string& file) {
    constexpr int deepest = 2;
    std::vector<std::set<std::string>> keys;
    const auto seen = [&](int depth, gate_json::parse_event_t event, gate_json& value) {
        using kind = gate_json::parse_event_t;
        if ((event == kind::object_start || event == kind::array_start) && depth > deepest) {
            throw error(file, "at most " + std::to_string(deepest) + " levels", "more");
        }
        if (event == kind::object_start) keys.emplace_back();
        if (event == kind::object_end) keys.pop_back();
        if (event == kind::key && !keys.back().insert(value.get<std::string>()).second) {
            throw error(file, "every key once", in_quotes(value.get<std::string>()) + " twice");
        }
        return true;
    };
    try {
        return gate_json::parse(text, seen);
    } catch (const gate_json::parse_error& wrong) {
        throw error(file + ", byte " + std::to_string(wrong.byte), "JSON", "something else");
    } catch (const gate_json::exception&) {
        throw error(file, "JSON with numbers in a double's range", "others");
    }
}

}  // namespace detail

/// Reads the text of a gate file; `file` is its name in messages. Throws nullm::error for what is too long,
/// not UTF-8, not JSON, of another version, for a key that is unknown, missing, double or of the wrong type,
/// and a number outside its range.
inline gate_description parse_gate(std::string_view text, const std::string& file) {
    if (text.size() > longest_gate_file) {
        throw error(file, "at most " + std::to_string(longest_gate_file) + " bytes",
                    std::to_string(text.size()));
    }
    if (const utf8_prefix whole = check_utf8(text); whole.status != utf8_status::complete) {
        throw error(file + ", byte " + std::to_string(whole.length), "UTF-8", "something else");
    }
    const auto json = detail::parse_gate_json(text, file);
    detail::gate_object root(json, file);
    if (const auto version = root.count("nullm_gate"); version != 1) {
        throw error(root.at("nullm_gate"), "version 1", std::to_string(version));
    }
    gate_description gate;
    gate.model = root.text("model");
    gate.drive = detail::read_gate_part(root.object("drive"), gate_drives);
    gate.threshold = detail::read_gate_part(root.object("threshold"), gate_thresholds);
    if (root.has("fit")) {
        auto fit = root.object("fit");
        gate.fit = gate_fit{.target_skip = fit.number("target_skip", 0, 1),
                            .skip = fit.number("skip", 0, 1),
                            .positions = fit.count("positions"),
                            .seed = fit.count("seed")};
        fit.refuse_others();
    }
    root.refuse_others();
    return gate;
}

/// Its text: JSON, a line a key, which parse_gate() reads as an equal description. Throws nullm::error, as
/// parse_gate() would, for a part of an unknown kind, numbers the kind does not take or out of range, and a
/// name that is not UTF-8.
inline std::string gate_text(const gate_description& gate) {
    if (!is_utf8(gate.model)) throw error("gate: model", "UTF-8", in_quotes(gate.model));
    const auto part = [](const gate_part& of) {
        detail::gate_json json{{"kind", of.kind}};
        for (const auto& [name, value] : of.numbers) json[name] = value;
        return json;
    };
    detail::gate_json json{{"nullm_gate", 1},
                           {"model", gate.model},
                           {"drive", part(gate.drive)},
                           {"threshold", part(gate.threshold)}};
    if (gate.fit) {
        json["fit"] = {{"target_skip", gate.fit->target_skip},
                       {"skip", gate.fit->skip},
                       {"positions", gate.fit->positions},
                       {"seed", gate.fit->seed}};
    }
    std::string text = json.dump(2) + '\n';
    parse_gate(text, "gate");
    return text;
}

/// Throws nullm::error as parse_gate() does and for a file that cannot be read.
inline gate_description read_gate_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    std::string text(longest_gate_file + 1, '\0');
    if (file) file.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (!file && !file.eof()) throw error(path.string(), "a readable file", "none");
    text.resize(static_cast<std::size_t>(file.gcount()));
    if (text.size() > longest_gate_file) {
        throw error(path.string(), "at most " + std::to_string(longest_gate_file) + " bytes", "more");
    }
    return parse_gate(text, path.string());
}

/// The file is whole or as it was before (atomic_file). Throws nullm::error as gate_text() and atomic_file
/// do.
inline void write_gate_file(const std::filesystem::path& path, const gate_description& gate) {
    const std::string text = gate_text(gate);
    atomic_file file(path);
    file.write(text);
    file.commit();
}

}  // namespace nullm::inline NULLM_ABI
