#pragma once
// A quantised llama as a file for nullm alone, or as a Hugging Face folder.

#include <nullm/core/error.hpp>
#include <nullm/core/half.hpp>
#include <nullm/core/thread_pool.hpp>
#include <nullm/io/atomic_file.hpp>
#include <nullm/io/safetensors_writer.hpp>
#include <nullm/linear/dequantize.hpp>
#include <nullm/model/checkpoint.hpp>
#include <nullm/model/hf_config.hpp>
#include <nullm/model/hf_tokenizer.hpp>
#include <nullm/model/llama_names.hpp>
#include <nullm/quant/quantize_llama.hpp>

#include <unistd.h>

#include <cmath>
#include <cstddef>
#include <deque>
#include <filesystem>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace nullm::inline NULLM_ABI {

namespace detail {

/// The JSON beside a weight, as bitsandbytes writes it.
inline std::string nf4_state_text(const quantized_matrix& m) {
    const nlohmann::json number = static_cast<double>(m.offset);
    return R"({"quant_type": "nf4", "blocksize": 64, "dtype": "float32", "shape": [)" + std::to_string(m.rows) +
           ", " + std::to_string(m.cols) + "]" +
           (m.nested ? R"(, "nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": )" + number.dump()
                     : std::string()) +
           "}";
}

/// Collects a model's tensors under Hugging Face's names. What it makes up lives here; the rest must stay.
class hf_tensor_writer {
 public:
    hf_tensor_writer(const checkpoint& file, const quantized_matrices& matrices, thread_pool& pool) {
        for (const llama_tensor& t : llama_tensors(file.config())) {
            if (matrices.contains(t.hf)) continue;
            const tensor_view stored = file.tensor(t.gguf + ".weight", t.rows, t.cols);
            if (t.norm) {
                auto& values = floats_.emplace_back(t.cols);
                dequantize_row(stored, 0, values);
                out.add(t.hf + ".weight", {t.cols}, values);
            } else {
                add_halves(t, stored, pool);
            }
        }
        for (const auto& [name, matrix] : matrices) add_nf4(name + ".weight", matrix);
    }

    safetensors_writer out;

 private:
    void add_halves(const llama_tensor& t, const tensor_view& stored, thread_pool& pool) {
        auto& halves = halves_.emplace_back(t.rows * t.cols);
        pool.for_each_range(t.rows, 64, [&](std::size_t begin, std::size_t end) {
            std::vector<float> row(t.cols);
            for (std::size_t r = begin; r < end; ++r) {
                dequantize_row(stored, r, row);
                const std::size_t to = hf_row(r, t.head_rows) * t.cols;
                for (std::size_t k = 0; k < t.cols; ++k) {
                    if (!(std::fabs(row[k]) <= 65504.0F)) {
                        throw error("tensor " + in_quotes(stored.name), "weights that float16 can hold",
                                    std::to_string(row[k]));
                    }
                    halves[to + k] = from_float<f16>(row[k]);
                }
            }
        });
        out.add(t.hf + ".weight", safetensors_dtype::f16, {t.rows, t.cols}, std::as_bytes(std::span(halves)));
    }

    void add_nf4(const std::string& weight, const quantized_matrix& m) {
        const auto add = [&](const std::string& name, safetensors_dtype dtype, std::vector<std::uint64_t> shape,
                             std::span<const std::byte> bytes) { out.add(weight + name, dtype, std::move(shape), bytes); };
        const std::size_t blocks = m.data.absmax.size();
        add("", safetensors_dtype::u8, {m.data.packed.size(), 1}, m.data.packed);
        if (m.nested) {
            add(".absmax", safetensors_dtype::u8, {blocks}, m.nested->codes);
            out.add(weight + ".nested_absmax", {m.nested->absmax.size()}, m.nested->absmax);
            out.add(weight + ".nested_quant_map", {m.nested->map.size()}, m.nested->map);
        } else {
            out.add(weight + ".absmax", {blocks}, m.data.absmax);
        }
        out.add(weight + ".quant_map", {nf4_codebook.size()}, nf4_codebook);
        const std::string& text = texts_.emplace_back(nf4_state_text(m));
        add(".quant_state.bitsandbytes__nf4", safetensors_dtype::u8, {text.size()},
            std::as_bytes(std::span(text.data(), text.size())));
    }

    std::deque<std::vector<float>> floats_;
    std::deque<std::vector<f16>> halves_;
    std::deque<std::string> texts_;
};

struct hf_model_texts {
    std::string config;
    hf_tokenizer_files tokenizer;
};

inline hf_model_texts texts_of(const checkpoint& file, const quantized_matrices& matrices) {
    const bpe_vocabulary vocabulary = file.vocabulary();
    hf_quantization how{.head = matrices.contains("lm_head")};
    for (const auto& [name, m] : matrices) how.nested = how.nested || m.nested;
    return {write_hf_config(file.config(), file.name(), how, vocabulary.bos, vocabulary.eos),
            write_hf_tokenizer(vocabulary, file.config().context, file.chat_template())};
}

}  // namespace detail

/// Writes one file that open_checkpoint() runs: the tensors as bitsandbytes stores them, config and tokenizer
/// in __metadata__. Whole, or not at all (atomic_file). Embedding, and head unless quantised, are float16, norms
/// float32. Throws error if a weight does not fit float16, or the file cannot be written.
inline void write_llama_file(const checkpoint& file, const quantized_matrices& matrices,
                             const std::filesystem::path& path, thread_pool& pool) {
    const auto texts = detail::texts_of(file, matrices);
    detail::hf_tensor_writer tensors(file, matrices, pool);
    tensors.out.set_metadata("format", "pt");
    tensors.out.set_metadata("config.json", texts.config);
    tensors.out.set_metadata("tokenizer.json", texts.tokenizer.tokenizer);
    tensors.out.set_metadata("tokenizer_config.json", texts.tokenizer.config);
    tensors.out.write(path);
}

/// Writes a folder that open_checkpoint() runs and transformers loads with bitsandbytes: config.json with its
/// quantization_config, tokenizer.json, tokenizer_config.json, model.safetensors. It is made beside, named
/// `<folder>.part-<process>`, and put in place whole; if that fails it is removed. Throws error as
/// write_llama_file, and if the folder is there and not empty.
inline void write_llama_folder(const checkpoint& file, const quantized_matrices& matrices,
                               const std::filesystem::path& folder, thread_pool& pool) {
    namespace fs = std::filesystem;
    const auto place = folder.has_filename() ? folder : folder.parent_path();
    std::error_code failure;
    const auto refuse = [&](const char* expected) {
        throw error(folder.string(), expected, '"' + failure.message() + '"');
    };
    if (fs::exists(place) && !(fs::is_directory(place) && fs::is_empty(place))) {
        throw error(folder.string(), "a folder that is empty or not there", "something else");
    }
    const fs::path part = place.string() + ".part-" + std::to_string(::getpid());
    fs::create_directory(part, failure);
    if (failure) refuse("a folder that can be made");
    try {
        const auto texts = detail::texts_of(file, matrices);
        const auto write = [&](const char* name, const std::string& text) {
            atomic_file out(part / name);
            out.write(text);
            out.commit();
        };
        write("config.json", texts.config);
        write("tokenizer.json", texts.tokenizer.tokenizer);
        write("tokenizer_config.json", texts.tokenizer.config);
        detail::hf_tensor_writer tensors(file, matrices, pool);
        tensors.out.set_metadata("format", "pt");
        tensors.out.write(part / "model.safetensors");
        fs::rename(part, place, failure);
        if (failure) refuse("a folder that can be put in place");
    } catch (...) {
        fs::remove_all(part, failure);
        throw;
    }
}

}  // namespace nullm::inline NULLM_ABI
