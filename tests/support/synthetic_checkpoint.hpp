#pragma once
// Complete small llama checkpoints made from a seed, for tests that need a model but not its wisdom.

#include <nullm/core/random.hpp>
#include <nullm/core/tensor.hpp>
#include <nullm/text/bpe_vocabulary.hpp>
#include <support/gguf_writer.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace support {

/// Storage of each kind of tensor; norms are always F32.
struct synthetic_types {
    nullm::tensor_type embedding = nullm::tensor_type::q8_0;
    nullm::tensor_type query = nullm::tensor_type::q4_1;
    nullm::tensor_type key = nullm::tensor_type::q4_1;
    nullm::tensor_type value = nullm::tensor_type::q4_1;
    nullm::tensor_type output = nullm::tensor_type::q4_1;  // attn_output
    nullm::tensor_type gate = nullm::tensor_type::q4_1;
    nullm::tensor_type up = nullm::tensor_type::q4_1;
    nullm::tensor_type down = nullm::tensor_type::q4_1;
    nullm::tensor_type head = nullm::tensor_type::q8_0;  // if not tied

    static synthetic_types all(nullm::tensor_type t) { return {t, t, t, t, t, t, t, t, t}; }
};

inline const std::string chatml_template =
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
    "'<|im_end|>' + "
    "'\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/// What to make. Quantised types need rows of a multiple of 32: width, heads * head_size and mlp_width.
/// Tokens: 0 <|endoftext|>, 1 <|im_start|> (BOS), 2 <|im_end|> (EOS), 3 + b for byte b, from 259 on merges.
struct synthetic_spec {
    std::string name = "synthetic";
    std::uint64_t seed = 1;
    std::size_t layers = 2;
    std::size_t width = 64;
    std::size_t heads = 4;
    std::size_t kv_heads = 2;
    std::size_t head_size = 16;
    std::size_t mlp_width = 96;
    std::size_t vocabulary = 320;  // at least 259
    std::size_t context = 512;
    std::size_t rope_size = 0;  // 0: head_size
    float rope_base = 10000;
    float rms_epsilon = 1e-5F;
    bool tied_head = true;
    float logit_scale = 3;  // about the standard deviation of the logits
    synthetic_types types = {};
    std::string pre_tokenizer = "smollm";
    std::string chat_template = chatml_template;  // empty: none
    bool add_bos = false;
};

/// Widths and head sizes that divide nothing: F32 only.
inline synthetic_spec odd_spec() {
    synthetic_spec spec;
    spec.name = "odd";
    spec.width = 20;
    spec.heads = 2;
    spec.kv_heads = 2;
    spec.head_size = 10;
    spec.mlp_width = 36;
    spec.vocabulary = 261;
    spec.tied_head = false;
    spec.types = synthetic_types::all(nullm::tensor_type::f32);
    return spec;
}

/// Near-Gaussian numbers of mean 0 and variance 1: the sum of eight 16-bit draws. Integer arithmetic and one
/// product, so every compiler and machine makes the same file.
inline std::vector<float> synthetic_normal(std::uint64_t seed, std::int64_t tensor, std::size_t count,
                                           float scale) {
    const nullm::draw_key key{.seed = seed, .stream = nullm::draw_stream::test, .position = tensor};
    // The sum has mean 8 * 32767.5 and variance 8 * (2^32 - 1) / 12; 53510.8 is the root of it.
    const double unit = static_cast<double>(scale) / 53510.8;
    std::vector<float> values(count);
    for (std::size_t i = 0; i < count; ++i) {
        std::int64_t sum = 0;
        for (const std::uint32_t word : nullm::draw_block(key, static_cast<std::uint32_t>(i))) {
            sum += (word & 0xFFFFU) + (word >> 16);
        }
        values[i] = static_cast<float>(static_cast<double>(sum - 262140) * unit);
    }
    return values;
}

/// A character of GPT-2's byte-level alphabet, in UTF-8.
inline std::string byte_character(unsigned byte) {
    const auto visible = [](unsigned b) {
        return (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || (b >= 0xAE && b <= 0xFF);
    };
    unsigned code = byte;
    if (!visible(byte)) {
        code = 0x100;
        for (unsigned b = 0; b < byte; ++b) code += visible(b) ? 0U : 1U;
    }
    if (code < 0x80) return {static_cast<char>(code)};
    return {static_cast<char>(0xC0U | (code >> 6)), static_cast<char>(0x80U | (code & 0x3FU))};
}

/// Control tokens, bytes, then merges in a fixed order: space + letter, letter + letter, space-letter +
/// letter, two letters + letter. At most 259 + 26 + 676 + 676 + 17576 tokens.
inline nullm::bpe_vocabulary synthetic_vocabulary(const synthetic_spec& spec) {
    nullm::bpe_vocabulary made;
    made.tokens = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
    made.token_types.assign(3, static_cast<std::int32_t>(nullm::token_kind::control));
    for (unsigned b = 0; b < 256; ++b) made.tokens.push_back(byte_character(b));
    if (spec.vocabulary < made.tokens.size()) throw std::invalid_argument("synthetic: vocabulary below 259");
    const auto merge = [&](const std::string& left, const std::string& right) {
        if (made.tokens.size() == spec.vocabulary) return;
        made.merges.push_back(left + ' ' + right);
        made.tokens.push_back(left + right);
    };
    const std::string letters = "etaoinsrhldcumfpgwybvkxjqz";
    const std::string space = byte_character(' ');
    for (const char a : letters) merge(space, {a});
    for (const char a : letters) {
        for (const char b : letters) merge({a}, {b});
    }
    for (const char a : letters) {
        for (const char b : letters) merge(space + a, {b});
    }
    for (const char a : letters) {
        for (const char b : letters) {
            for (const char c : letters) merge({a, b}, {c});
        }
    }
    if (made.tokens.size() != spec.vocabulary) throw std::invalid_argument("synthetic: vocabulary too large");
    made.token_types.resize(made.tokens.size(), static_cast<std::int32_t>(nullm::token_kind::normal));
    made.pre_tokenizer = spec.pre_tokenizer;
    made.bos = 1;
    made.eos = 2;
    made.add_bos = spec.add_bos;
    return made;
}

/// The checkpoint as a writer, so that a test can damage it before writing.
inline gguf_writer synthetic_writer(const synthetic_spec& spec) {
    gguf_writer out;
    const auto u32 = [](std::size_t n) { return static_cast<std::uint32_t>(n); };
    out.set_string("general.architecture", "llama");
    out.set_string("general.name", spec.name);
    out.set_u32("general.quantization_version", 2);
    out.set_u32("llama.block_count", u32(spec.layers));
    out.set_u32("llama.context_length", u32(spec.context));
    out.set_u32("llama.embedding_length", u32(spec.width));
    out.set_u32("llama.feed_forward_length", u32(spec.mlp_width));
    out.set_u32("llama.attention.head_count", u32(spec.heads));
    out.set_u32("llama.attention.head_count_kv", u32(spec.kv_heads));
    out.set_u32("llama.attention.key_length", u32(spec.head_size));
    out.set_u32("llama.attention.value_length", u32(spec.head_size));
    out.set_u32("llama.rope.dimension_count", u32(spec.rope_size == 0 ? spec.head_size : spec.rope_size));
    out.set_f32("llama.rope.freq_base", spec.rope_base);
    out.set_f32("llama.attention.layer_norm_rms_epsilon", spec.rms_epsilon);
    out.set_u32("llama.vocab_size", u32(spec.vocabulary));

    const auto vocabulary = synthetic_vocabulary(spec);
    out.set_string("tokenizer.ggml.model", "gpt2");
    out.set_string("tokenizer.ggml.pre", vocabulary.pre_tokenizer);
    out.set_strings("tokenizer.ggml.tokens", vocabulary.tokens);
    out.set_i32s("tokenizer.ggml.token_type", vocabulary.token_types);
    out.set_strings("tokenizer.ggml.merges", vocabulary.merges);
    out.set_u32("tokenizer.ggml.bos_token_id", 1);
    out.set_u32("tokenizer.ggml.eos_token_id", 2);
    out.set_bool("tokenizer.ggml.add_bos_token", vocabulary.add_bos);
    if (!spec.chat_template.empty()) out.set_string("tokenizer.chat_template", spec.chat_template);

    std::int64_t number = 0;
    const auto matrix = [&](const std::string& name, nullm::tensor_type type, std::size_t rows,
                            std::size_t cols, float gain) {
        const float scale = gain / std::sqrt(static_cast<float>(cols));  // rows of norm `gain`
        out.set_tensor(name, type, rows, cols, synthetic_normal(spec.seed, number++, rows * cols, scale));
    };
    const auto norm = [&](const std::string& name) {
        auto values = synthetic_normal(spec.seed, number++, spec.width, 0.1F);
        for (float& x : values) x += 1;
        out.set_tensor(name, nullm::tensor_type::f32, 1, spec.width, values);
    };
    const std::size_t query = spec.heads * spec.head_size;
    const std::size_t key = spec.kv_heads * spec.head_size;
    // Two residual branches a layer: so scaled, the stream's size does not grow with depth.
    const float branch = 1.0F / std::sqrt(2.0F * static_cast<float>(spec.layers));
    matrix("token_embd.weight", spec.types.embedding, spec.vocabulary, spec.width, spec.logit_scale);
    for (std::size_t layer = 0; layer < spec.layers; ++layer) {
        const std::string prefix = "blk." + std::to_string(layer) + ".";
        norm(prefix + "attn_norm.weight");
        matrix(prefix + "attn_q.weight", spec.types.query, query, spec.width, 1);
        matrix(prefix + "attn_k.weight", spec.types.key, key, spec.width, 1);
        matrix(prefix + "attn_v.weight", spec.types.value, key, spec.width, 1);
        matrix(prefix + "attn_output.weight", spec.types.output, spec.width, query, branch);
        norm(prefix + "ffn_norm.weight");
        matrix(prefix + "ffn_gate.weight", spec.types.gate, spec.mlp_width, spec.width, 1);
        matrix(prefix + "ffn_up.weight", spec.types.up, spec.mlp_width, spec.width, 1);
        matrix(prefix + "ffn_down.weight", spec.types.down, spec.width, spec.mlp_width, branch);
    }
    norm("output_norm.weight");
    if (!spec.tied_head)
        matrix("output.weight", spec.types.head, spec.vocabulary, spec.width, spec.logit_scale);
    return out;
}

inline bytes synthetic_checkpoint(const synthetic_spec& spec) {
    return synthetic_writer(spec).file();
}

/// Writes <directory>/<spec.name>.gguf and returns its path.
inline std::filesystem::path write_synthetic_checkpoint(const synthetic_spec& spec,
                                                        const std::filesystem::path& directory) {
    std::filesystem::create_directories(directory);
    return synthetic_writer(spec).write(directory / (spec.name + ".gguf"));
}

}  // namespace support
