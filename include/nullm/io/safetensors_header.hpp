#pragma once
// The JSON header of a safetensors file, read event by event: no document is ever built of it.

#include <nullm/core/abi.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/in_quotes.hpp>
#include <nullm/core/utf8.hpp>
#include <nullm/io/safetensors_dtype.hpp>

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// What a header says, unescaped: texts and dimensions lie in two arenas, the rest are places in them. Names,
/// sizes and offsets are not yet compared with each other.
struct safetensors_header {
    struct text_place {
        std::uint32_t at = 0;
        std::uint32_t size = 0;
    };
    struct entry {  // one of __metadata__
        text_place key;
        text_place value;
    };
    struct record {
        text_place name;
        std::uint32_t shape_at = 0;
        std::uint32_t rank = 0;
        safetensors_dtype dtype = safetensors_dtype::boolean;
        std::uint64_t begin = 0;  // in the data section
        std::uint64_t end = 0;
    };
    std::vector<char> text;
    std::vector<std::uint64_t> dimensions;
    std::vector<entry> metadata;
    std::vector<record> tensors;

    std::string_view view(text_place place) const { return {text.data() + place.at, place.size}; }
};

namespace detail {

/// Receives the events of nlohmann::json's parser. Every callback that does not fit throws nullm::error.
class safetensors_events {
 public:
    safetensors_events(std::string_view file, safetensors_header& out) : file_(file), out_(out) {}

    bool null() {
        // The format allows "__metadata__": null, and nothing else to be null.
        if (at_ == place::root && in_metadata_) return end_metadata();
        return scalar("null");
    }
    bool boolean(bool value) { return scalar(value ? "true" : "false"); }
    bool number_integer(std::int64_t value) {  // the parser reports a minus sign this way, also of -0
        if (takes_numbers()) refuse_number("a negative number");
        return scalar(std::to_string(value));
    }
    bool number_unsigned(std::uint64_t value) {
        if (at_ == place::shape) {
            if (out_.tensors.back().rank == safetensors_limits::dimensions) {
                refuse("at most 64 dimensions", "more");
            }
            ++out_.tensors.back().rank;
            out_.dimensions.push_back(value);
            return true;
        }
        if (at_ == place::offsets) {
            if (offsets_ == 2) refuse("data_offsets of two numbers", "more");
            (offsets_ == 0 ? out_.tensors.back().begin : out_.tensors.back().end) = value;
            ++offsets_;
            return true;
        }
        return scalar(std::to_string(value));
    }
    bool number_float(double, const std::string& text) {
        if (takes_numbers()) refuse_number(text);
        return scalar(text);
    }
    bool string(std::string& value) {
        if (at_ == place::metadata) {
            out_.metadata.back().value = keep(value);
            return true;
        }
        if (at_ == place::tensor && field_ == field::dtype) {
            const auto dtype = safetensors_dtype_of(value);
            if (!dtype)
                refuse("a dtype of the format, such as F32, F16, BF16 or U8", nullm::in_quotes(value));
            out_.tensors.back().dtype = *dtype;
            return true;
        }
        return scalar(nullm::in_quotes(value));
    }
    bool binary(std::vector<std::uint8_t>&) { return scalar("binary data"); }

    bool start_object(std::size_t) {
        if (ignoring()) return enter();
        if (at_ == place::outside) {
            at_ = place::root;
        } else if (at_ == place::root) {
            at_ = in_metadata_ ? place::metadata : place::tensor;
            if (!in_metadata_) start_tensor();
        } else {
            refuse_kind("an object");
        }
        return true;
    }
    bool key(std::string& name) {
        if (depth_ > 0) return true;
        if (at_ == place::root) {
            in_metadata_ = name == "__metadata__";
            if (in_metadata_ && seen_metadata_) refuse("__metadata__ once", "it twice");
            if (!in_metadata_) name_ = keep(name);
        } else if (at_ == place::metadata) {
            out_.metadata.push_back({keep(name), {}});
        } else {
            start_field(name);
        }
        return true;
    }
    bool end_object() {
        if (depth_ > 0) return leave();
        if (at_ == place::metadata) return end_metadata();
        if (at_ == place::tensor) {
            require(seen_dtype_, "dtype");
            require(seen_shape_, "shape");
            require(seen_offsets_, "data_offsets");
            at_ = place::root;
        } else {
            at_ = place::outside;
        }
        return true;
    }
    bool start_array(std::size_t) {
        if (ignoring()) return enter();
        if (at_ == place::tensor && field_ == field::shape) {
            at_ = place::shape;
        } else if (at_ == place::tensor && field_ == field::offsets) {
            at_ = place::offsets;
        } else {
            refuse_kind("an array");
        }
        return true;
    }
    bool end_array() {
        if (depth_ > 0) return leave();
        if (at_ == place::offsets && offsets_ != 2) {
            refuse("data_offsets of two numbers", std::to_string(offsets_));
        }
        at_ = place::tensor;
        return true;
    }

    /// `position` counts the bytes of JSON read, the one that does not fit included.
    bool parse_error(std::size_t position, const std::string& token, const nlohmann::json::exception&) {
        constexpr std::size_t shown = 48;
        const std::string_view all = token;
        throw error(std::string(file_) + ", byte " + std::to_string(7 + position), "a header of JSON",
                    token.empty()
                        ? "its end"
                        : nullm::in_quotes(all.substr(all.size() > shown ? all.size() - shown : 0)));
    }

 private:
    enum class place : std::uint8_t { outside, root, metadata, tensor, shape, offsets };
    enum class field : std::uint8_t { unknown, dtype, shape, offsets };

    [[noreturn]] void refuse(std::string_view expected, std::string_view found) const {
        throw error(where(), expected, found);
    }
    std::string where() const {
        const std::string file(file_);
        if (at_ == place::outside) return file + ": header";
        if (in_metadata_) {
            const bool key = at_ == place::metadata && !out_.metadata.empty();
            return file + ": __metadata__" +
                   (key ? " " + nullm::in_quotes(out_.view(out_.metadata.back().key)) : std::string());
        }
        return file + ": tensor " + nullm::in_quotes(out_.view(name_));
    }
    bool takes_numbers() const { return at_ == place::shape || at_ == place::offsets; }
    [[noreturn]] void refuse_number(std::string_view found) const {
        refuse(at_ == place::shape ? "dimensions that are whole numbers below 2^64"
                                   : "offsets that are whole numbers below 2^64",
               escaped(found));
    }

    /// A value that no place takes: ignored in an unknown field, else refused.
    bool scalar(std::string_view found) const {
        if (ignoring()) return true;
        refuse_kind(found);
    }
    [[noreturn]] void refuse_kind(std::string_view found) const {
        if (at_ == place::outside) refuse("an object", found);
        if (at_ == place::root) refuse(in_metadata_ ? "an object of strings" : "an object", found);
        if (at_ == place::metadata) refuse("a string", found);
        if (takes_numbers()) refuse("whole numbers", found);
        refuse(field_ == field::dtype   ? "a dtype that is a string"
               : field_ == field::shape ? "a shape that is an array"
                                        : "data_offsets that are an array",
               found);
    }
    bool ignoring() const { return depth_ > 0 || (at_ == place::tensor && field_ == field::unknown); }
    bool enter() {
        if (++depth_ > safetensors_limits::nesting) refuse("JSON nested at most 64 deep", "deeper");
        return true;
    }
    bool leave() {
        --depth_;
        return true;
    }
    bool end_metadata() {
        seen_metadata_ = true;
        in_metadata_ = false;
        at_ = place::root;
        return true;
    }

    void start_tensor() {
        out_.tensors.push_back(
            {.name = name_, .shape_at = static_cast<std::uint32_t>(out_.dimensions.size())});
        seen_dtype_ = seen_shape_ = seen_offsets_ = false;
        offsets_ = 0;
        field_ = field::unknown;
    }
    void start_field(std::string_view name) {
        field_ = field::unknown;
        if (name == "dtype") start_field(field::dtype, seen_dtype_, name);
        if (name == "shape") start_field(field::shape, seen_shape_, name);
        if (name == "data_offsets") start_field(field::offsets, seen_offsets_, name);
    }
    void start_field(field which, bool& seen, std::string_view name) {
        if (seen) refuse("every field once", std::string(name) + " twice");
        seen = true;
        field_ = which;
    }
    void require(bool seen, std::string_view name) const {
        if (!seen) refuse("a field " + std::string(name), "none");
    }

    safetensors_header::text_place keep(std::string_view text) {
        const auto at = static_cast<std::uint32_t>(out_.text.size());
        out_.text.insert(out_.text.end(), text.begin(), text.end());
        return {at, static_cast<std::uint32_t>(text.size())};
    }

    std::string_view file_;
    safetensors_header& out_;
    place at_ = place::outside;
    field field_ = field::unknown;
    std::size_t depth_ = 0;  // inside a field that is ignored
    bool in_metadata_ = false;
    bool seen_metadata_ = false;
    bool seen_dtype_ = false, seen_shape_ = false, seen_offsets_ = false;
    std::size_t offsets_ = 0;
    safetensors_header::text_place name_;
};

}  // namespace detail

/// Reads a header of at most safetensors_limits::header_bytes. `file` stands for the file in errors. Memory:
/// the arenas, and what the parser needs for the longest single text. Throws nullm::error for anything but
/// one JSON object of the format's shape (see safetensors_file).
inline safetensors_header read_safetensors_header(std::string_view json, std::string_view file) {
    const std::string place(file);
    if (json.empty() || json.front() != '{') {
        const std::string found = json.empty() ? "an empty header" : nullm::in_quotes(json.substr(0, 8));
        throw error(place + ", byte 8", "a header that starts with {", found);
    }
    if (!is_utf8(json)) throw error(place + ": header", "UTF-8", "other bytes");
    // The parser takes a NUL byte as the end of its input, and would not look at what follows.
    if (const auto nul = json.find('\0'); nul != json.npos) {
        throw error(place + ", byte " + std::to_string(8 + nul), "a header of JSON", "a NUL byte");
    }
    safetensors_header out;
    detail::safetensors_events events(file, out);
    nlohmann::json::sax_parse(json.data(), json.data() + json.size(), &events,
                              nlohmann::json::input_format_t::json, true);
    return out;
}

}  // namespace nullm::inline NULLM_ABI
