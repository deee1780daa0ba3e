#pragma once
// The JSON that bitsandbytes stores beside a 4-bit weight (bitsandbytes 0.50, QuantState.as_dict(packed)).

#include <nullm/core/abi.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/in_quotes.hpp>
#include <nullm/core/utf8.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// What it says, as written.
struct nf4_quant_state {
    std::string quant_type;
    std::uint64_t blocksize = 0;
    std::string dtype;                 // of the weight before it was quantised
    std::uint64_t rows = 0, cols = 0;  // shape
    bool nested = false;               // the next three are there
    std::uint64_t nested_blocksize = 0;
    std::string nested_dtype;
    float nested_offset = 0;
};

namespace detail {

class nf4_state_events {
 public:
    nf4_state_events(std::string_view where, nf4_quant_state& out) : where_(where), out_(out) {}

    bool null() { return refuse_kind("null"); }
    bool boolean(bool value) { return refuse_kind(value ? "true" : "false"); }
    bool number_integer(std::int64_t value) {
        if (key_ == "nested_offset") return offset(static_cast<double>(value));
        return refuse_kind(std::to_string(value));
    }
    bool number_unsigned(std::uint64_t value) {
        if (key_ == "nested_offset") return offset(static_cast<double>(value));
        if (key_ == "blocksize") {
            out_.blocksize = value;
        } else if (key_ == "nested_blocksize") {
            out_.nested_blocksize = value;
        } else if (in_shape_ && sizes_ < 2) {
            (sizes_++ == 0 ? out_.rows : out_.cols) = value;
        } else {
            refuse_kind(std::to_string(value));
        }
        return true;
    }
    bool number_float(double value, const std::string& text) {
        if (key_ == "nested_offset") return offset(value);
        return refuse_kind(text);
    }
    bool string(std::string& value) {
        if (key_ == "quant_type") {
            out_.quant_type = value;
        } else if (key_ == "dtype") {
            out_.dtype = value;
        } else if (key_ == "nested_dtype") {
            out_.nested_dtype = value;
        } else {
            refuse_kind(nullm::in_quotes(value));
        }
        return true;
    }
    bool binary(std::vector<std::uint8_t>&) { return refuse_kind("binary data"); }
    bool start_object(std::size_t) {
        if (opened_) refuse_kind("an object");
        opened_ = true;
        return true;
    }
    bool key(std::string& name) {
        constexpr std::string_view known[] = {"quant_type",       "blocksize",    "dtype",        "shape",
                                              "nested_blocksize", "nested_dtype", "nested_offset"};
        for (unsigned i = 0; i < 7; ++i) {
            if (name != known[i]) continue;
            if ((seen_ >> i & 1U) != 0) refuse("every field once", name + " twice");
            seen_ |= 1U << i;
            key_ = name;
            return true;
        }
        refuse("the fields of a quant_state", nullm::in_quotes(name));
    }
    bool end_object() {
        constexpr unsigned plain = 0x0F;
        constexpr unsigned all = 0x7F;
        if (seen_ != plain && seen_ != all) {
            refuse("quant_type, blocksize, dtype and shape, and all or none of the nested_ fields", "others");
        }
        out_.nested = seen_ == all;
        return true;
    }
    bool start_array(std::size_t) {
        if (key_ != "shape" || in_shape_) refuse_kind("an array");
        in_shape_ = true;
        return true;
    }
    bool end_array() {
        if (sizes_ != 2) refuse("a shape of two numbers", std::to_string(sizes_));
        in_shape_ = false;
        key_.clear();
        return true;
    }
    bool parse_error(std::size_t position, const std::string& token, const nlohmann::json::exception&) {
        refuse("JSON", nullm::in_quotes(token) + " at byte " + std::to_string(position));
    }

 private:
    [[noreturn]] void refuse(std::string_view expected, std::string_view found) const {
        throw error(where_, expected, found);
    }
    [[noreturn]] bool refuse_kind(std::string_view found) const {
        if (!opened_) refuse("an object", found);
        refuse("a quant_state with another " + (key_.empty() ? "value" : key_), found);
    }
    bool offset(double value) {
        out_.nested_offset = static_cast<float>(value);  // the shortest decimals of a float, read as a double
        if (!std::isfinite(out_.nested_offset))
            refuse("a finite nested_offset", "another number");
        return true;
    }

    std::string_view where_;
    nf4_quant_state& out_;
    std::string key_;
    unsigned seen_ = 0;  // bit i: known field i
    unsigned sizes_ = 0;
    bool opened_ = false;
    bool in_shape_ = false;
};

}  // namespace detail

/// Parses the text of a quant_state tensor; `where` names it in errors. Throws nullm::error for anything but
/// one object of exactly the known fields, each once (as bitsandbytes refuses unknown ones).
inline nf4_quant_state read_nf4_quant_state(std::string_view json, std::string_view where) {
    constexpr std::size_t longest = 4096;
    if (json.size() > longest) throw error(where, "at most 4096 bytes", std::to_string(json.size()));
    if (json.empty() || json.front() != '{' || json.find('\0') != json.npos || !is_utf8(json)) {
        throw error(where, "JSON that starts with {", nullm::in_quotes(json));
    }
    nf4_quant_state out;
    detail::nf4_state_events events(where, out);
    nlohmann::json::sax_parse(json.data(), json.data() + json.size(), &events,
                              nlohmann::json::input_format_t::json, true);
    return out;
}

}  // namespace nullm::inline NULLM_ABI
