#include <io/scratch_directory.hpp>
#include <nullm/model/checkpoint.hpp>
#include <support/catch.hpp>
#include <support/synthetic_checkpoint.hpp>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

using nullm::checkpoint;
using nullm::tensor_type;
using support::bytes;
using support::gguf_writer;

namespace {

/// The sentence a damaged model is refused with; empty if it loads, vocabulary included.
std::string opening(const gguf_writer& writer) {
    const bytes content = writer.file();
    try {
        const checkpoint model(content, "m.gguf");
        model.vocabulary();
    } catch (const nullm::error& refused) {
        return refused.what();
    }
    return {};
}

template <class Damage>
std::string opening_with(Damage&& damage, const support::synthetic_spec& spec = {}) {
    gguf_writer writer = support::synthetic_writer(spec);
    damage(writer);
    return opening(writer);
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a synthetic checkpoint loads with the sizes it was made with", "[model]") {
    std::optional<support::scratch_directory> directory(std::in_place);
    support::synthetic_spec spec;
    const auto path = support::write_synthetic_checkpoint(spec, directory->path());
    const checkpoint model(path);
    const checkpoint copy = model;
    directory.reset();  // the mapping outlives the name
    const auto& config = copy.config();
    REQUIRE(config.layers == spec.layers);
    REQUIRE(config.width == spec.width);
    REQUIRE(config.heads == spec.heads);
    REQUIRE(config.kv_heads == spec.kv_heads);
    REQUIRE(config.head_size == spec.head_size);
    REQUIRE(config.rope_size == spec.head_size);
    REQUIRE(config.mlp_width == spec.mlp_width);
    REQUIRE(config.vocabulary == spec.vocabulary);
    REQUIRE(config.context == spec.context);
    REQUIRE(config.rope_base == spec.rope_base);
    REQUIRE(config.rms_epsilon == spec.rms_epsilon);
    REQUIRE(config.tied_head);
    REQUIRE(copy.name() == "synthetic");
    REQUIRE(copy.chat_template() == support::chatml_template);
    const auto query = copy.tensor("blk.1.attn_q.weight", 64, 64);
    REQUIRE(query.type == tensor_type::q4_1);
    REQUIRE(copy.find("output.weight") == std::nullopt);
}

TEST_CASE("an untied model of odd sizes loads", "[model]") {
    const bytes content = support::synthetic_checkpoint(support::odd_spec());
    const checkpoint model(content, "odd.gguf");
    REQUIRE_FALSE(model.config().tied_head);
    REQUIRE(model.config().head_size == 10);
    REQUIRE(model.tensor("output.weight", 261, 20).type == tensor_type::f32);
}

TEST_CASE("the query width need not be the model's width", "[model]") {
    support::synthetic_spec spec;
    spec.width = 96;
    spec.heads = 4;
    spec.kv_heads = 1;
    spec.head_size = 24;
    spec.rope_size = 8;
    spec.width = 64;
    const bytes content = support::synthetic_checkpoint(spec);
    const checkpoint model(content, "m.gguf");
    REQUIRE(model.tensor("blk.0.attn_q.weight", 96, 64).rows == 96);
    REQUIRE(model.tensor("blk.0.attn_k.weight", 24, 64).rows == 24);
    REQUIRE(model.tensor("blk.0.attn_output.weight", 64, 96).rows == 64);
    REQUIRE(model.config().rope_size == 8);
}

TEST_CASE("absent sizes take llama's defaults", "[model]") {
    const bytes content = [] {
        gguf_writer writer = support::synthetic_writer({.kv_heads = 4});
        for (const char* key : {"llama.attention.head_count_kv", "llama.attention.key_length",
                                "llama.vocab_size", "llama.attention.value_length",
                                "llama.rope.dimension_count", "llama.rope.freq_base", "general.name"}) {
            writer.erase(key);
        }
        return writer.file();
    }();
    const checkpoint model(content, "m.gguf");
    REQUIRE(model.config().kv_heads == 4);
    REQUIRE(model.config().head_size == 16);
    REQUIRE(model.config().rope_size == 16);
    REQUIRE(model.config().rope_base == 10000);
    REQUIRE(model.config().vocabulary == 320);
    REQUIRE(model.name() == "m.gguf");
}

TEST_CASE("another architecture is refused by name", "[model]") {
    REQUIRE(opening_with([](gguf_writer& w) { w.set_string("general.architecture", "qwen2"); }) ==
            "m.gguf: general.architecture: expected \"llama\", found \"qwen2\"");
    REQUIRE(contains(opening_with([](gguf_writer& w) { w.erase("general.architecture"); }), "found none"));
}

TEST_CASE("missing, mistyped and impossible sizes are refused by key", "[model]") {
    for (const std::string key :
         {"block_count", "embedding_length", "attention.head_count", "feed_forward_length", "context_length",
          "attention.layer_norm_rms_epsilon"}) {
        const std::string name = "llama." + key;
        REQUIRE(opening_with([&](gguf_writer& w) { w.erase(name); }) ==
                "m.gguf: " + name + ": expected a value, found none");
        REQUIRE(contains(opening_with([&](gguf_writer& w) { w.set_string(name, "x"); }),
                         name + ": expected the type"));
    }
    for (const std::string key :
         {"block_count", "embedding_length", "attention.head_count", "attention.head_count_kv",
          "feed_forward_length", "context_length", "attention.key_length", "vocab_size",
          "attention.value_length", "rope.dimension_count"}) {
        const std::string name = "llama." + key;
        for (const std::uint32_t value : {0U, 1U << 31, 0xFFFFFFFFU}) {
            const auto sentence = opening_with([&](gguf_writer& w) { w.set_u32(name, value); });
            REQUIRE(contains(sentence, name + ": expected 1 to "));
            REQUIRE(contains(sentence, "found " + std::to_string(value)));
        }
        const bool free = key == "context_length";  // the only size that no tensor repeats
        REQUIRE(opening_with([&](gguf_writer& w) { w.set_u32(name, 7); }).empty() == free);
    }
    for (const std::string key : {"rope.freq_base", "attention.layer_norm_rms_epsilon"}) {
        for (const float value : {0.0F, -1.0F, std::numeric_limits<float>::infinity(), std::nanf("")}) {
            REQUIRE(contains(opening_with([&](gguf_writer& w) { w.set_f32("llama." + key, value); }),
                             "llama." + key + ": expected a finite positive number"));
        }
    }
}

TEST_CASE("heads, groups and rotary sizes must divide", "[model]") {
    REQUIRE(contains(opening_with([](gguf_writer& w) { w.set_u32("llama.attention.head_count_kv", 3); }),
                     "a multiple of the 3 key-value heads, found 4"));
    REQUIRE(contains(opening_with([](gguf_writer& w) {
                         w.erase("llama.attention.key_length");
                         w.set_u32("llama.attention.head_count", 6);
                     }),
                     "a multiple of the 6 heads, found 64"));
    REQUIRE(contains(opening_with([](gguf_writer& w) { w.set_u32("llama.rope.dimension_count", 15); }),
                     "an even number up to the head size 16, found 15"));
    REQUIRE(contains(opening_with([](gguf_writer& w) { w.set_u32("llama.rope.dimension_count", 18); }),
                     "found 18"));
    REQUIRE(contains(opening_with([](gguf_writer& w) { w.set_u32("llama.attention.value_length", 32); }),
                     "the key length 16, found 32"));
}

TEST_CASE("metadata that would change the computation is refused", "[model]") {
    const auto with = [](const std::string& key, auto set) {
        const auto sentence = opening_with(set);
        return contains(sentence, key);
    };
    REQUIRE(with("rope.scaling.type: expected none or \"none\", found \"linear\"",
                 [](gguf_writer& w) { w.set_string("llama.rope.scaling.type", "linear"); }));
    REQUIRE(
        with("llama.rope.scaling.factor", [](gguf_writer& w) { w.set_f32("llama.rope.scaling.factor", 4); }));
    REQUIRE(with("llama.rope.scale_linear", [](gguf_writer& w) { w.set_f32("llama.rope.scale_linear", 2); }));
    REQUIRE(with("llama.expert_count", [](gguf_writer& w) { w.set_u32("llama.expert_count", 8); }));
    REQUIRE(
        with("llama.attention.causal", [](gguf_writer& w) { w.set_bool("llama.attention.causal", false); }));
    REQUIRE(with("llama.attention.scale", [](gguf_writer& w) { w.set_f32("llama.attention.scale", 1); }));
    REQUIRE(with("llama.attention.sliding_window: expected none, or at least the context of 512, found 256",
                 [](gguf_writer& w) { w.set_u32("llama.attention.sliding_window", 256); }));
    REQUIRE(with("llama metadata this version understands, found \"llama.embedding_scale\"",
                 [](gguf_writer& w) { w.set_f32("llama.embedding_scale", 12); }));
    REQUIRE(with("general.quantization_version",
                 [](gguf_writer& w) { w.set_u32("general.quantization_version", 1); }));

    REQUIRE(opening_with([](gguf_writer& w) {
                w.set_string("llama.rope.scaling.type", "none");
                w.set_f32("llama.rope.scaling.factor", 1);
                w.set_u32("llama.expert_count", 0);
                w.set_u32("llama.attention.sliding_window", 512);
                w.set_f32("llama.attention.scale", 0.25F);
            }).empty());
}

TEST_CASE("missing, misshapen and surplus tensors are refused by name", "[model]") {
    const std::vector<float> sixty_four(64, 1.0F);
    for (const std::string name :
         {"token_embd.weight", "output_norm.weight", "blk.1.attn_norm.weight", "blk.1.attn_q.weight",
          "blk.0.attn_k.weight", "blk.1.attn_v.weight", "blk.0.attn_output.weight", "blk.1.ffn_norm.weight",
          "blk.0.ffn_gate.weight", "blk.1.ffn_up.weight", "blk.0.ffn_down.weight"}) {
        const auto missing = opening_with([&](gguf_writer& w) { w.erase_tensor(name); });
        REQUIRE(contains(missing, "m.gguf: tensor " + name + ": expected "));
        REQUIRE(contains(missing, "found no such tensor"));
        const auto misshapen = opening_with([&](gguf_writer& w) {
            w.set_tensor(name, tensor_type::f32, 1, 32, std::vector<float>(32, 1.0F));
        });
        REQUIRE(contains(misshapen, "m.gguf: tensor " + name + ": expected "));
        REQUIRE(contains(misshapen, "found 1 rows of 32"));
    }
    REQUIRE(contains(opening_with([&](gguf_writer& w) {
                         w.set_tensor("blk.0.attn_norm.weight", tensor_type::f16, 1, 64, sixty_four);
                     }),
                     "blk.0.attn_norm.weight: expected F32, found F16"));
    for (const std::string name :
         {"blk.0.attn_q.bias", "blk.2.attn_q.weight", "blk.00.attn_q.weight", "blk.x.attn_q.weight",
          "blk..attn_q.weight", "blk.0.attn_q_norm.weight", "blk.0.ffn_gate_exps.weight", "blk.0.weight",
          "blk.99999999999999999999.attn_q.weight", "extra"}) {
        const auto sentence =
            opening_with([&](gguf_writer& w) { w.set_tensor(name, tensor_type::f32, 1, 64, sixty_four); });
        REQUIRE(contains(sentence, "expected only the tensors of a plain llama"));
        REQUIRE(contains(sentence, "found \"" + name + "\""));
    }
    REQUIRE(contains(opening_with([&](gguf_writer& w) {
                         w.set_raw_tensor("deep", 0, {2, 2, 2}, bytes(32));
                     }),
                     "found \"deep\""));
    REQUIRE(contains(opening_with([&](gguf_writer& w) {
                         w.set_raw_tensor("output.weight", 0, {2, 2, 2}, bytes(32));
                     }),
                     "expected one or two dimensions"));
    REQUIRE(contains(opening_with([&](gguf_writer& w) {
                         w.set_tensor("rope_freqs.weight", tensor_type::f32, 1, 8,
                                      std::vector<float>(8, 1.0F));
                     }),
                     "rope_freqs.weight: expected no scaling of rotary positions"));
    REQUIRE(contains(opening_with([&](gguf_writer& w) {
                         w.set_tensor("output.weight", tensor_type::f32, 1, 64, sixty_four);
                     }),
                     "output.weight: expected 320 rows of 64"));
}

TEST_CASE("a scale that is not finite is refused by tensor, row and byte", "[model]") {
    const auto damaged = opening_with([](gguf_writer& w) {
        const std::uint16_t infinity = 0x7C00;
        std::memcpy(w.data_of("blk.0.ffn_up.weight").data() + 3 * 40 + 20 + 2, &infinity,
                    2);  // row 3, block 1, m
    });
    REQUIRE(damaged ==
            "m.gguf: tensor \"blk.0.ffn_up.weight\", row 3, byte 140: expected finite weights, found a block "
            "scale of "
            "infinity or NaN");
}

TEST_CASE("the vocabulary is read as written", "[model]") {
    support::synthetic_spec spec;
    const auto expected = support::synthetic_vocabulary(spec);
    gguf_writer writer = support::synthetic_writer(spec);
    writer.set_u32("tokenizer.ggml.eot_token_id", 2);
    const bytes content = writer.file();
    const checkpoint model(content, "m.gguf");
    const auto vocabulary = model.vocabulary();
    REQUIRE(vocabulary.tokens == expected.tokens);
    REQUIRE(vocabulary.merges == expected.merges);
    REQUIRE(vocabulary.token_types == expected.token_types);
    REQUIRE(vocabulary.pre_tokenizer == "smollm");
    REQUIRE(vocabulary.bos == 1);
    REQUIRE(vocabulary.eos == 2);
    REQUIRE(vocabulary.eot == 2);
    REQUIRE_FALSE(vocabulary.add_bos);
}

TEST_CASE("a begin token is added where the file says so, or Llama 3 expects it", "[model]") {
    const auto adds = [](auto damage) {
        gguf_writer writer = support::synthetic_writer({});
        damage(writer);
        const bytes content = writer.file();
        return checkpoint(content, "m.gguf").vocabulary().add_bos;
    };
    REQUIRE(adds([](gguf_writer& w) { w.set_bool("tokenizer.ggml.add_bos_token", true); }));
    REQUIRE_FALSE(adds([](gguf_writer& w) { w.erase("tokenizer.ggml.add_bos_token"); }));
    REQUIRE(adds([](gguf_writer& w) {
        w.erase("tokenizer.ggml.add_bos_token");
        w.set_string("tokenizer.ggml.pre", "llama-bpe");
    }));
}

TEST_CASE("tokenizers of another kind and tables that do not fit are refused", "[model]") {
    REQUIRE(
        opening_with([](gguf_writer& w) { w.set_string("tokenizer.ggml.model", "llama"); }) ==
        "m.gguf: tokenizer.ggml.model: expected \"gpt2\" (byte-level BPE), found \"llama\" (SentencePiece)");
    for (const std::string key : {"model", "pre", "tokens", "merges"}) {
        const std::string name = "tokenizer.ggml." + key;
        REQUIRE(contains(opening_with([&](gguf_writer& w) { w.erase(name); }), name + ": expected "));
        REQUIRE(contains(opening_with([&](gguf_writer& w) { w.set_u32(name, 1); }), "found u32"));
    }
    REQUIRE(contains(opening_with([](gguf_writer& w) {
                         w.set_strings("tokenizer.ggml.tokens", {"a", "b"});
                     }),
                     "expected 320 tokens (the rows of token_embd), found 2"));
    REQUIRE(contains(opening_with([](gguf_writer& w) {
                         w.set_i32s("tokenizer.ggml.token_type", {1, 1});
                     }),
                     "expected 320 types, one a token, found 2"));
    for (const std::string key : {"bos", "eos", "eot"}) {
        for (const std::uint32_t id : {320U, 0x80000000U, 0xFFFFFFFFU}) {
            REQUIRE(contains(
                opening_with([&](gguf_writer& w) { w.set_u32("tokenizer.ggml." + key + "_token_id", id); }),
                key + "_token_id: expected a token id below 320, found " + std::to_string(id)));
        }
    }
    REQUIRE(contains(opening_with([](gguf_writer& w) {
                         w.erase("tokenizer.ggml.bos_token_id");
                         w.set_bool("tokenizer.ggml.add_bos_token", true);
                     }),
                     "a bos_token_id to add"));
    REQUIRE(contains(opening_with([](gguf_writer& w) { w.set_bool("tokenizer.ggml.add_eos_token", true); }),
                     "add_eos_token: expected none or false"));
}

TEST_CASE("the reference model has the shape the design says", "[model][reference]") {
    const char* const path = std::getenv("NULLM_MODEL");
    if (path == nullptr) {
        WARN("skipped: NULLM_MODEL does not name the reference model");
        return;
    }
    nullm::thread_pool pool(2);
    const checkpoint model(path, pool);
    REQUIRE(model.tensors().size() == 272);
    std::size_t q4_1 = 0;
    std::size_t f32 = 0;
    for (const auto& tensor : model.tensors()) {
        q4_1 += tensor.type == tensor_type::q4_1 ? 1 : 0;
        f32 += tensor.type == tensor_type::f32 ? 1 : 0;
    }
    REQUIRE(q4_1 == 210);
    REQUIRE(f32 == 61);
    REQUIRE(model.tensor("token_embd.weight", 49152, 576).type == tensor_type::q8_0);
    const auto& config = model.config();
    REQUIRE(config.layers == 30);
    REQUIRE(config.width == 576);
    REQUIRE(config.heads == 9);
    REQUIRE(config.kv_heads == 3);
    REQUIRE(config.head_size == 64);
    REQUIRE(config.rope_size == 64);
    REQUIRE(config.mlp_width == 1536);
    REQUIRE(config.vocabulary == 49152);
    REQUIRE(config.context == 8192);
    REQUIRE(config.rope_base == 100000);
    REQUIRE(config.rms_epsilon == 1e-5F);
    REQUIRE(config.tied_head);
    const auto vocabulary = model.vocabulary();
    REQUIRE(vocabulary.tokens.size() == 49152);
    REQUIRE(vocabulary.merges.size() == 48900);
    REQUIRE(vocabulary.pre_tokenizer == "smollm");
    REQUIRE(vocabulary.bos == 1);
    REQUIRE(vocabulary.eos == 2);
    REQUIRE_FALSE(vocabulary.add_bos);
    REQUIRE(model.chat_template());
}
