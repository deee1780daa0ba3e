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
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// What a reader of any format hands over: a model in GGUF's terms, its tensors under GGUF's names and their
/// rows in GGUF's order.
struct checkpoint_parts {
    std::string source;  // the file's or folder's name, for errors
    std::string name;    // the model's
    llama_config config;
    std::vector<tensor_view> tensors;
    std::function<bpe_vocabulary()> vocabulary;  // read when asked for; throws nullm::error
    std::optional<std::string> chat_template;    // in Jinja
    std::shared_ptr<const void> storage;         // what the tensors point into
};

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
    /// A GGUF file. (open_checkpoint.hpp opens any format, at the price of a JSON parser.)
    explicit checkpoint(const std::filesystem::path& path) : checkpoint(gguf_parts(gguf_file(path)), nullptr) {}
    /// Scans the weights on the caller's threads.
    checkpoint(const std::filesystem::path& path, thread_pool& pool)
        : checkpoint(gguf_parts(gguf_file(path)), &pool) {}
    /// A GGUF file in memory that the caller keeps alive; `name` stands for it in errors.
    checkpoint(std::span<const std::byte> bytes, std::string name)
        : checkpoint(gguf_parts(gguf_file(bytes, std::move(name))), nullptr) {}
    /// A model that another reader took apart; scanned on the caller's threads if there is a pool.
    explicit checkpoint(checkpoint_parts parts, thread_pool* pool = nullptr) {
        std::sort(parts.tensors.begin(), parts.tensors.end(),
                  [](const tensor_view& a, const tensor_view& b) { return a.name < b.name; });
        contents_ = std::make_shared<const checkpoint_parts>(std::move(parts));
        verify_tensors();
        verify_weights(pool);
    }

    const llama_config& config() const { return contents_->config; }

    /// The model's name: general.name, _name_or_path, or else the file's.
    std::string_view name() const { return contents_->name; }
    /// The file's or folder's name.
    const std::string& source() const { return contents_->source; }

    /// Sorted by name.
    std::span<const tensor_view> tensors() const { return contents_->tensors; }

    std::optional<tensor_view> find(std::string_view tensor_name) const {
        const auto all = tensors();
        const auto found = std::lower_bound(all.begin(), all.end(), tensor_name,
                                            [](const tensor_view& t, std::string_view n) { return t.name < n; });
        if (found == all.end() || found->name != tensor_name) return std::nullopt;
        return *found;
    }

    /// A tensor that must exist in that shape (a vector has one row). Throws nullm::error otherwise.
    tensor_view tensor(std::string_view tensor_name, std::size_t rows, std::size_t cols) const {
        const auto found = find(tensor_name);
        const std::string expected = std::to_string(rows) + " rows of " + std::to_string(cols);
        if (!found) throw error(place_of(tensor_name), expected, "no such tensor");
        if (found->rows != rows || found->cols != cols) {
            throw error(place_of(tensor_name), expected,
                        std::to_string(found->rows) + " rows of " + std::to_string(found->cols));
        }
        return *found;
    }

    /// A copy of the byte-level BPE vocabulary: one token for every row of the embedding. Throws nullm::error
    /// for another kind of tokenizer ("llama" is SentencePiece) and for ids and counts that do not fit. The
    /// rest is `tokenizer`'s to check.
    bpe_vocabulary vocabulary() const { return contents_->vocabulary(); }

    /// The template in Jinja, as in the file.
    const std::optional<std::string>& chat_template() const { return contents_->chat_template; }

 private:
    struct layer_tensor {
        std::string_view name;
        std::size_t rows;
        std::size_t cols;
    };
    static constexpr std::size_t layer_tensors = 9;

    static checkpoint_parts gguf_parts(gguf_file opened);

    std::string place_of(std::string_view tensor_name) const {
        return source() + ": tensor " + escaped(tensor_name);
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

    void verify_norm(std::string_view name, std::size_t width) const {
        const tensor_view norm = tensor(name, 1, width);
        if (norm.type != tensor_type::f32) throw error(place_of(name), "F32", name_of(norm.type));
    }

    void verify_tensors() const {
        const llama_config& c = config();
        const auto wanted = tensors_of_layer(c);
        for (const tensor_view& t : tensors()) {
            if (!belongs_to_llama(t.name, wanted, c.layers)) refuse(source(), t.name);
        }
        tensor("token_embd.weight", c.vocabulary, c.width);
        verify_norm("output_norm.weight", c.width);
        if (!c.tied_head) tensor("output.weight", c.vocabulary, c.width);
        for (std::size_t layer = 0; layer < c.layers; ++layer) {
            const std::string prefix = "blk." + std::to_string(layer) + ".";
            for (const layer_tensor& t : wanted) {
                const std::string name = prefix + std::string(t.name) + ".weight";
                if (t.rows == 1 && t.name.ends_with("_norm")) {
                    verify_norm(name, t.cols);
                } else {
                    tensor(name, t.rows, t.cols);
                }
            }
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

    [[noreturn]] static void refuse(const std::string& source, std::string_view name) {
        if (name == "rope_freqs.weight") {
            throw error(source + ": tensor " + escaped(name), "no scaling of rotary positions",
                        "scaling factors");
        }
        const bool bias = name.ends_with(".bias");
        throw error(source, "only the tensors of a plain llama" + std::string(bias ? " without biases" : ""),
                    in_quotes(name));
    }

    void verify_weights(thread_pool* pool) const {
        const std::string place = source() + ": ";
        if (pool != nullptr) {
            verify_finite(tensors(), *pool, place);
            return;
        }
        std::size_t bytes = 0;
        for (const tensor_view& t : tensors()) bytes += t.bytes.size();
        thread_pool own(
            bytes < (1U << 22) ? 1 : 0);  // a small file is scanned before a thread would have started
        verify_finite(tensors(), own, place);
    }

    std::shared_ptr<const checkpoint_parts> contents_;
};

/// Limits of a vocabulary, whatever file it comes in.
struct vocabulary_limits {
    static constexpr std::size_t tokens = 1U << 18;  // Gemma has as many; the largest byte-level tables 250,000
    static constexpr std::size_t merges = 1U << 19;  // the largest tables of today have 450,000
};

/// The vocabulary in a GGUF file's metadata: one token for each of `rows`. Throws as checkpoint::vocabulary().
inline bpe_vocabulary read_gguf_vocabulary(const gguf_file& from, std::size_t rows) {
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
    if (tokens->size() != rows) {
        throw error(from.where("tokenizer.ggml.tokens"),
                    std::to_string(rows) + " tokens (the rows of token_embd)",
                    std::to_string(tokens->size()));
    }
    if (tokens->size() > vocabulary_limits::tokens) {
        throw error(from.where("tokenizer.ggml.tokens"), "at most " + std::to_string(vocabulary_limits::tokens) + " tokens",
                    std::to_string(tokens->size()));
    }
    if (merges->size() > vocabulary_limits::merges) {
        throw error(from.where("tokenizer.ggml.merges"), "at most " + std::to_string(vocabulary_limits::merges) + " merges",
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

inline checkpoint_parts checkpoint::gguf_parts(gguf_file opened) {
    const auto file = std::make_shared<const gguf_file>(std::move(opened));
    checkpoint_parts parts;
    parts.config = read_llama_config(*file);
    if (!file->deep_tensors().empty()) refuse(file->file_name(), file->deep_tensors().front());
    const auto version = file->find_u32("general.quantization_version");
    if (version && *version != 2) {
        throw error(file->where("general.quantization_version"), "2", std::to_string(*version));
    }
    parts.source = file->file_name();
    parts.name = file->find_string("general.name").value_or(std::string_view(file->file_name()));
    parts.tensors.assign(file->tensors().begin(), file->tensors().end());
    parts.vocabulary = [file, rows = parts.config.vocabulary] { return read_gguf_vocabulary(*file, rows); };
    if (const auto found = file->find_string("tokenizer.chat_template")) {
        parts.chat_template = std::string(*found);
    }
    parts.storage = file;
    return parts;
}

}  // namespace nullm::inline NULLM_ABI
