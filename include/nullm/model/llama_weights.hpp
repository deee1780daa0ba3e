#pragma once
// What a llama checkpoint holds: embedding, layers, head, each matrix as a Linear stores it.

#include <nullm/core/aligned.hpp>
#include <nullm/core/tensor.hpp>
#include <nullm/core/thread_pool.hpp>
#include <nullm/linear/concepts.hpp>
#include <nullm/linear/dequantize.hpp>
#include <nullm/linear/load_linear.hpp>
#include <nullm/linear/weight_arena.hpp>
#include <nullm/model/checkpoint.hpp>
#include <nullm/model/llama_config.hpp>

#include <cstddef>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// The weights of a llama-architecture model. Matrices that read the same input are stacked, so that it is
/// prepared once. The file stays mapped: embedding rows are read from it on demand.
template <Linear LinearType>
class llama_weights {
    checkpoint file_;
    std::size_t bytes_ = 0;

 public:
    struct layer {
        aligned_vector<float> attention_norm;  // (width)
        LinearType qkv;                        // width -> (heads + 2 kv_heads) x head_size
        LinearType attention_output;           // heads x head_size -> width
        aligned_vector<float> mlp_norm;        // (width)
        LinearType gate_up;                    // width -> 2 x mlp_width
        LinearType down;                       // mlp_width -> width
    };

    /// Converts the tensors, on `threads` threads (0: one per hardware thread).
    /// Throws error if a tensor is missing or misshapen.
    llama_weights(const checkpoint& file, unsigned threads)
        : llama_weights(file, {thread_pool(threads), {}}) {}

    /// Bytes of matrices that one pass reads, all layers and the head: as its linear layers say, else as the
    /// file stores them.
    std::size_t bytes() const { return bytes_; }

    tensor_view embedding;             // (vocabulary, width)
    aligned_vector<float> final_norm;  // (width)
    LinearType head;                   // width -> vocabulary
    std::vector<layer> layers;

 private:
    // What loading needs and the model does not keep. One arena for all matrices: together they fill huge
    // pages, and a pass that streams 96 MB through 4 kB pages spends a third of its time on their
    // translation.
    struct loader {
        thread_pool pool;
        weight_arena arena;
    };

    llama_weights(const checkpoint& file, loader&& with)
        : file_(file),
          embedding(file.tensor("token_embd.weight", file.config().vocabulary, file.config().width)),
          final_norm(vector("output_norm.weight")),
          head(matrix({file.config().tied_head
                           ? embedding
                           : file.tensor("output.weight", file.config().vocabulary, file.config().width)},
                      with)) {
        const llama_config& c = file.config();
        const std::size_t q_width = c.heads * c.head_size;
        const std::size_t kv_width = c.kv_heads * c.head_size;
        layers.reserve(c.layers);
        for (std::size_t l = 0; l < c.layers; ++l) {
            const std::string at = "blk." + std::to_string(l) + ".";
            layers.push_back({
                .attention_norm = vector(at + "attn_norm.weight"),
                .qkv = matrix({file.tensor(at + "attn_q.weight", q_width, c.width),
                               file.tensor(at + "attn_k.weight", kv_width, c.width),
                               file.tensor(at + "attn_v.weight", kv_width, c.width)},
                              with),
                .attention_output = matrix({file.tensor(at + "attn_output.weight", c.width, q_width)}, with),
                .mlp_norm = vector(at + "ffn_norm.weight"),
                .gate_up = matrix({file.tensor(at + "ffn_gate.weight", c.mlp_width, c.width),
                                   file.tensor(at + "ffn_up.weight", c.mlp_width, c.width)},
                                  with),
                .down = matrix({file.tensor(at + "ffn_down.weight", c.width, c.mlp_width)}, with),
            });
        }
    }

    aligned_vector<float> vector(const std::string& name) const {
        aligned_vector<float> values(file_.config().width);
        dequantize_row(file_.tensor(name, 1, values.size()), 0, values);
        return values;
    }

    LinearType matrix(std::initializer_list<tensor_view> parts, loader& with) {
        const std::span<const tensor_view> stacked(parts.begin(), parts.size());
        LinearType made = load_linear<LinearType>(stacked, with.pool, with.arena);
        bytes_ += bytes_read(made, stacked);
        return made;
    }
};

}  // namespace nullm::inline NULLM_ABI
