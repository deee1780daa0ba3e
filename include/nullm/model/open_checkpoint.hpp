#pragma once
// A model of whatever format: a GGUF file, a Hugging Face folder, or one safetensors file that carries its
// config and tokenizer.

#include <nullm/io/bitsandbytes.hpp>
#include <nullm/io/mapped_file.hpp>
#include <nullm/io/safetensors.hpp>
#include <nullm/model/checkpoint.hpp>
#include <nullm/model/hf_config.hpp>
#include <nullm/model/hf_tokenizer.hpp>
#include <nullm/model/llama_names.hpp>
#include <nullm/model/nf4_checkpoint.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <deque>
#include <filesystem>
#include <map>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nullm::inline NULLM_ABI {

namespace detail {

/// Turns the tensors of safetensors files into what checkpoint expects: GGUF's names and order of rows, norms
/// in F32, NF4 with one scale for every 64 elements. What has to be copied lives here.
class hf_tensors {
 public:
    std::deque<safetensors_file> files;  // a deque: they stay where they are

    std::vector<tensor_view> gather(const llama_config& shape, const std::string& source) {
        std::map<std::string_view, const safetensors_file*> home;
        for (const safetensors_file& file : files) {
            for (const auto& t : file.tensors()) {
                if (!home.emplace(t.name, &file).second) {
                    throw error(file.tensor_place(t.name), "every tensor in one file", "it in two");
                }
            }
        }
        std::vector<tensor_view> views;
        std::set<std::string, std::less<>> taken;
        const auto take = [&](const llama_tensor& t) {
            const auto found = home.find(t.hf + ".weight");
            if (found == home.end()) {
                throw error(source + ": tensor " + in_quotes(t.hf + ".weight"), "a tensor of that name", "none");
            }
            views.push_back(read(*found->second, t));
            taken.insert(t.hf + ".weight");
        };
        for (const llama_tensor& t : llama_tensors(shape)) take(t);
        for (const auto& [name, file] : home) {
            if (belongs(name, taken)) continue;
            // Older converters wrote the rotary frequencies down, and tied heads twice.
            if (name.ends_with(".rotary_emb.inv_freq") || (shape.tied_head && name == "lm_head.weight")) continue;
            throw error(file->tensor_place(name), "only the tensors of a plain llama", "it");
        }
        return views;
    }

 private:
    /// Whether a name is one that was read, or a part of it that bitsandbytes stores beside.
    static bool belongs(std::string_view name, const std::set<std::string, std::less<>>& taken) {
        if (taken.count(name) != 0) return true;
        const std::size_t end = name.find(".weight.");
        return end != std::string_view::npos && taken.count(name.substr(0, end + 7)) != 0;
    }

    std::string_view keep(std::string text) { return names_.emplace_back(std::move(text)); }

    tensor_view read(const safetensors_file& file, const llama_tensor& t) {
        const std::string weight = t.hf + ".weight";
        if (!file.starting_with(weight + ".").empty()) return read_nf4(file, t);
        tensor_view view = file.view(weight, t.rows, t.cols);
        view.name = keep(t.gguf + ".weight");
        if (t.norm) {
            auto& values = floats_.emplace_back(t.cols);
            dequantize_row(view, 0, values);
            view.type = tensor_type::f32;
            view.bytes = std::as_bytes(std::span(values));
        }
        if (t.head_rows != 0) view.bytes = permuted(view.bytes, t);
        return view;
    }

    tensor_view read_nf4(const safetensors_file& file, const llama_tensor& t) {
        nf4_weight weight = gather_nf4(file, t.hf);
        const std::string where = file.tensor_place(t.hf + ".weight");
        const auto refuse = [&](const std::string& expected, const std::string& found) {
            throw error(where, expected, found);
        };
        if (weight.rows != t.rows || weight.cols != t.cols) {
            refuse(std::to_string(t.rows) + " x " + std::to_string(t.cols),
                   std::to_string(weight.rows) + " x " + std::to_string(weight.cols));
        }
        if (!weight.bias.empty()) refuse("no bias", "one");
        if (weight.cols % 2 != 0) refuse("an even number of columns", std::to_string(weight.cols));
        if (weight.block % nf4_scale_block != 0) {
            refuse("a blocksize of 64 or a multiple", std::to_string(weight.block));
        }
        if (t.head_rows != 0 && weight.cols % nf4_scale_block != 0) {
            refuse("rows of whole blocks, which can be put in another order", std::to_string(weight.cols));
        }
        // A larger block is blocks of 64 that share their scale.
        const std::vector<float> scales = nf4_scales(weight);
        const std::size_t elements = weight.rows * weight.cols;
        auto& kept = floats_.emplace_back(nf4_blocks(elements, nf4_scale_block));
        const std::size_t each = weight.block / nf4_scale_block;
        for (std::size_t b = 0; b < kept.size(); ++b) kept[b] = scales[b / each];

        tensor_view view{.name = keep(t.gguf + ".weight"),
                         .type = tensor_type::nf4,
                         .rows = t.rows,
                         .cols = t.cols,
                         .bytes = weight.packed};
        if (t.head_rows != 0) {
            view.bytes = permuted(view.bytes, t);
            std::vector<float> ordered(kept.size());
            const std::size_t row = t.cols / nf4_scale_block;
            for (std::size_t r = 0; r < t.rows; ++r) {
                std::copy_n(kept.begin() + static_cast<std::ptrdiff_t>(hf_row(r, t.head_rows) * row), row,
                            ordered.begin() + static_cast<std::ptrdiff_t>(r * row));
            }
            kept = std::move(ordered);
        }
        view.scales = kept;
        return view;
    }

    std::span<const std::byte> permuted(std::span<const std::byte> bytes, const llama_tensor& t) {
        auto& ordered = bytes_.emplace_back(bytes.size());
        const std::size_t row = bytes.size() / t.rows;
        for (std::size_t r = 0; r < t.rows; ++r) {
            std::memcpy(ordered.data() + r * row, bytes.data() + hf_row(r, t.head_rows) * row, row);
        }
        return ordered;
    }

    std::deque<std::string> names_;
    std::deque<std::vector<float>> floats_;
    std::deque<std::vector<std::byte>> bytes_;
};

struct hf_texts {
    std::string config;
    hf_tokenizer_files tokenizer;
    std::optional<std::string> chat_template;  // chat_template.jinja, where there is one
};

inline checkpoint_parts hf_parts(const std::string& source, hf_texts texts, std::shared_ptr<hf_tensors> tensors) {
    checkpoint_parts parts;
    const hf_config config = read_hf_config(texts.config, source + " config.json");
    parts.source = source;
    parts.name = config.name.empty() ? std::filesystem::path(source).filename().string() : config.name;
    parts.config = config.shape;
    parts.tensors = tensors->gather(config.shape, source);
    parts.chat_template =
        texts.chat_template ? texts.chat_template : read_hf_chat_template(texts.tokenizer.config, source);
    parts.vocabulary = [source, rows = config.shape.vocabulary, files = std::move(texts.tokenizer)] {
        return read_hf_vocabulary(files, rows, source);
    };
    parts.storage = std::move(tensors);
    return parts;
}

inline std::string read_text_file(const std::filesystem::path& path, std::size_t most) {
    const mapped_file file(path);
    if (file.bytes().size() > most) {
        throw error(path.string(), "at most " + std::to_string(most) + " bytes",
                    std::to_string(file.bytes().size()));
    }
    return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

/// Names of the folder's weight files: those of the index, or the one there is.
inline std::vector<std::string> weight_files(const std::filesystem::path& folder) {
    const auto index = folder / "model.safetensors.index.json";
    if (!std::filesystem::exists(index)) return {"model.safetensors"};
    constexpr std::size_t most = std::size_t{1} << 26;
    const nlohmann::json document = read_json_object(read_text_file(index, most), index.string(), most);
    const json_object file(document, index.string());
    const nlohmann::json& map = file.at("weight_map");
    if (!map.is_object()) file.refuse("weight_map", "an object", map);
    std::set<std::string> names;
    for (const auto& [tensor, name] : map.items()) {
        if (!name.is_string()) file.refuse("weight_map", "names of files", name);
        const auto& text = name.get_ref<const std::string&>();
        if (text.empty() || text.find('/') != std::string::npos || text.find('\0') != std::string::npos ||
            text.front() == '.') {
            throw error(file.place("weight_map"), "names of files in the folder", in_quotes(text));
        }
        names.insert(text);
        if (names.size() > 1024) throw error(file.place("weight_map"), "at most 1024 files", "more");
    }
    return {names.begin(), names.end()};
}

inline checkpoint_parts folder_parts(const std::filesystem::path& folder) {
    constexpr std::size_t million = 1U << 20;
    hf_texts texts;
    texts.config = read_text_file(folder / "config.json", million);
    texts.tokenizer.tokenizer = read_text_file(folder / "tokenizer.json", hf_tokenizer_bytes);
    const auto settings = folder / "tokenizer_config.json";
    if (std::filesystem::exists(settings)) {
        texts.tokenizer.config = read_text_file(settings, hf_tokenizer_bytes);
    }
    const auto jinja = folder / "chat_template.jinja";
    if (std::filesystem::exists(jinja)) texts.chat_template = read_text_file(jinja, million);
    const auto tensors = std::make_shared<hf_tensors>();
    for (const std::string& name : weight_files(folder)) tensors->files.emplace_back(folder / name);
    return hf_parts(folder.string(), std::move(texts), tensors);
}

inline checkpoint_parts single_file_parts(safetensors_file opened) {
    const std::string source = opened.file_name();
    const auto text = [&](const char* key) {
        const auto found = opened.find_metadata(key);
        if (!found) {
            throw error(source, "a model file that carries its " + std::string(key) + " in __metadata__", "none");
        }
        return std::string(*found);
    };
    hf_texts texts{text("config.json"), {text("tokenizer.json"), text("tokenizer_config.json")}, {}};
    const auto tensors = std::make_shared<hf_tensors>();
    tensors->files.push_back(std::move(opened));
    return hf_parts(source, std::move(texts), tensors);
}

inline bool is_gguf(std::span<const std::byte> bytes) {
    return bytes.size() >= 4 && std::memcmp(bytes.data(), "GGUF", 4) == 0;
}

}  // namespace detail

/// Opens a model: a GGUF file (known by its first bytes); a folder with config.json, tokenizer.json and
/// model.safetensors or the shards of model.safetensors.index.json, plain (F32, F16, BF16) or NF4 as
/// bitsandbytes stores it; or one safetensors file whose __metadata__ holds the texts of config.json,
/// tokenizer.json and tokenizer_config.json. Of the last two, rows of q and k are put in GGUF's order, which
/// copies them. Throws nullm::error as checkpoint does; NF4 is refused if its blocksize is 32, or if rows of
/// q or k are not whole blocks.
inline checkpoint open_checkpoint(const std::filesystem::path& path, thread_pool* pool = nullptr) {
    if (std::filesystem::is_directory(path)) return checkpoint(detail::folder_parts(path), pool);
    const bool gguf = detail::is_gguf(mapped_file(path).bytes());
    if (!gguf && path.extension() == ".safetensors") {
        return checkpoint(detail::single_file_parts(safetensors_file(path)), pool);
    }
    return pool != nullptr ? checkpoint(path, *pool) : checkpoint(path);
}

/// The same of a file in memory that the caller keeps alive; `name` stands for it in errors.
inline checkpoint open_checkpoint(std::span<const std::byte> bytes, const std::string& name) {
    if (detail::is_gguf(bytes)) return checkpoint(bytes, name);
    return checkpoint(detail::single_file_parts(safetensors_file(bytes, name)));
}

}  // namespace nullm::inline NULLM_ABI
