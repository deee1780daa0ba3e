#pragma once
// What a file has to tell the tokenizer: plain data, filled by whoever reads the file and checked by the
// tokenizer.

#include <nullm/core/abi.hpp>
#include <nullm/core/token.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// The kinds of GGUF's `tokenizer.ggml.token_type` (llama.cpp, `llama_token_type`).
enum class token_kind : std::int32_t {
    normal = 1,        ///< spelled in the byte-level alphabet; what merging produces
    unknown = 2,       ///< stands for a byte without a token; never matched in text
    control = 3,       ///< raw text; found in text only when special tokens are parsed
    user_defined = 4,  ///< raw text; always found in text, before pre-tokenizing
    unused = 5,        ///< padding of the table; never produced, decodes to nothing
    byte = 6,          ///< "<0xAB>": one byte (SentencePiece's way; accepted when decoding)
};

/// A byte-level BPE vocabulary as a checkpoint stores it (GGUF: `tokenizer.ggml.*`). Nothing is checked here:
/// `tokenizer` refuses a vocabulary that contradicts itself.
struct bpe_vocabulary {
    std::vector<std::string> tokens;  ///< index = id; normal tokens in GPT-2's byte-level alphabet
    std::vector<std::string> merges;  ///< "left right" in the same alphabet; index = rank, 0 merges first
    std::vector<std::int32_t> token_types;  ///< one `token_kind` a token, or empty: all normal
    std::string pre_tokenizer;    ///< GGUF's `tokenizer.ggml.pre`: "smollm", "gpt-2", "llama-bpe", "qwen2"
    std::optional<token_id> bos;  ///< begin of sequence
    std::optional<token_id> eos;  ///< end of sequence
    std::optional<token_id> eot;  ///< end of turn
    bool add_bos = false;         ///< whether the model expects `bos` in front of a text
};

}  // namespace nullm::inline NULLM_ABI
