#pragma once
// A small model as Hugging Face has it: texts and tensors, made from the synthetic checkpoint.

#include <nullm/io/safetensors_writer.hpp>
#include <nullm/linear/dequantize.hpp>
#include <nullm/model/checkpoint.hpp>
#include <nullm/model/hf_config.hpp>
#include <nullm/model/hf_tokenizer.hpp>
#include <nullm/model/llama_names.hpp>
#include <support/synthetic_checkpoint.hpp>

#include <nlohmann/json.hpp>

#include <deque>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

namespace hf_files {

/// All in F32 but what `types` says otherwise, so that both formats hold the same numbers.
inline support::synthetic_spec plain_spec() {
    support::synthetic_spec spec;
    spec.name = "plain";
    spec.types = support::synthetic_types::all(nullm::tensor_type::f32);
    return spec;
}

/// The folder's texts without quantisation, by name.
inline std::map<std::string, std::string> texts(const nullm::checkpoint& file) {
    const auto vocabulary = file.vocabulary();
    auto config = nlohmann::ordered_json::parse(
        nullm::write_hf_config(file.config(), file.name(), {}, vocabulary.bos, vocabulary.eos));
    config.erase("quantization_config");
    const auto tokenizer = nullm::write_hf_tokenizer(vocabulary, file.config().context, file.chat_template());
    return {{"config.json", config.dump()},
            {"tokenizer.json", tokenizer.tokenizer},
            {"tokenizer_config.json", tokenizer.config}};
}

/// A model's tensors in F32, q and k in Hugging Face's order.
class tensors {
 public:
    explicit tensors(const nullm::checkpoint& file) {
        for (const auto& t : nullm::llama_tensors(file.config())) {
            const auto view = file.tensor(t.gguf + ".weight", t.rows, t.cols);
            auto& values = values_.emplace_back(t.rows * t.cols);
            for (std::size_t r = 0; r < t.rows; ++r) {
                const std::size_t to = nullm::hf_row(r, t.head_rows) * t.cols;
                nullm::dequantize_row(view, r, std::span(values).subspan(to, t.cols));
            }
            names.push_back({t.hf + ".weight", t, &values});
        }
    }
    struct named {
        std::string name;
        nullm::llama_tensor tensor;
        const std::vector<float>* values;
    };
    std::vector<named> names;

    static void add(nullm::safetensors_writer& out, const named& t) {
        if (t.tensor.norm) {
            out.add(t.name, {t.tensor.cols}, *t.values);
        } else {
            out.add(t.name, {t.tensor.rows, t.tensor.cols}, *t.values);
        }
    }

 private:
    std::deque<std::vector<float>> values_;
};

inline void write_text(const std::filesystem::path& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
}

/// Writes the folder: its weights in one file, or in `shards` with an index.
inline void write_folder(const nullm::checkpoint& file, const std::filesystem::path& folder, std::size_t shards = 1) {
    std::filesystem::create_directories(folder);
    for (const auto& [name, text] : texts(file)) write_text(folder / name, text);
    const tensors all(file);
    nlohmann::json map = nlohmann::json::object();
    for (std::size_t s = 0; s < shards; ++s) {
        const std::string name =
            shards == 1 ? "model.safetensors" : "model-" + std::to_string(s) + ".safetensors";
        nullm::safetensors_writer out;
        for (std::size_t i = s; i < all.names.size(); i += shards) {
            tensors::add(out, all.names[i]);
            map[all.names[i].name] = name;
        }
        out.write(folder / name);
    }
    if (shards > 1) {
        write_text(folder / "model.safetensors.index.json", nlohmann::json{{"weight_map", map}}.dump());
    }
}

}  // namespace hf_files
