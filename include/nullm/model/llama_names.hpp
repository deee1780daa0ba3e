#pragma once
// The tensors of a llama under both of their names: Hugging Face's and GGUF's.

#include <nullm/model/llama_config.hpp>

#include <cstddef>
#include <string>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// One tensor, its names without ".weight".
struct llama_tensor {
    std::string hf;
    std::string gguf;
    std::size_t rows = 0;
    std::size_t cols = 0;
    bool norm = false;
    std::size_t head_rows = 0;  // of q and k: rows of a head, which the formats order differently; else 0
};

/// Where Hugging Face has row r of GGUF's. A head's rows are rotated in pairs: the first half with the second
/// there, neighbours here (rope.hpp).
constexpr std::size_t hf_row(std::size_t r, std::size_t head_rows) {
    if (head_rows == 0) return r;
    const std::size_t in_head = r % head_rows;
    return r - in_head + in_head / 2 + (in_head % 2) * (head_rows / 2);
}

/// The names of a layer's matrices, as both have them.
struct llama_names {
    static constexpr const char* hf[] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                         "self_attn.o_proj", "mlp.gate_proj",    "mlp.up_proj",
                                         "mlp.down_proj"};
    static constexpr const char* gguf[] = {"attn_q",   "attn_k", "attn_v",  "attn_output",
                                           "ffn_gate", "ffn_up", "ffn_down"};
};

/// All tensors of a model of that shape: embedding, final norm, head unless tied, and those of each layer.
inline std::vector<llama_tensor> llama_tensors(const llama_config& c) {
    const std::size_t q = c.heads * c.head_size;
    const std::size_t kv = c.kv_heads * c.head_size;
    std::vector<llama_tensor> all{{"model.embed_tokens", "token_embd", c.vocabulary, c.width, false, 0},
                                  {"model.norm", "output_norm", 1, c.width, true, 0}};
    if (!c.tied_head) all.push_back({"lm_head", "output", c.vocabulary, c.width, false, 0});
    const std::size_t rows[] = {q, kv, kv, c.width, c.mlp_width, c.mlp_width, c.width};
    const std::size_t cols[] = {c.width, c.width, c.width, q, c.width, c.width, c.mlp_width};
    for (std::size_t l = 0; l < c.layers; ++l) {
        const std::string hf = "model.layers." + std::to_string(l) + ".";
        const std::string gguf = "blk." + std::to_string(l) + ".";
        all.push_back({hf + "input_layernorm", gguf + "attn_norm", 1, c.width, true, 0});
        all.push_back({hf + "post_attention_layernorm", gguf + "ffn_norm", 1, c.width, true, 0});
        for (std::size_t m = 0; m < 7; ++m) {
            all.push_back({hf + llama_names::hf[m], gguf + llama_names::gguf[m], rows[m], cols[m], false,
                           m < 2 ? c.head_size : 0});
        }
    }
    return all;
}

}  // namespace nullm::inline NULLM_ABI
