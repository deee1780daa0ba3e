// nullm_quantize: a model's linear layers to NF4, calibrated if asked to, as one file or as a Hugging Face
// folder.

#include "command_line.hpp"
#include "compose.hpp"
#include "progress.hpp"

#include <nullm/linear/native_linear.hpp>
#include <nullm/quant/quantize_llama.hpp>
#include <nullm/quant/sampled_text.hpp>
#include <nullm/quant/write_llama.hpp>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

namespace {

enum class head_format { f16, nf4 };

struct settings {
    std::string model;
    std::string out;
    std::string text;  // empty: sampled
    nullm::quantize_options how{.method = nullm::nf4_method::calibrated};
    head_format head = head_format::f16;
    std::size_t windows = 80;
    std::uint64_t seed = 0;
    unsigned threads = 0;
};

/// What the model is calibrated on: windows spread over the text given, or sampled from the model.
std::vector<nullm::token_id> calibration_text(const settings& chosen, const nullm::checkpoint& file,
                                              nullm::thread_pool& pool) {
    const nullm::tokenizer tokens(file.vocabulary());
    const std::size_t window = chosen.how.window;
    if (chosen.text.empty()) {
        const cli::progress shown("sampling text");
        return nullm::sample_text<nullm::native_linear<nullm::i8>>(
            file, tokens, chosen.windows, window, chosen.seed, pool,
            [&](std::size_t done) { shown.at(done, chosen.windows * window); });
    }
    const auto ids = tokens.encode(cli::read_all(chosen.text));
    const std::size_t there = ids.size() / window;
    if (there == 0) {
        throw nullm::error(chosen.text, "at least one window of " + std::to_string(window) + " tokens",
                           std::to_string(ids.size()));
    }
    const std::size_t taken = std::min(chosen.windows, there);
    std::vector<nullm::token_id> text;
    text.reserve(taken * window);
    for (std::size_t w = 0; w < taken; ++w) {
        const auto from = ids.begin() + static_cast<std::ptrdiff_t>(w * there / taken * window);
        text.insert(text.end(), from, from + static_cast<std::ptrdiff_t>(window));
    }
    return text;
}

void run(const settings& chosen) {
    namespace fs = std::filesystem;
    const bool one_file = fs::path(chosen.out).extension() == ".safetensors";
    // What cannot be written is better known before the work than after it.
    const auto parent = fs::absolute(chosen.out).parent_path();
    if (!fs::is_directory(parent)) throw nullm::error(chosen.out, "a place in a folder that is there", "none");
    const bool calibrated = chosen.how.method == nullm::nf4_method::calibrated;
    if (!calibrated && !chosen.text.empty()) {
        throw nullm::error("--calibration", "--method calibrated", "a method that reads no text");
    }
    nullm::thread_pool pool(chosen.threads);
    const nullm::checkpoint file = nullm::open_checkpoint(chosen.model, &pool);
    nullm::quantized_matrices matrices;
    {
        const auto text = calibrated ? calibration_text(chosen, file, pool) : std::vector<nullm::token_id>();
        const cli::progress shown("matrices");
        auto how = chosen.how;
        how.head = chosen.head == head_format::nf4;
        how.progress = [&](std::size_t done, std::size_t all) { shown.at(done, all); };
        matrices = nullm::quantize_llama(file, text, how, pool);
    }
    if (one_file) {
        nullm::write_llama_file(file, matrices, chosen.out, pool);
    } else {
        nullm::write_llama_folder(file, matrices, chosen.out, pool);
    }
}

}  // namespace

int main(int argc, char** argv) {
    settings chosen;
    CLI::App app("Quantises a model's linear layers to NF4, as bitsandbytes stores it.", "nullm_quantize");
    app.add_option("--model", chosen.model, "GGUF or safetensors file, or Hugging Face folder")
        ->required()
        ->type_name("MODEL");
    app.add_option("--out", chosen.out,
                   "name.safetensors: one file, config and tokenizer inside | otherwise a Hugging Face folder")
        ->required()
        ->type_name("PATH");
    app.add_option("--method", chosen.how.method,
                   "absmax: as bitsandbytes | mse | calibrated: errors are made up for (default calibrated)")
        ->transform(cli::choice<nullm::nf4_method>({{"absmax", nullm::nf4_method::absmax},
                                                    {"mse", nullm::nf4_method::mse},
                                                    {"calibrated", nullm::nf4_method::calibrated}}))
        ->type_name("NAME");
    app.add_option("--calibration", chosen.text, "a text to calibrate on (default: sampled from the model)")
        ->type_name("TEXT");
    app.add_option("--windows", chosen.windows, "of the text, spread over it (default 80)")
        ->check(CLI::Range(1U, 4096U))
        ->type_name("N");
    app.add_option("--window", chosen.how.window, "tokens of each (default 512)")
        ->check(CLI::Range(2U, 1U << 16))
        ->type_name("N");
    app.add_option("--shift", chosen.how.towards_original,
                   "how much of the drift in front of a layer its weights make up for (default 0.5)")
        ->check(CLI::Range(0.0, 1.0))
        ->type_name("X");
    app.add_flag("--nested", chosen.how.nested, "scales in 8 bits: 4.127 bits a weight for 4.5");
    app.add_option("--head", chosen.head, "f16 | nf4 (default f16)")
        ->transform(cli::choice<head_format>({{"f16", head_format::f16}, {"nf4", head_format::nf4}}))
        ->type_name("NAME");
    app.add_option("--seed", chosen.seed, "of the sampled text")->type_name("S");
    app.add_option("--threads", chosen.threads, "0: one per core")->check(CLI::Range(0U, 256U))->type_name("N");
    return cli::guarded("nullm_quantize", app, argc, argv, [&] { run(chosen); });
}
