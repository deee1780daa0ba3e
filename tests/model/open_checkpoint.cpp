#include "hf_files.hpp"
#include "llama_fixture.hpp"

#include <nullm/io/safetensors_writer.hpp>
#include <nullm/linear/native_linear.hpp>
#include <nullm/linear/nf4_codec.hpp>
#include <nullm/linear/nf4_nested.hpp>
#include <nullm/model/open_checkpoint.hpp>
#include <nullm/text/tokenizer.hpp>
#include <support/catch.hpp>

#include "../io/refusal.hpp"
#include "../io/scratch_directory.hpp"

#include <array>
#include <functional>

using support::contains;
using support::refusal;

namespace {

using model_type = llama_fixture::model_of<nullm::native_linear<nullm::f32>, float>;

std::vector<float> logits_of(const nullm::checkpoint& file) {
    const model_type model(file, {.threads = 1});
    typename model_type::state session(model, {.threads = 1});
    const auto tokens = llama_fixture::random_tokens(24, file.config().vocabulary);
    return llama_fixture::run(model, session, tokens, tokens.size());
}

/// What opening the folder says once `change` has been at one of its texts.
std::string opening_with(const std::string& name, const std::function<void(nlohmann::json&)>& change) {
    const support::scratch_directory scratch;
    const llama_fixture::synthetic gguf(hf_files::plain_spec());
    hf_files::write_folder(gguf.file, scratch.path());
    auto text = nlohmann::json::parse(hf_files::texts(gguf.file).at(name));
    change(text);
    hf_files::write_text(scratch.path() / name, text.dump());
    return refusal([&] { static_cast<void>(nullm::open_checkpoint(scratch.path()).vocabulary()); });
}

}  // namespace

TEST_CASE("a Hugging Face folder computes the same bits as the GGUF file of the same weights", "[model]") {
    for (const bool tied : {true, false}) {
        auto spec = hf_files::plain_spec();
        spec.tied_head = tied;
        const llama_fixture::synthetic gguf(spec);
        const auto expected = logits_of(gguf.file);
        for (const std::size_t shards : {1, 3}) {
            const support::scratch_directory scratch;
            hf_files::write_folder(gguf.file, scratch.path(), shards);
            const nullm::checkpoint folder = nullm::open_checkpoint(scratch.path());
            CHECK(folder.name() == "plain");
            CHECK(folder.config().tied_head == tied);
            CHECK(support::same_bits(logits_of(folder), expected));
            CHECK(folder.chat_template() == gguf.file.chat_template());
            const nullm::tokenizer words(folder.vocabulary()), same(gguf.file.vocabulary());
            CHECK(words.encode("three times seven, 21") == same.encode("three times seven, 21"));
            CHECK(words.stop_tokens() == same.stop_tokens());
        }
    }
}

TEST_CASE("NF4 layers of a folder multiply as what bitsandbytes decodes", "[model]") {
    auto spec = hf_files::plain_spec();
    spec.mlp_width = 128;
    const llama_fixture::synthetic gguf(spec);
    nullm::thread_pool pool(1);
    for (const std::size_t block : {64, 128}) {
        for (const bool nested : {false, true}) {
            const support::scratch_directory scratch;
            hf_files::write_folder(gguf.file, scratch.path());
            // The same model twice: its matrices encoded, and as the floats that these decode to.
            const hf_files::tensors all(gguf.file);
            nullm::safetensors_writer encoded, plain;
            std::deque<nullm::nf4_nested_data> kept;
            std::deque<nullm::nf4_data> single;
            std::deque<std::vector<float>> floats;
            std::deque<std::string> states;
            for (const auto& t : all.names) {
                const bool matrix = t.name.find("_proj") != std::string::npos;
                if (!matrix) {
                    hf_files::tensors::add(encoded, t);
                    hf_files::tensors::add(plain, t);
                    continue;
                }
                auto& data = kept.emplace_back(nullm::nf4_encode_nested(*t.values, block, pool));
                auto& once = single.emplace_back(nullm::nf4_encode(*t.values, block, pool));
                auto& decoded = floats.emplace_back(t.values->size());
                nullm::nf4_decode(nested ? nullm::nf4_unnest(data).view() : once.view(), decoded, pool);
                plain.add(t.name, {t.tensor.rows, t.tensor.cols}, decoded);

                using nullm::safetensors_dtype;
                encoded.add(t.name, safetensors_dtype::u8, {once.packed.size(), 1}, once.packed);
                encoded.add(t.name + ".quant_map", {16}, nullm::nf4_codebook);
                nlohmann::json state{{"quant_type", "nf4"},
                                     {"blocksize", block},
                                     {"dtype", "float32"},
                                     {"shape", {t.tensor.rows, t.tensor.cols}}};
                if (nested) {
                    encoded.add(t.name + ".absmax", safetensors_dtype::u8, {data.absmax.codes.size()},
                                data.absmax.codes);
                    encoded.add(t.name + ".nested_absmax", {data.absmax.absmax.size()}, data.absmax.absmax);
                    encoded.add(t.name + ".nested_quant_map", {256}, data.absmax.map);
                    state["nested_blocksize"] = 256;
                    state["nested_dtype"] = "float32";
                    state["nested_offset"] = static_cast<double>(data.offset);
                } else {
                    encoded.add(t.name + ".absmax", {once.absmax.size()}, once.absmax);
                }
                const auto& text = states.emplace_back(state.dump());
                encoded.add(t.name + ".quant_state.bitsandbytes__nf4", safetensors_dtype::u8, {text.size()},
                            std::as_bytes(std::span(text.data(), text.size())));
            }
            plain.write(scratch.path() / "model.safetensors");
            const auto expected = logits_of(nullm::open_checkpoint(scratch.path()));
            encoded.write(scratch.path() / "model.safetensors");
            const nullm::checkpoint folder = nullm::open_checkpoint(scratch.path());
            CHECK(folder.tensor("blk.1.ffn_down.weight", 64, 128).type == nullm::tensor_type::nf4);
            CHECK(support::same_bits(logits_of(folder), expected));
        }
    }
}

TEST_CASE("what would change the computation is refused by name", "[model]") {
    const auto config = [](const char* key, nlohmann::json value) {
        return opening_with("config.json", [&](nlohmann::json& text) { text[key] = std::move(value); });
    };
    CHECK(config("unknown_to_us", 1).empty());
    CHECK(contains(config("model_type", "gemma"), "model_type: expected \"llama\" or \"mistral\", found \"gemma\""));
    CHECK(contains(config("attention_bias", true), "attention_bias: expected none or false, found true"));
    CHECK(contains(config("hidden_act", "gelu"), "hidden_act"));
    CHECK(contains(config("rope_scaling", {{"rope_type", "llama3"}}), "rope_type: expected none or \"default\""));
    CHECK(contains(config("sliding_window", 16), "sliding_window"));
    CHECK(contains(config("num_attention_heads", 3), "a multiple of the 2 key-value heads"));
    CHECK(contains(config("hidden_size", 128), "model.embed_tokens.weight"));
    CHECK(contains(config("vocab_size", 319), "320"));
    CHECK(contains(config("num_hidden_layers", -1), "num_hidden_layers: expected 1 to 1024, found -1"));
    CHECK(contains(config("quantization_config", {{"quant_method", "gptq"}}), "found \"gptq\""));

    const auto tokenizer = [](const std::function<void(nlohmann::json&)>& change) {
        return opening_with("tokenizer.json", change);
    };
    CHECK(contains(tokenizer([](auto& t) { t["model"]["type"] = "WordPiece"; }), "expected \"BPE\""));
    CHECK(contains(tokenizer([](auto& t) { t["pre_tokenizer"]["type"] = "Whitespace"; }), "the splitter of"));
    CHECK(contains(tokenizer([](auto& t) { t["model"]["vocab"]["zzz"] = 320; }), "ids below 320"));
    CHECK(contains(tokenizer([](auto& t) { t["model"]["vocab"]["zzz"] = 100; }), "one token for id 100"));
    CHECK(contains(opening_with("tokenizer_config.json", [](auto& t) { t["bos_token"] = "<s>"; }),
                   "a special token of tokenizer.json, found \"<s>\""));
}

TEST_CASE("a folder's index names files in the folder, and every tensor once", "[model]") {
    const llama_fixture::synthetic gguf(hf_files::plain_spec());
    const support::scratch_directory scratch;
    hf_files::write_folder(gguf.file, scratch.path(), 2);
    const auto index = scratch.path() / "model.safetensors.index.json";
    for (const char* name : {"../model-0.safetensors", "/etc/passwd", ".hidden", ""}) {
        hf_files::write_text(index, nlohmann::json{{"weight_map", {{"x", name}}}}.dump());
        CHECK(contains(refusal([&] { nullm::open_checkpoint(scratch.path()); }), "names of files in the folder"));
    }
    std::filesystem::copy_file(scratch.path() / "model-0.safetensors", scratch.path() / "again.safetensors");
    hf_files::write_text(index, R"({"weight_map":{"a":"model-0.safetensors","b":"again.safetensors"}})");
    CHECK(contains(refusal([&] { nullm::open_checkpoint(scratch.path()); }), "every tensor in one file"));
    hf_files::write_text(index, R"({"weight_map":{"a":"model-0.safetensors"}})");
    CHECK(contains(refusal([&] { nullm::open_checkpoint(scratch.path()); }), "a tensor of that name, found none"));
    CHECK(contains(refusal([&] { nullm::open_checkpoint(scratch.path() / "nowhere"); }), "nowhere"));
}

TEST_CASE("rows of a head that are next to each other here lie half a head apart there", "[model]") {
    CHECK(nullm::hf_row(5, 0) == 5);
    const std::array<std::size_t, 8> first = {0, 4, 1, 5, 2, 6, 3, 7};
    for (std::size_t r = 0; r < 8; ++r) {
        CHECK(nullm::hf_row(r, 8) == first[r]);
        CHECK(nullm::hf_row(16 + r, 8) == 16 + first[r]);
    }
}
