// Dense against gated decoding of one model, interleaved in one run, with the results checked equal.
//   dense_vs_gated --model FILE [--linear native|nf4|f32] [--arith i8|i16|f32] [--kv f16|bf16|f32]
//                  [--threads N] [--prompts DIR | --no-writer] [--max-tokens N] [--price 1.75]
//                  [--corpus FILE] [--positions N] [--skip 0.6,0.8] [--theta 0.28]
//                  [--repeats N] [--no-check] [--no-lengths] [--json] [--save FILE]
// Writer: each prompt continued by the dense loop and by the quiet one; every text must equal the dense one.
// Reader (with --corpus): the text pushed token by token, dense and at each threshold, and once in chunks of
// 512 without an answer. Before anything is timed, the logits of every answer are compared with the dense
// ones by a 64-bit hash of their bits (--no-check leaves that out); in every timed run the answers are.
// --json prints a line for the run, each prompt and each reader, with the seconds of every repeat.

#include "../../examples/command_line.hpp"
#include "bench.hpp"
#include "prompts.hpp"
#include "readers.hpp"
#include "writers.hpp"

#include <nullm/core/isa.hpp>
#include <nullm/core/thread_pool.hpp>
#include <nullm/model/vocabulary.hpp>

#include <CLI/CLI.hpp>

#include <cstdio>
#include <string>
#include <vector>

namespace {

void run(const decode::settings& chosen) {
    const nullm::checkpoint file(chosen.model.model);
    const nullm::tokenizer tokens(file.vocabulary());
    std::vector<decode::prompt> prompts;
    if (!chosen.no_writer) prompts = decode::load_prompts(chosen.prompts, file, tokens);
    if (!chosen.write_prompts.empty()) return decode::write_prompts(chosen.write_prompts, prompts, tokens);

    const cli::chosen_model model = cli::load_model(chosen.model, file);
    std::ofstream saved;
    if (!chosen.save.empty()) saved.open(chosen.save);
    if (!chosen.save.empty() && !saved) throw nullm::error(chosen.save, "a file that can be written", "none");
    const decode::bench on{
        chosen, file, tokens, model, nullm::make_quiet_gate(nullm::vocabulary_of(file, tokens)), saved};
    const auto isa = std::string(name_of(nullm::active_isa()));
    const unsigned threads = static_cast<unsigned>(nullm::thread_pool(chosen.model.threads).size());
    decode::note(on, {{"kind", "run"},
                      {"file", std::string(file.name())},
                      {"linear", name_of(chosen.model.linear)},
                      {"arith", name_of(chosen.model.computes_in())},
                      {"cache", name_of(chosen.model.cache)},
                      {"isa", isa},
                      {"threads", threads},
                      {"weight_bytes", model.weight_bytes()}});
    if (!chosen.json) {
        std::printf(
            "%s, linear %s, arithmetic %s, cache %s, kernels %s, %u threads, %.1f MB of weights a pass\n",
            std::string(file.name()).c_str(), name_of(chosen.model.linear),
            name_of(chosen.model.computes_in()), name_of(chosen.model.cache), isa.c_str(), threads,
            static_cast<double>(model.weight_bytes()) / 1e6);
    }
    if (!chosen.no_writer) decode::compare_writers(on, prompts);
    if (!chosen.corpus.empty()) decode::compare_readers(on);
}

}  // namespace

int main(int argc, char** argv) {
    decode::settings chosen;
    chosen.prompts = NULLM_PROMPTS_DIR;
    chosen.model.max_tokens = 160;
    CLI::App app("Dense against gated decoding, interleaved, with the results checked equal.",
                 "dense_vs_gated");
    cli::add_model_options(app, chosen.model);
    app.add_option("--prompts", chosen.prompts,
                   "folder of .txt prompts; chat_*.txt are messages to a chat model");
    app.add_option("--write-prompts", chosen.write_prompts,
                   "write the prompts as the model sees them, and stop")
        ->type_name("DIR");
    app.add_flag("--no-writer", chosen.no_writer, "readers alone");
    app.add_option("--max-tokens", chosen.model.max_tokens, "of a writer")->check(CLI::Range(1U, 100000U));
    app.add_option("--price", chosen.price,
                   "tokens that the time of a pass of one row is worth to the writer's gate")
        ->check(CLI::Range(1e-6, 1e6));
    app.add_option("--corpus", chosen.corpus, "text for the readers");
    app.add_option("--positions", chosen.positions, "tokens of the corpus to read")
        ->check(CLI::Range(1U, 1000000U));
    app.add_option("--skip", chosen.skips, "skip rates wanted of readers")
        ->delimiter(',')
        ->check(CLI::Range(0.0, 1.0));
    app.add_option("--theta", chosen.thetas, "thetas of readers")
        ->delimiter(',')
        ->check(CLI::Range(0.0, 1.0));
    app.add_option("--repeats", chosen.repeats)->check(CLI::Range(1U, 1000U));
    app.add_flag("--no-lengths", chosen.no_lengths,
                 "leave out the untimed runs with fixed numbers of drafts");
    app.add_flag("--no-check", chosen.no_check, "leave out the untimed runs that compare logits");
    app.add_flag("--json", chosen.json, "a line for each result, for a script");
    app.add_option("--save", chosen.save,
                   "such lines of the run and its readers into a file, beside the tables")
        ->type_name("FILE");
    CLI11_PARSE(app, argc, argv);
    if (chosen.skips.empty() && chosen.thetas.empty()) chosen.skips = {0.6, 0.8};
    try {
        run(chosen);
        return 0;
    } catch (const nullm::error& wrong) {
        std::fprintf(stderr, "dense_vs_gated: %s\n", wrong.what());
        return 2;
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "dense_vs_gated: %s\n", failure.what());
        return 1;
    }
}
