#pragma once
// A llama in a file: its shape, its weights and its vocabulary, checked as a whole before anything runs.

#include <nullm/core/abi.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/tensor.hpp>
#include <nullm/core/thread_pool.hpp>
#include <nullm/core/token.hpp>
#include <nullm/io/gguf.hpp>
#include <nullm/io/gguf_finite.hpp>
#include <nullm/model/llama_config.hpp>
#include <nullm/text/bpe_vocabulary.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace nullm::inline NULLM_ABI {

/// A handle to an open model file: copies share one mapping, and views from it live as long as any copy.
/// Opening verifies that exactly the tensors of a llama are there (token_embd, output_norm, output unless
/// tied, and per layer attn_norm, attn_q, attn_k, attn_v, attn_output, ffn_norm, ffn_gate, ffn_up, ffn_down),
/// in the shape the metadata says, norms in F32, all weights finite; anything more (biases, rotary factors,
/// experts) is refused, so that no model silently runs wrong. Throws nullm::error. Cost: one pass over the
/// file at the speed of memory.
///
/// Rows of attn_q and attn_k are permuted for the interleaved rotary convention, as GGUF stores them.
class checkpoint {
 public:
    explicit checkpoint(const std::filesystem::path& path) : checkpoint(gguf_file(path), nullptr) {}
    /// Scans the weights on the caller's threads.
    checkpoint(const std::filesystem::path& path, thread_pool& pool) : checkpoint(gguf_file(path), &pool) {}
    /// A file in memory that the caller keeps alive; `name` stands for it in errors.
    checkpoint(std::span<const std::byte> bytes, std::string name)
        : checkpoint(gguf_file(bytes, std::move(name)), nullptr) {}

    const llama_config& config() const { return contents_->config; }
    const gguf_file& file() const { return contents_->file; }

    /// The model's name: general.name, or else the file's.
    std::string_view name() const {
        return file().find_string("general.name").value_or(std::string_view(file().file_name()));
    }

    std::optional<tensor_view> find(std::string_view tensor_name) const { return file().find(tensor_name); }

    /// A tensor that must exist in that shape (a vector has one row). Throws nullm::error otherwise.
    tensor_view tensor(std::string_view tensor_name, std::size_t rows, std::size_t cols) const {
        return tensor(file(), tensor_name, rows, cols);
    }

    /// A copy of the byte-level BPE vocabulary: one token for every row of the embedding. Throws nullm::error
    /// for another kind of tokenizer ("llama" is SentencePiece) and for ids and counts that do not fit. The
    /// rest is `tokenizer`'s to check.
    bpe_vocabulary vocabulary() const;

    /// The template in Jinja, as in the file.
    std::optional<std::string> chat_template() const {
        const auto found = file().find_string("tokenizer.chat_template");
        if (!found) return std::nullopt;
        return std::string(*found);
    }

 private:
    struct contents {
        gguf_file file;
        llama_config config;
    };
    struct layer_tensor {
        std::string_view name;
        std::size_t rows;
        std::size_t cols;
    };
    static constexpr std::size_t most_tokens =
        1U << 18;  // Gemma has as many; the largest byte-level tables 250,000
    static constexpr std::size_t most_merges = 1U << 19;  // the largest tables of today have 450,000
    static constexpr std::size_t layer_tensors = 9;

    checkpoint(gguf_file file, thread_pool* pool) {
        const llama_config config = read_llama_config(file);
        verify_tensors(file, config);
        contents_ = std::make_shared<const contents>(contents{std::move(file), config});
        verify_weights(pool);
    }

    static std::array<layer_tensor, layer_tensors> tensors_of_layer(const llama_config& c) {
        const std::size_t query = c.heads * c.head_size;
        const std::size_t key = c.kv_heads * c.head_size;
        return {{{"attn_norm", 1, c.width},
                 {"attn_q", query, c.width},
                 {"attn_k", key, c.width},
                 {"attn_v", key, c.width},
                 {"attn_output", c.width, query},
                 {"ffn_norm", 1, c.width},
                 {"ffn_gate", c.mlp_width, c.width},
                 {"ffn_up", c.mlp_width, c.width},
                 {"ffn_down", c.width, c.mlp_width}}};
    }

    static tensor_view tensor(const gguf_file& file, std::string_view name, std::size_t rows,
                              std::size_t cols) {
        const auto found = file.find(name);
        const std::string expected = std::to_string(rows) + " rows of " + std::to_string(cols);
        if (!found) throw error(file.tensor_place(name), expected, "no such tensor");
        if (found->rows != rows || found->cols != cols) {
            throw error(file.tensor_place(name), expected,
                        std::to_string(found->rows) + " rows of " + std::to_string(found->cols));
        }
        return *found;
    }

    static void verify_norm(const gguf_file& file, std::string_view name, std::size_t width) {
        const tensor_view norm = tensor(file, name, 1, width);
        if (norm.type != tensor_type::f32) throw error(file.tensor_place(name), "F32", name_of(norm.type));
    }

    static void verify_tensors(const gguf_file& file, const llama_config& config) {
        const auto wanted = tensors_of_layer(config);
        for (const tensor_view& t : file.tensors()) {
            if (!belongs_to_llama(t.name, wanted, config.layers)) refuse(file, t.name);
        }
        if (!file.deep_tensors().empty()) refuse(file, file.deep_tensors().front());

        tensor(file, "token_embd.weight", config.vocabulary, config.width);
        verify_norm(file, "output_norm.weight", config.width);
        if (!config.tied_head) tensor(file, "output.weight", config.vocabulary, config.width);
        for (std::size_t layer = 0; layer < config.layers; ++layer) {
            const std::string prefix = "blk." + std::to_string(layer) + ".";
            for (const layer_tensor& t : wanted) {
                const std::string name = prefix + std::string(t.name) + ".weight";
                if (t.rows == 1 && t.name.ends_with("_norm")) {
                    verify_norm(file, name, t.cols);
                } else {
                    tensor(file, name, t.rows, t.cols);
                }
            }
        }
        const auto version = file.find_u32("general.quantization_version");
        if (version && *version != 2) {
            throw error(file.where("general.quantization_version"), "2", std::to_string(*version));
        }
    }

    static bool belongs_to_llama(std::string_view name, std::span<const layer_tensor> wanted,
                                 std::size_t layers) {
        constexpr std::string_view suffix = ".weight";
        if (!name.ends_with(suffix)) return false;
        name.remove_suffix(suffix.size());
        if (name == "token_embd" || name == "output_norm" || name == "output") return true;
        constexpr std::string_view prefix = "blk.";
        if (!name.starts_with(prefix)) return false;
        name.remove_prefix(prefix.size());
        const std::size_t dot = name.find('.');
        if (dot == std::string_view::npos || dot == 0 || dot > 4) return false;
        std::size_t layer = 0;
        for (const char c : name.substr(0, dot)) {
            if (c < '0' || c > '9') return false;
            layer = layer * 10 + static_cast<std::size_t>(c - '0');
        }
        if (layer >= layers || std::to_string(layer).size() != dot) return false;
        name.remove_prefix(dot + 1);
        return std::any_of(wanted.begin(), wanted.end(),
                           [&](const layer_tensor& t) { return t.name == name; });
    }

    [[noreturn]] static void refuse(const gguf_file& file, std::string_view name) {
        if (name == "rope_freqs.weight") {
            throw error(file.tensor_place(name), "no scaling of rotary positions", "scaling factors");
        }
        const bool bias = name.ends_with(".bias");
        throw error(file.file_name(),
                    "only the tensors of a plain llama" + std::string(bias ? " without biases" : ""),
                    in_quotes(name));
    }

    void verify_weights(thread_pool* pool) const {
        const std::string place = file().file_name() + ": ";
        if (pool != nullptr) {
            verify_finite(file().tensors(), *pool, place);
            return;
        }
        std::size_t bytes = 0;
        for (const tensor_view& t : file().tensors()) bytes += t.bytes.size();
        thread_pool own(
            bytes < (1U << 22) ? 1 : 0);  // a small file is scanned before a thread would have started
        verify_finite(file().tensors(), own, place);
    }

    std::shared_ptr<const contents> contents_;
};

inline bpe_vocabulary checkpoint::vocabulary() const {
    const gguf_file& from = file();
    const auto model = from.find_string("tokenizer.ggml.model");
    if (!model) throw error(from.where("tokenizer.ggml.model"), "\"gpt2\" (byte-level BPE)", "none");
    if (*model != "gpt2") {
        throw error(from.where("tokenizer.ggml.model"), "\"gpt2\" (byte-level BPE)",
                    in_quotes(*model) + (*model == "llama" ? " (SentencePiece)" : ""));
    }
    const auto tokens = from.find_strings("tokenizer.ggml.tokens");
    const auto merges = from.find_strings("tokenizer.ggml.merges");
    const auto types = from.find_i32s("tokenizer.ggml.token_type");
    const auto pre_tokenizer = from.find_string("tokenizer.ggml.pre");
    if (!tokens) throw error(from.where("tokenizer.ggml.tokens"), "an array of strings", "none");
    if (!merges) throw error(from.where("tokenizer.ggml.merges"), "an array of strings", "none");
    if (!pre_tokenizer) throw error(from.where("tokenizer.ggml.pre"), "the name of a pre-tokenizer", "none");
    if (escaped(*pre_tokenizer) != *pre_tokenizer) {  // whoever refuses the name prints it
        throw error(from.where("tokenizer.ggml.pre"), "a short name in ASCII", in_quotes(*pre_tokenizer));
    }
    if (tokens->size() != config().vocabulary) {
        throw error(from.where("tokenizer.ggml.tokens"),
                    std::to_string(config().vocabulary) + " tokens (the rows of token_embd)",
                    std::to_string(tokens->size()));
    }
    if (tokens->size() > most_tokens) {
        throw error(from.where("tokenizer.ggml.tokens"), "at most " + std::to_string(most_tokens) + " tokens",
                    std::to_string(tokens->size()));
    }
    if (merges->size() > most_merges) {
        throw error(from.where("tokenizer.ggml.merges"), "at most " + std::to_string(most_merges) + " merges",
                    std::to_string(merges->size()));
    }
    if (types && types->size() != tokens->size()) {
        throw error(from.where("tokenizer.ggml.token_type"),
                    std::to_string(tokens->size()) + " types, one a token", std::to_string(types->size()));
    }
    const auto find_id = [&](std::string_view key) -> std::optional<token_id> {
        const auto id = from.find_u32(key);
        if (!id) return std::nullopt;
        if (*id >= tokens->size()) {
            throw error(from.where(key), "a token id below " + std::to_string(tokens->size()),
                        std::to_string(*id));
        }
        return static_cast<token_id>(*id);
    };
    if (from.find_bool("tokenizer.ggml.add_eos_token").value_or(false)) {
        throw error(from.where("tokenizer.ggml.add_eos_token"), "none or false", "true");
    }

    bpe_vocabulary made;
    made.bos = find_id("tokenizer.ggml.bos_token_id");
    made.eos = find_id("tokenizer.ggml.eos_token_id");
    made.eot = find_id("tokenizer.ggml.eot_token_id");
    made.pre_tokenizer = std::string(*pre_tokenizer);
    // Llama 3 expects its begin token even where the file does not say so (llama.cpp does the same).
    made.add_bos = from.find_bool("tokenizer.ggml.add_bos_token").value_or(*pre_tokenizer == "llama-bpe");
    made.tokens.reserve(tokens->size());
    for (const std::string_view token : *tokens) made.tokens.emplace_back(token);
    made.merges.reserve(merges->size());
    for (const std::string_view merge : *merges) made.merges.emplace_back(merge);
    if (types) {
        made.token_types.reserve(types->size());
        for (std::size_t i = 0; i < types->size(); ++i) made.token_types.push_back((*types)[i]);
    }
    if (made.add_bos && !made.bos) {
        throw error(from.where("tokenizer.ggml.add_bos_token"), "a bos_token_id to add", "none");
    }
    return made;
}

}  // namespace nullm::inline NULLM_ABI
