#pragma once
// The shape of a llama in the words of Hugging Face's config.json, read and written.

#include <nullm/core/token.hpp>
#include <nullm/io/json_document.hpp>
#include <nullm/model/llama_config.hpp>

#include <cmath>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace nullm::inline NULLM_ABI {

/// What config.json says beside the sizes.
struct hf_config {
    llama_config shape;
    std::string name;  // _name_or_path; may be empty
};

namespace detail {

/// Refuses what would change the computation.
inline void verify_plain_hf_llama(const json_object& config, const llama_config& shape) {
    for (const char* const key : {"attention_bias", "mlp_bias", "rope_interleaved", "use_qk_norm"}) {
        if (config.find_bool(key).value_or(false)) throw error(config.place(key), "none or false", "true");
    }
    const auto activation = config.find_string("hidden_act").value_or("silu");
    if (activation != "silu") throw error(config.place("hidden_act"), "\"silu\"", in_quotes(activation));
    for (const char* const key : {"rope_scaling", "rope_parameters"}) {
        if (config.find(key) == nullptr) continue;
        const json_object rope = config.object(key);
        for (const char* const kind : {"rope_type", "type"}) {
            const auto found = rope.find_string(kind).value_or("default");
            if (found != "default") throw error(rope.place(kind), "none or \"default\"", in_quotes(found));
        }
        for (const char* const share : {"factor", "partial_rotary_factor"}) {
            const float value = rope.find_positive(share).value_or(1.0F);
            if (value != 1.0F) throw error(rope.place(share), "none or 1", std::to_string(value));
        }
    }
    if (config.find_positive("partial_rotary_factor").value_or(1.0F) != 1.0F) {
        throw error(config.place("partial_rotary_factor"), "none or 1", "another share");
    }
    const auto window = config.find_size("sliding_window", std::size_t{1} << 31);
    if (window && *window < shape.context && config.find_bool("use_sliding_window").value_or(true)) {
        throw error(config.place("sliding_window"),
                    "none, or at least the context of " + std::to_string(shape.context),
                    std::to_string(*window));
    }
    if (config.find("quantization_config") == nullptr) return;
    const json_object quantized = config.object("quantization_config");
    const auto method = quantized.find_string("quant_method").value_or("none");
    if (method != "bitsandbytes") {
        throw error(quantized.place("quant_method"), "\"bitsandbytes\"", in_quotes(method));
    }
    const auto type = quantized.find_string("bnb_4bit_quant_type").value_or("fp4");  // bitsandbytes' default
    if (!quantized.find_bool("load_in_4bit").value_or(false) || type != "nf4") {
        throw error(quantized.place("bnb_4bit_quant_type"), "4 bits of the type nf4", in_quotes(type));
    }
}

}  // namespace detail

/// Reads the text of a config.json of the llama family (model_type llama, or mistral without a window below
/// its context). Throws nullm::error, naming the key, for a missing or impossible size and for what would
/// change the computation: biases, other activations, scaled or partial rotary positions, quantisation other
/// than NF4.
inline hf_config read_hf_config(std::string_view text, const std::string& where) {
    constexpr std::size_t million = 1U << 20;
    const nlohmann::json document = read_json_object(text, where, million);
    const json_object config(document, where);
    const auto kind = config.find_string("model_type").value_or("none");
    if (kind != "llama" && kind != "mistral") {
        throw error(config.place("model_type"), "\"llama\" or \"mistral\"", in_quotes(kind));
    }
    hf_config read;
    llama_config& shape = read.shape;
    shape.layers = config.size("num_hidden_layers", 1024);
    shape.width = config.size("hidden_size", million);
    shape.heads = config.size("num_attention_heads", 65536);
    shape.kv_heads = config.find_size("num_key_value_heads", 65536).value_or(shape.heads);
    shape.mlp_width = config.size("intermediate_size", million);
    shape.vocabulary = config.size("vocab_size", million);
    shape.context = config.size("max_position_embeddings", million);
    auto base = config.find_positive("rope_theta");
    if (!base && config.find("rope_parameters") != nullptr) {
        base = config.object("rope_parameters").find_positive("rope_theta");
    }
    shape.rope_base = base.value_or(10000.0F);
    shape.rms_epsilon = config.find_positive("rms_norm_eps").value_or(1e-6F);
    shape.tied_head = config.find_bool("tie_word_embeddings").value_or(false);
    if (shape.heads % shape.kv_heads != 0) {
        throw error(config.place("num_attention_heads"),
                    "a multiple of the " + std::to_string(shape.kv_heads) + " key-value heads",
                    std::to_string(shape.heads));
    }
    const auto head_size = config.find_size("head_dim", 65536);
    if (!head_size && shape.width % shape.heads != 0) {
        throw error(config.place("hidden_size"),
                    "a multiple of the " + std::to_string(shape.heads) + " heads",
                    std::to_string(shape.width));
    }
    shape.head_size = head_size ? *head_size : shape.width / shape.heads;
    if (shape.head_size % 2 != 0) {
        throw error(config.place("head_dim"), "an even number", std::to_string(shape.head_size));
    }
    shape.rope_size = shape.head_size;
    detail::verify_plain_hf_llama(config, shape);
    read.name = config.find_string("_name_or_path").value_or("");
    return read;
}

/// What a folder says of its NF4 weights.
struct hf_quantization {
    bool nested = false;
    bool head = false;  // the head is NF4, too
};

/// The text of a config.json that read_hf_config() reads back, and transformers reads: read_hf_config() of it
/// gives the shape again. Throws nullm::error if only some of a head's elements are rotated, which it cannot
/// say.
inline std::string write_hf_config(const llama_config& shape, std::string_view name,
                                   const hf_quantization& how, std::optional<token_id> bos,
                                   std::optional<token_id> eos) {
    if (shape.rope_size != shape.head_size) {
        throw error("config.json", "rotary positions over whole heads of " + std::to_string(shape.head_size),
                    std::to_string(shape.rope_size));
    }
    nlohmann::ordered_json config{{"_name_or_path", name},
                                  {"architectures", {"LlamaForCausalLM"}},
                                  {"attention_bias", false},
                                  {"attention_dropout", 0.0},
                                  {"head_dim", shape.head_size},
                                  {"hidden_act", "silu"},
                                  {"hidden_size", shape.width},
                                  {"initializer_range", 0.02},
                                  {"intermediate_size", shape.mlp_width},
                                  {"max_position_embeddings", shape.context},
                                  {"mlp_bias", false},
                                  {"model_type", "llama"},
                                  {"num_attention_heads", shape.heads},
                                  {"num_hidden_layers", shape.layers},
                                  {"num_key_value_heads", shape.kv_heads},
                                  {"pretraining_tp", 1},
                                  {"rms_norm_eps", static_cast<double>(shape.rms_epsilon)},
                                  {"rope_scaling", nullptr},
                                  {"rope_theta", static_cast<double>(shape.rope_base)},
                                  {"tie_word_embeddings", shape.tied_head && !how.head},
                                  {"torch_dtype", "float16"},
                                  {"use_cache", true},
                                  {"vocab_size", shape.vocabulary}};
    if (bos) config["bos_token_id"] = *bos;
    if (eos) config["eos_token_id"] = *eos;
    config["quantization_config"] = {
        {"quant_method", "bitsandbytes"},
        {"load_in_4bit", true},
        {"load_in_8bit", false},
        {"bnb_4bit_quant_type", "nf4"},
        {"bnb_4bit_use_double_quant", how.nested},
        {"bnb_4bit_compute_dtype", "float32"},
        {"bnb_4bit_quant_storage", "uint8"},
        {"llm_int8_skip_modules",
         how.head ? nlohmann::ordered_json::array() : nlohmann::ordered_json::array({"lm_head"})}};
    return config.dump(2) + '\n';
}

}  // namespace nullm::inline NULLM_ABI
