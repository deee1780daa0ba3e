#pragma once
// What a command line may ask of a model and a session, without the parser: the models are compiled against
// this.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace cli {

enum class policy { quiet, dense, long_context, seed_literal };
enum class linear { native, nf4, f32 };
enum class arithmetic { i8, i16, f32 };
enum class attention { exact, lsh, sketch };
enum class cache { f16, bf16, f32 };
enum class drafter { ngram, none };
enum class gate { spike, open, random };
enum class format { text, jsonl };

/// What was asked for. Values that a policy decides are empty unless given.
struct options {
    std::string model;
    std::string prompt;  // nullm_generate
    std::string prompt_file;
    std::string input = "-";  // nullm_read
    bool chat = false;
    cli::policy policy = cli::policy::quiet;
    cli::linear linear = cli::linear::native;
    std::optional<cli::arithmetic> arithmetic;
    std::optional<cli::attention> attention;
    cli::cache cache = cli::cache::f16;
    std::optional<cli::drafter> drafter;
    std::optional<cli::gate> gate;
    std::optional<float> theta;
    std::optional<float> target_skip;  // nullm_read
    std::string gate_file;
    std::uint32_t max_tokens = 128;
    std::optional<std::uint32_t> max_pending;
    std::uint32_t max_silence = 0;
    std::uint32_t explore = 0;
    std::size_t context = 0;
    float temperature = 0.0F;
    float top_p = 1.0F;
    std::uint32_t top_k = 0;
    std::uint64_t seed = 0;
    unsigned threads = 0;
    cli::format format = cli::format::text;
    bool stats = false;
    bool tokenize = false;
    bool answer_end = false;  // nullm_read
    bool score = false;       // nullm_read

    cli::arithmetic computes_in() const {
        return arithmetic.value_or(linear == cli::linear::f32 ? cli::arithmetic::f32 : cli::arithmetic::i8);
    }
    cli::attention attends() const {
        return attention.value_or(policy == cli::policy::long_context ? cli::attention::sketch
                                                                      : cli::attention::exact);
    }
};

inline const char* name_of(linear l) {
    return l == linear::native ? "native" : l == linear::nf4 ? "nf4" : "f32";
}
inline const char* name_of(arithmetic a) {
    return a == arithmetic::i16 ? "i16" : a == arithmetic::i8 ? "i8" : "f32";
}
inline const char* name_of(attention a) {
    return a == attention::exact ? "exact" : a == attention::lsh ? "lsh" : "sketch";
}
inline const char* name_of(cache c) {
    return c == cache::f16 ? "f16" : c == cache::bf16 ? "bf16" : "f32";
}
inline const char* name_of(policy p) {
    return p == policy::quiet          ? "quiet"
           : p == policy::dense        ? "dense"
           : p == policy::long_context ? "long-context"
                                       : "seed-literal";
}

}  // namespace cli
