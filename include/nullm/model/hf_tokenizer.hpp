#pragma once
// A byte-level BPE vocabulary in the words of Hugging Face's tokenizer.json and tokenizer_config.json, read and
// written.

#include <nullm/core/utf8.hpp>
#include <nullm/io/json_document.hpp>
#include <nullm/model/checkpoint.hpp>
#include <nullm/text/bpe_vocabulary.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// The texts of both files. The second may be empty: a folder need not have it.
struct hf_tokenizer_files {
    std::string tokenizer;
    std::string config;
};

namespace detail {

inline constexpr std::size_t hf_tokenizer_bytes = std::size_t{1} << 26;  // Llama 3's has 17 MB
inline constexpr std::string_view llama3_pattern =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
inline constexpr std::string_view qwen2_pattern =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

inline nlohmann::ordered_json byte_level(bool by_pattern) {
    return {{"type", "ByteLevel"},
            {"add_prefix_space", false},
            {"trim_offsets", true},
            {"use_regex", by_pattern}};
}

/// The pre_tokenizer entry that GGUF calls `name`, null for a name it does not have.
inline nlohmann::ordered_json hf_pre_tokenizer(std::string_view name) {
    if (name == "gpt-2") return byte_level(true);
    nlohmann::ordered_json first;
    if (name == "smollm") {
        first = {{"type", "Digits"}, {"individual_digits", true}};
    } else if (name == "llama-bpe" || name == "qwen2") {
        first = {{"type", "Split"},
                 {"pattern", {{"Regex", name == "qwen2" ? qwen2_pattern : llama3_pattern}}},
                 {"behavior", "Isolated"},
                 {"invert", false}};
    } else {
        return nullptr;
    }
    return {{"type", "Sequence"},
            {"pretokenizers", nlohmann::ordered_json::array({first, byte_level(name == "smollm")})}};
}

/// Whether two entries split alike: what does not say how to split is not compared.
inline bool splits_alike(const nlohmann::json& found, const nlohmann::json& known) {
    if (known.is_array()) {
        if (!found.is_array() || found.size() != known.size()) return false;
        for (std::size_t i = 0; i < known.size(); ++i) {
            if (!splits_alike(found[i], known[i])) return false;
        }
        return true;
    }
    if (!known.is_object()) return found == known;
    if (!found.is_object()) return false;
    for (const auto& [key, value] : known.items()) {
        if (key == "trim_offsets") continue;
        const auto other = found.find(key);
        if (other == found.end()) {
            if (key == "use_regex" && value == true) continue;  // its default
            return false;
        }
        if (!splits_alike(*other, value)) return false;
    }
    return true;
}

inline std::string pre_tokenizer_of(const json_object& file) {
    const nlohmann::json& found = file.at("pre_tokenizer");
    for (const char* const name : {"smollm", "gpt-2", "llama-bpe", "qwen2"}) {
        if (splits_alike(found, nlohmann::json(hf_pre_tokenizer(name)))) return name;
    }
    throw error(file.place("pre_tokenizer"), "the splitter of gpt-2, smollm, llama-bpe or qwen2", "another");
}

/// A token of tokenizer_config.json: its text, or an object with it.
inline std::optional<std::string> token_text(const json_object& config, const char* key) {
    const nlohmann::json* const value = config.find(key);
    if (value == nullptr) return std::nullopt;
    if (value->is_object()) return config.object(key).find_string("content");
    return config.find_string(key);
}

class hf_vocabulary_reader {
 public:
    hf_vocabulary_reader(const json_object& file, std::size_t rows) : file_(file), rows_(rows) {
        if (rows > vocabulary_limits::tokens) {
            throw error(file.place("model"), "at most " + std::to_string(vocabulary_limits::tokens) + " tokens",
                        std::to_string(rows));
        }
        made.tokens.resize(rows);
        made.token_types.assign(rows, static_cast<std::int32_t>(token_kind::unused));
    }

    void take_vocabulary(const json_object& model) {
        const nlohmann::json& tokens = model.at("vocab");
        if (!tokens.is_object()) model.refuse("vocab", "an object of tokens", tokens);
        for (const auto& [spelling, id] : tokens.items()) place(model.place("vocab"), spelling, id, token_kind::normal);
    }
    void take_merges(const json_object& model) {
        const nlohmann::json& merges = model.at("merges");
        if (!merges.is_array()) model.refuse("merges", "an array", merges);
        if (merges.size() > vocabulary_limits::merges) {
            throw error(model.place("merges"),
                        "at most " + std::to_string(vocabulary_limits::merges) + " merges",
                        std::to_string(merges.size()));
        }
        made.merges.reserve(merges.size());
        for (const auto& merge : merges) {
            const bool pair = merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string();
            if (!pair && !merge.is_string()) model.refuse("merges", "strings, or pairs of them", merge);
            made.merges.push_back(pair ? merge[0].get_ref<const std::string&>() + ' ' +
                                             merge[1].get_ref<const std::string&>()
                                       : merge.get<std::string>());
        }
    }
    void take_added() {
        const nlohmann::json* const added = file_.find("added_tokens");
        if (added == nullptr) return;
        if (!added->is_array()) file_.refuse("added_tokens", "an array", *added);
        for (const auto& entry : *added) {
            if (!entry.is_object()) file_.refuse("added_tokens", "objects", entry);
            const json_object token(entry, file_.place("added_tokens"));
            const auto text = token.find_string("content");
            if (!text) throw error(token.place("content"), "a text", "none");
            const bool special = token.find_bool("special").value_or(false);
            place(file_.place("added_tokens"), *text, token.at("id"),
                  special ? token_kind::control : token_kind::user_defined);
        }
    }
    std::optional<token_id> id_of(const std::string& text) const {
        for (std::size_t i = 0; i < made.tokens.size(); ++i) {
            if (made.token_types[i] == static_cast<std::int32_t>(token_kind::control) && made.tokens[i] == text) {
                return static_cast<token_id>(i);
            }
        }
        return std::nullopt;
    }

    bpe_vocabulary made;

 private:
    void place(const std::string& where, const std::string& spelling, const nlohmann::json& id, token_kind kind) {
        if (!id.is_number_unsigned() || id.get<std::uint64_t>() >= rows_) {
            throw error(where, "ids below " + std::to_string(rows_) + ", the rows of the embedding",
                        id.is_number() ? id.dump() : id.type_name());
        }
        const auto at = static_cast<std::size_t>(id.get<std::uint64_t>());
        const bool again = made.token_types[at] != static_cast<std::int32_t>(token_kind::unused);
        if (again && (kind == token_kind::normal || made.tokens[at] != spelling)) {
            throw error(where, "one token for id " + std::to_string(at), in_quotes(spelling) + " too");
        }
        made.tokens[at] = spelling;
        made.token_types[at] = static_cast<std::int32_t>(kind);
    }

    const json_object& file_;
    std::size_t rows_;
};

}  // namespace detail

/// The vocabulary in these files, for an embedding of `rows` rows: ids nobody names are unused. Which tokens
/// begin and end a text is what tokenizer_config.json says. Throws nullm::error for another model than
/// byte-level BPE, another splitter than the four the tokenizer knows, and anything malformed.
inline bpe_vocabulary read_hf_vocabulary(const hf_tokenizer_files& files, std::size_t rows,
                                         const std::string& where) {
    const std::string place = where + " tokenizer.json";
    const nlohmann::json document = read_json_object(files.tokenizer, place, detail::hf_tokenizer_bytes);
    const json_object file(document, place);
    const json_object model = file.object("model");
    const auto kind = model.find_string("type").value_or("BPE");
    if (kind != "BPE") throw error(model.place("type"), "\"BPE\"", in_quotes(kind));
    for (const char* const key : {"byte_fallback", "fuse_unk"}) {
        if (model.find_bool(key).value_or(false)) throw error(model.place(key), "none or false", "true");
    }
    detail::hf_vocabulary_reader reader(file, rows);
    reader.made.pre_tokenizer = detail::pre_tokenizer_of(file);
    reader.take_vocabulary(model);
    reader.take_merges(model);
    reader.take_added();

    const std::string config_place = where + " tokenizer_config.json";
    const nlohmann::json settings =
        files.config.empty() ? nlohmann::json::object()
                             : read_json_object(files.config, config_place, detail::hf_tokenizer_bytes);
    const json_object config(settings, config_place);
    const auto named = [&](const char* key) -> std::optional<token_id> {
        const auto text = detail::token_text(config, key);
        if (!text) return std::nullopt;
        const auto id = reader.id_of(*text);
        if (!id) throw error(config.place(key), "a special token of tokenizer.json", in_quotes(*text));
        return id;
    };
    reader.made.bos = named("bos_token");
    reader.made.eos = named("eos_token");
    // Llama 3 expects its begin token even where the file does not say so.
    reader.made.add_bos = config.find_bool("add_bos_token").value_or(reader.made.pre_tokenizer == "llama-bpe");
    if (reader.made.add_bos && !reader.made.bos) {
        throw error(config.place("add_bos_token"), "a bos_token to add", "none");
    }
    return std::move(reader.made);
}

/// The chat template of tokenizer_config.json: the text, or of several that have names the one called
/// "default".
inline std::optional<std::string> read_hf_chat_template(std::string_view text, const std::string& where) {
    if (text.empty()) return std::nullopt;
    const std::string place = where + " tokenizer_config.json";
    const nlohmann::json document = read_json_object(text, place, detail::hf_tokenizer_bytes);
    const json_object config(document, place);
    const nlohmann::json* const found = config.find("chat_template");
    if (found == nullptr || !found->is_array()) return config.find_string("chat_template");
    for (const auto& entry : *found) {
        if (!entry.is_object()) config.refuse("chat_template", "named templates", entry);
        const json_object named(entry, config.place("chat_template"));
        if (named.find_string("name") == "default") return named.find_string("template");
    }
    return std::nullopt;
}

/// The files that read_hf_vocabulary() and transformers read the vocabulary from. Unused tokens are left out.
/// Throws nullm::error if a token is no UTF-8, or of a kind the format lacks (single bytes).
inline hf_tokenizer_files write_hf_tokenizer(const bpe_vocabulary& vocabulary, std::size_t context,
                                             const std::optional<std::string>& chat_template) {
    using nlohmann::ordered_json;
    const auto kind_of = [&](std::size_t i) {
        const auto id = static_cast<token_id>(i);
        if (id == vocabulary.bos || id == vocabulary.eos || id == vocabulary.eot) return token_kind::control;
        return vocabulary.token_types.empty() ? token_kind::normal
                                              : static_cast<token_kind>(vocabulary.token_types[i]);
    };
    ordered_json added = ordered_json::array();
    ordered_json tokens = ordered_json::object();
    for (std::size_t i = 0; i < vocabulary.tokens.size(); ++i) {
        const token_kind kind = kind_of(i);
        if (kind == token_kind::byte) throw error("tokenizer.json", "no tokens of single bytes", "one");
        if (kind == token_kind::unused) continue;
        const std::string& text = vocabulary.tokens[i];
        if (!is_utf8(text)) throw error("tokenizer.json", "tokens in UTF-8", in_quotes(text));
        // The special ones too: added tokens that the table lacks would be given new ids.
        if (!tokens.emplace(text, i).second) throw error("tokenizer.json", "distinct tokens", in_quotes(text) + " twice");
        if (kind == token_kind::normal) continue;
        added.push_back({{"id", i},
                         {"content", text},
                         {"single_word", false},
                         {"lstrip", false},
                         {"rstrip", false},
                         {"normalized", false},
                         {"special", kind != token_kind::user_defined}});
    }
    ordered_json pre_tokenizer = detail::hf_pre_tokenizer(vocabulary.pre_tokenizer);
    if (pre_tokenizer.is_null()) {
        throw error("tokenizer.json", "the splitter gpt-2, smollm, llama-bpe or qwen2",
                    in_quotes(vocabulary.pre_tokenizer));
    }
    ordered_json post = detail::byte_level(true);
    if (vocabulary.add_bos) {
        const std::string& bos = vocabulary.tokens[static_cast<std::size_t>(*vocabulary.bos)];
        const ordered_json marker{{"SpecialToken", {{"id", bos}, {"type_id", 0}}}};
        const ordered_json text{{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
        const ordered_json other{{"Sequence", {{"id", "B"}, {"type_id", 1}}}};
        post = {{"type", "TemplateProcessing"},
                {"single", ordered_json::array({marker, text})},
                {"pair", ordered_json::array({marker, text, other})},
                {"special_tokens",
                 {{bos, {{"id", bos}, {"ids", {*vocabulary.bos}}, {"tokens", {bos}}}}}}};
    }
    const ordered_json file{{"version", "1.0"},
                            {"truncation", nullptr},
                            {"padding", nullptr},
                            {"added_tokens", added},
                            {"normalizer", nullptr},
                            {"pre_tokenizer", pre_tokenizer},
                            {"post_processor", post},
                            {"decoder", detail::byte_level(true)},
                            {"model",
                             {{"type", "BPE"},
                              {"dropout", nullptr},
                              {"unk_token", nullptr},
                              {"continuing_subword_prefix", nullptr},
                              {"end_of_word_suffix", nullptr},
                              {"fuse_unk", false},
                              {"byte_fallback", false},
                              {"ignore_merges", vocabulary.pre_tokenizer == "llama-bpe"},
                              {"vocab", tokens},
                              {"merges", vocabulary.merges}}}};
    ordered_json config{{"tokenizer_class", "PreTrainedTokenizerFast"},
                        {"add_bos_token", vocabulary.add_bos},
                        {"clean_up_tokenization_spaces", false},
                        {"model_max_length", context}};
    const auto name = [&](const char* key, std::optional<token_id> id) {
        if (id) config[key] = vocabulary.tokens[static_cast<std::size_t>(*id)];
    };
    name("bos_token", vocabulary.bos);
    name("eos_token", vocabulary.eos);
    if (chat_template) config["chat_template"] = *chat_template;
    return {file.dump() + '\n', config.dump(2) + '\n'};
}

}  // namespace nullm::inline NULLM_ABI
