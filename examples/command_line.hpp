#pragma once
// The command line that the programs and benchmarks share.

#include "options.hpp"

#include <CLI/CLI.hpp>

#include <map>
#include <optional>
#include <string>
#include <utility>

namespace cli {

/// A choice by name; anything else is refused with the list of names.
template <class Enum>
auto choice(std::map<std::string, Enum> names) {
    return CLI::CheckedTransformer(std::move(names), CLI::ignore_case).description("");
}

inline void add_attention_option(CLI::App& app, const std::string& name, std::optional<attention>& chosen,
                                 const std::string& what) {
    app.add_option(name, chosen, what)
        ->transform(choice<attention>(
            {{"exact", attention::exact}, {"lsh", attention::lsh}, {"sketch", attention::sketch}}))
        ->type_name("NAME");
}

/// Which model, and how it is computed.
inline void add_model_options(CLI::App& app, options& chosen) {
    app.add_option("--model", chosen.model, "GGUF or safetensors file, or Hugging Face folder")->required()->type_name("MODEL");
    app.add_option(
           "--linear", chosen.linear,
           "native: weights as in the file | nf4: encoded at load | f32: dequantised (default native)")
        ->transform(choice<linear>({{"native", linear::native}, {"nf4", linear::nf4}, {"f32", linear::f32}}))
        ->type_name("NAME");
    app.add_option("--arith", chosen.arithmetic, "i8 | i16 | f32 (default i8; f32 with --linear f32)")
        ->transform(
            choice<arithmetic>({{"i8", arithmetic::i8}, {"i16", arithmetic::i16}, {"f32", arithmetic::f32}}))
        ->type_name("NAME");
    app.add_option("--kv", chosen.cache, "f16 | bf16 | f32 (default f16)")
        ->transform(choice<cache>({{"f16", cache::f16}, {"bf16", cache::bf16}, {"f32", cache::f32}}))
        ->type_name("NAME");
    add_attention_option(app, "--attention", chosen.attention,
                         "exact | approximate, keys far back sampled: sketch (by sketches of them), lsh (by "
                         "hashing) (default: exact, or the policy's)");
    app.add_option("--threads", chosen.threads, "0: one per core")
        ->check(CLI::Range(0U, 256U))
        ->type_name("N");
}

inline void add_common_options(CLI::App& app, options& chosen) {
    add_model_options(app, chosen);
    app.add_option("--policy", chosen.policy, "quiet | dense | long-context | seed-literal (default quiet)")
        ->transform(choice<policy>({{"quiet", policy::quiet},
                                    {"dense", policy::dense},
                                    {"long-context", policy::long_context},
                                    {"seed-literal", policy::seed_literal}}))
        ->type_name("NAME");
    app.add_option("--gate", chosen.gate, "spike | open | random (default: the policy's)")
        ->transform(choice<gate>({{"spike", gate::spike}, {"open", gate::open}, {"random", gate::random}}))
        ->type_name("NAME");
    app.add_option("--theta", chosen.theta,
                   "spike rate the gate fires at; with --gate random its firing probability")
        ->check(CLI::Range(0.0, 1.0))
        ->type_name("X");
    app.add_option("--gate-file", chosen.gate_file, "the gate, as nullm_calibrate wrote it")
        ->type_name("JSON");
    app.add_option("--max-pending", chosen.max_pending, "positions that may wait")
        ->check(CLI::Range(0U, 4096U))
        ->type_name("N");
    app.add_option("--max-silence", chosen.max_silence,
                   "NULLs in a row before an answer is forced (0: any number)")
        ->type_name("N");
    app.add_option("--explore", chosen.explore, "answer one position in N whatever the gate says (0: never)")
        ->type_name("N");
    app.add_option("--context", chosen.context, "positions the cache may hold (0: the model's)")
        ->type_name("N");
    app.add_option("--temperature", chosen.temperature, "0 is greedy")
        ->check(CLI::Range(0.0, 100.0))
        ->type_name("T");
    app.add_option("--top-p", chosen.top_p, "nucleus")->check(CLI::Range(0.0, 1.0))->type_name("P");
    app.add_option("--top-k", chosen.top_k, "0 is off")->type_name("K");
    app.add_option("--seed", chosen.seed, "of every draw: encoder, sampler, exploration")->type_name("S");
    app.add_option("--format", chosen.format, "text | jsonl")
        ->transform(choice<format>({{"text", format::text}, {"jsonl", format::jsonl}}))
        ->type_name("NAME");
    app.add_flag("--stats", chosen.stats, "print what it cost on stderr");
    app.add_flag("--tokenize", chosen.tokenize, "print the ids of the input as a JSON array and stop");
}

}  // namespace cli
