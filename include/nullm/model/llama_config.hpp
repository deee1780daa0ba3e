#pragma once
// The shape of a llama: what its GGUF metadata says, checked.

#include <nullm/core/abi.hpp>
#include <nullm/core/error.hpp>
#include <nullm/io/gguf.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nullm::inline NULLM_ABI {

/// Sizes of a decoder with RMS norms, rotary positions, grouped-query attention and a SiLU-gated MLP ("llama"
/// in GGUF: also Mistral, TinyLlama, SmolLM2). All are positive; heads is a multiple of kv_heads, rope_size
/// is even and at most head_size. Query width is heads * head_size, which need not equal width.
struct llama_config {
    std::size_t layers = 0;
    std::size_t width = 0;      // of the residual stream
    std::size_t heads = 0;      // query heads
    std::size_t kv_heads = 0;   // key and value heads
    std::size_t head_size = 0;  // of keys and values alike
    std::size_t mlp_width = 0;
    std::size_t vocabulary = 0;
    std::size_t context = 0;    // positions the model was trained for
    std::size_t rope_size = 0;  // leading elements of a head that are rotated
    float rope_base = 0;
    float rms_epsilon = 0;
    bool tied_head = false;  // the head is token_embd
};

namespace detail {

/// Reads "llama.<key>" values and refuses those out of range, naming the key.
class llama_keys {
 public:
    explicit llama_keys(const gguf_file& file) : file_(file) {}

    std::optional<std::size_t> find_size(std::string_view key, std::size_t most) const {
        const std::string name = full(key);
        const auto value = file_.find_u32(name);
        if (!value) return std::nullopt;
        if (*value == 0 || *value > most) {
            throw error(file_.where(name), "1 to " + std::to_string(most), std::to_string(*value));
        }
        return *value;
    }
    std::size_t size(std::string_view key, std::size_t most) const {
        const auto value = find_size(key, most);
        if (!value) throw error(file_.where(full(key)), "a value", "none");
        return *value;
    }
    std::optional<float> find_positive(std::string_view key) const {
        const std::string name = full(key);
        const auto value = file_.find_f32(name);
        if (value && !(std::isfinite(*value) && *value > 0)) {
            throw error(file_.where(name), "a finite positive number", std::to_string(*value));
        }
        return value;
    }
    float positive(std::string_view key) const {
        const auto value = find_positive(key);
        if (!value) throw error(file_.where(full(key)), "a value", "none");
        return *value;
    }
    /// For values that would change the computation: only the neutral one is accepted.
    template <class T>
    void require_neutral(std::string_view key, std::optional<T> found, T neutral) const {
        if (found && *found != neutral) {
            throw error(file_.where(full(key)), "none or " + std::to_string(neutral), std::to_string(*found));
        }
    }
    static std::string full(std::string_view key) { return "llama." + std::string(key); }

 private:
    const gguf_file& file_;
};

/// Refuses "llama." keys nobody here knows (they may change what the model computes) and known ones that do.
inline void verify_plain_llama(const gguf_file& file, std::size_t context, std::size_t head_size) {
    constexpr std::array<std::string_view, 27> known = {"block_count",
                                                        "context_length",
                                                        "embedding_length",
                                                        "feed_forward_length",
                                                        "vocab_size",
                                                        "attention.head_count",
                                                        "attention.head_count_kv",
                                                        "attention.key_length",
                                                        "attention.value_length",
                                                        "attention.layer_norm_rms_epsilon",
                                                        "attention.layer_norm_epsilon",
                                                        "attention.sliding_window",
                                                        "attention.causal",
                                                        "rope.dimension_count",
                                                        "rope.freq_base",
                                                        "rope.scale_linear",
                                                        "rope.scaling.type",
                                                        "rope.scaling.factor",
                                                        "rope.scaling.attn_factor",
                                                        "rope.scaling.original_context_length",
                                                        "rope.scaling.finetuned",
                                                        "expert_count",
                                                        "expert_used_count",
                                                        "use_parallel_residual",
                                                        "tensor_data_layout",
                                                        "logit_scale",
                                                        "attention.scale"};
    constexpr std::string_view prefix = "llama.";
    for (const auto& entry : file.entries()) {
        if (!entry.key.starts_with(prefix)) continue;
        const std::string_view rest = entry.key.substr(prefix.size());
        if (std::find(known.begin(), known.end(), rest) == known.end()) {
            throw error(file.file_name(), "llama metadata this version understands", in_quotes(entry.key));
        }
    }
    const llama_keys keys(file);
    const auto scaling = file.find_string("llama.rope.scaling.type");
    if (scaling && *scaling != "none") {
        throw error(file.where("llama.rope.scaling.type"), "none or \"none\"", in_quotes(*scaling));
    }
    for (const char* const key :
         {"rope.scaling.factor", "rope.scaling.attn_factor", "rope.scale_linear", "logit_scale"}) {
        keys.require_neutral(key, file.find_f32(llama_keys::full(key)), 1.0F);
    }
    for (const char* const key : {"expert_count", "expert_used_count"}) {
        keys.require_neutral(key, file.find_u32(llama_keys::full(key)), 0U);
    }
    keys.require_neutral("attention.causal", file.find_bool("llama.attention.causal"), true);
    keys.require_neutral("use_parallel_residual", file.find_bool("llama.use_parallel_residual"), false);
    const auto layout = file.find_string("llama.tensor_data_layout");
    if (layout && *layout != "Meta AI original pth") {
        throw error(file.where("llama.tensor_data_layout"), "\"Meta AI original pth\"", in_quotes(*layout));
    }
    const auto scale = file.find_f32("llama.attention.scale");
    const float usual = 1.0F / std::sqrt(static_cast<float>(head_size));
    if (scale && *scale != 0 && *scale != usual) {
        throw error(file.where("llama.attention.scale"), std::to_string(usual), std::to_string(*scale));
    }
    const auto window = file.find_u32("llama.attention.sliding_window");
    if (window && *window < context) {
        throw error(file.where("llama.attention.sliding_window"),
                    "none, or at least the context of " + std::to_string(context), std::to_string(*window));
    }
}

}  // namespace detail

/// Reads and checks the metadata of a llama. Throws nullm::error, naming the key, for another architecture, a
/// missing or impossible size, and anything that would change the computation: scaled rotary positions,
/// experts, a sliding window below the context, unknown "llama." keys. Tensors are checked by `checkpoint`.
inline llama_config read_llama_config(const gguf_file& file) {
    const auto architecture = file.find_string("general.architecture");
    if (!architecture) throw error(file.where("general.architecture"), "\"llama\"", "none");
    if (*architecture != "llama") {
        throw error(file.where("general.architecture"), "\"llama\"", in_quotes(*architecture));
    }
    constexpr std::size_t million = 1U << 20;
    const detail::llama_keys keys(file);
    llama_config config;
    config.layers = keys.size("block_count", 1024);
    config.width = keys.size("embedding_length", million);
    config.heads = keys.size("attention.head_count", 65536);
    config.kv_heads = keys.find_size("attention.head_count_kv", 65536).value_or(config.heads);
    config.mlp_width = keys.size("feed_forward_length", million);
    config.context = keys.size("context_length", million);
    config.rope_base = keys.find_positive("rope.freq_base").value_or(10000.0F);
    config.rms_epsilon = keys.positive("attention.layer_norm_rms_epsilon");
    config.tied_head = !file.find("output.weight");

    if (config.heads % config.kv_heads != 0) {
        throw error(file.where("llama.attention.head_count"),
                    "a multiple of the " + std::to_string(config.kv_heads) + " key-value heads",
                    std::to_string(config.heads));
    }
    const auto key_length = keys.find_size("attention.key_length", 65536);
    if (!key_length && config.width % config.heads != 0) {
        throw error(file.where("llama.embedding_length"),
                    "a multiple of the " + std::to_string(config.heads) + " heads",
                    std::to_string(config.width));
    }
    config.head_size = key_length ? *key_length : config.width / config.heads;
    const auto value_length = keys.find_size("attention.value_length", 65536).value_or(config.head_size);
    if (value_length != config.head_size) {
        throw error(file.where("llama.attention.value_length"),
                    "the key length " + std::to_string(config.head_size), std::to_string(value_length));
    }
    config.rope_size = keys.find_size("rope.dimension_count", 65536).value_or(config.head_size);
    if (config.rope_size % 2 != 0 || config.rope_size > config.head_size) {
        throw error(file.where("llama.rope.dimension_count"),
                    "an even number up to the head size " + std::to_string(config.head_size),
                    std::to_string(config.rope_size));
    }
    if (const auto vocabulary = keys.find_size("vocab_size", million)) {
        config.vocabulary = *vocabulary;
    } else if (const auto tokens = file.find_strings("tokenizer.ggml.tokens");
               tokens && tokens->size() != 0) {
        config.vocabulary = tokens->size();
    } else {
        throw error(file.where("llama.vocab_size"), "a value, or a list of tokens", "neither");
    }
    detail::verify_plain_llama(file, config.context, config.head_size);
    return config;
}

}  // namespace nullm::inline NULLM_ABI
