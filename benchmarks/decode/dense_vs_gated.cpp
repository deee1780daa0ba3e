// Dense against gated decoding of the same model, in one run, interleaved, with the texts checked equal.
//   dense_vs_gated --model FILE [--prompts DIR] [--corpus FILE] [--threads N] [--repeats N] [--max-tokens N]
// Writer: each prompt continued by the dense policy and by the quiet one. Reader (with --corpus): the text
// pushed token by token, dense and at several thresholds, with the logits of every answer checked bit for
// bit.

#include <nullm/nullm.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

namespace {

using clock_type = std::chrono::steady_clock;
using nullm::dense;
using nullm::quiet;
using model_type = nullm::model_of<quiet>;
static_assert(std::same_as<model_type, nullm::model_of<dense>>,
              "the two policies are to share one loaded model");

struct settings {
    std::string model;
    std::string prompts;
    std::string corpus;
    unsigned threads = 0;
    unsigned repeats = 5;
    std::uint32_t max_tokens = 160;
    std::size_t positions = 2000;
};

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const std::size_t n = values.size();
    return n % 2 != 0 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

double seconds_since(clock_type::time_point start) {
    return std::chrono::duration<double>(clock_type::now() - start).count();
}

std::string read_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw nullm::error(path.string(), "a readable file", "none");
    return {std::istreambuf_iterator<char>(file), {}};
}

struct prompt {
    std::string name;
    std::vector<nullm::token_id> tokens;
};

std::vector<prompt> load_prompts(const settings& chosen, const nullm::checkpoint& file,
                                 const nullm::tokenizer& tokens) {
    std::vector<prompt> prompts;
    if (const auto source = file.chat_template()) {
        const nullm::chat_template render(*source);
        const char* questions[][2] = {
            {"chat: bicycle", "Explain how a bicycle works."},
            {"chat: story", "Tell me a short story about a lighthouse keeper and a whale."},
            {"chat: advice", "How do I prepare for a job interview? Give me five tips."}};
        for (const auto& [name, text] : questions) {
            const nullm::chat_message message{"user", text};
            prompts.push_back({name, render.render(tokens, std::span(&message, 1))});
        }
    }
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator(chosen.prompts)) {
        if (entry.path().extension() == ".txt") paths.push_back(entry.path());
    }
    std::sort(paths.begin(), paths.end());
    for (const auto& path : paths) prompts.push_back({path.stem().string(), tokens.encode(read_file(path))});
    return prompts;
}

struct written {
    std::vector<nullm::token_id> text;
    nullm::statistics counts;
    double seconds = 0;
};

template <class P>
written write_once(const model_type& model, const nullm::gate_of<P>& gate, const prompt& from,
                   const nullm::writer_options& limits, unsigned threads) {
    auto writer = nullm::write<P>(model, gate, from.tokens, limits, {.threads = threads});
    const auto start = clock_type::now();
    while (!writer.finished()) writer.next();
    written result{.text = {}, .counts = {}, .seconds = seconds_since(start)};
    result.text.assign(writer.text().begin(), writer.text().end());
    result.counts = writer.stats();
    return result;
}

void compare_writers(const settings& chosen, const model_type& model, const nullm::checkpoint& file,
                     const nullm::tokenizer& tokens) {
    const auto gate = nullm::make_gate<quiet>(file, tokens, {.theta = nullm::gate_settings::patient});
    const nullm::writer_options limits{.max_tokens = chosen.max_tokens, .stop_tokens = tokens.stop_tokens()};
    std::printf(
        "\nWriter: theta %.2f, greedy, up to %u tokens or a stop token, decode time only, median of %u "
        "interleaved repeats\n",
        static_cast<double>(nullm::gate_settings::patient), chosen.max_tokens, chosen.repeats);
    std::printf("%-16s %6s %6s %9s %9s %7s %6s %7s %6s %9s\n", "prompt", "in", "out", "dense/s", "gated/s",
                "ratio", "passes", "tok/pass", "NULL", "withdrawn");
    double log_ratio = 0;
    double log_per_pass = 0;
    const auto prompts = load_prompts(chosen, file, tokens);
    for (const prompt& p : prompts) {
        std::vector<double> dense_seconds, gated_seconds, ratios;
        written reference, gated;
        for (unsigned r = 0; r < chosen.repeats; ++r) {
            reference = write_once<dense>(model, {}, p, limits, chosen.threads);
            gated = write_once<quiet>(model, gate, p, limits, chosen.threads);
            if (reference.text != gated.text)
                throw std::runtime_error("the gated text of '" + p.name + "' is not the dense one");
            dense_seconds.push_back(reference.seconds);
            gated_seconds.push_back(gated.seconds);
            ratios.push_back(reference.seconds / gated.seconds);
        }
        const auto n = static_cast<double>(gated.counts.positions);
        const double ratio = median(ratios);
        const double per_pass = n / static_cast<double>(gated.counts.passes);
        log_ratio += std::log(ratio);
        log_per_pass += std::log(per_pass);
        std::printf("%-16s %6zu %6.0f %9.1f %9.1f %6.2fx %6llu %7.2f %5.0f%% %9llu\n", p.name.c_str(),
                    p.tokens.size(), n, n / median(dense_seconds), n / median(gated_seconds), ratio,
                    static_cast<unsigned long long>(gated.counts.passes), per_pass,
                    100 * static_cast<double>(gated.counts.nulls) / n,
                    static_cast<unsigned long long>(gated.counts.withdrawn));
        std::fflush(stdout);
    }
    const auto count = static_cast<double>(prompts.size());
    std::printf("%-16s %42.2fx %14.2f   (geometric means; every gated text equals the dense one)\n", "all",
                std::exp(log_ratio / count), std::exp(log_per_pass / count));
}

struct read_result {
    double seconds = 0;
    nullm::statistics counts;
    std::vector<std::vector<float>> logits;  // of each position, empty where NULL
};

template <class P>
read_result read_once(const model_type& model, const nullm::gate_of<P>& gate,
                      const std::vector<nullm::token_id>& text, unsigned threads, bool keep_logits) {
    auto reader = nullm::read<P>(model, gate, {}, {.threads = threads});
    read_result result;
    const auto start = clock_type::now();
    for (const nullm::token_id token : text) {
        const bool answered = reader.push(token).token.has_value();
        if (!keep_logits) continue;
        auto& row = result.logits.emplace_back();
        if (answered) row.assign(reader.logits().begin(), reader.logits().end());
    }
    reader.commit();
    result.seconds = seconds_since(start);
    result.counts = reader.stats();
    return result;
}

void compare_readers(const settings& chosen, const model_type& model, const nullm::checkpoint& file,
                     const nullm::tokenizer& tokens) {
    auto text = tokens.encode(read_file(chosen.corpus));
    text.resize(std::min(text.size(), chosen.positions));
    std::printf("\nReader: %zu tokens pushed one at a time, median of %u interleaved repeats\n", text.size(),
                chosen.repeats);
    std::printf("%-14s %8s %12s %10s %8s %9s %9s\n", "gate", "skipped", "positions/s", "answers/s", "ratio",
                "ceiling", "passes");

    struct row {
        std::string name;
        nullm::gate_of<quiet> gate;
        std::vector<double> seconds, ratios;
        nullm::statistics counts;
    };
    std::vector<row> rows;
    for (const float theta : {0.1F, 0.2F, 0.28F, 0.4F, 0.5F}) {
        char name[32];
        std::snprintf(name, sizeof name, "theta %.2f", static_cast<double>(theta));
        rows.push_back({name, nullm::make_gate<quiet>(file, tokens, {.theta = theta}), {}, {}, {}});
    }
    // Equality once, on a part of the text: logits of 49152 floats a position are heavy to keep.
    const std::vector<nullm::token_id> part(text.begin(),
                                            text.begin() + std::min<std::ptrdiff_t>(300, std::ssize(text)));
    const auto reference = read_once<dense>(model, {}, part, chosen.threads, true);
    for (const row& r : rows) {
        const auto gated = read_once<quiet>(model, r.gate, part, chosen.threads, true);
        for (std::size_t p = 0; p < part.size(); ++p) {
            if (!gated.logits[p].empty() && gated.logits[p] != reference.logits[p]) {
                throw std::runtime_error("logits at position " + std::to_string(p) +
                                         " differ from the dense ones");
            }
        }
    }
    std::vector<double> dense_seconds;
    for (unsigned repeat = 0; repeat < chosen.repeats; ++repeat) {
        const double base = read_once<dense>(model, {}, text, chosen.threads, false).seconds;
        dense_seconds.push_back(base);
        for (row& r : rows) {
            const auto once = read_once<quiet>(model, r.gate, text, chosen.threads, false);
            r.seconds.push_back(once.seconds);
            r.ratios.push_back(base / once.seconds);
            r.counts = once.counts;
        }
    }
    const auto n = static_cast<double>(text.size());
    const double base = median(dense_seconds);
    std::printf("%-14s %7.1f%% %12.1f %10.1f %7.2fx %8.2fx %9zu\n", "dense", 0.0, n / base, n / base, 1.0,
                1.0, text.size());
    for (const row& r : rows) {
        const double seconds = median(r.seconds);
        const double emitted = static_cast<double>(r.counts.emitted);
        std::printf("%-14s %7.1f%% %12.1f %10.1f %7.2fx %8.2fx %9llu\n", r.name.c_str(),
                    100 * (1 - emitted / n), n / seconds, emitted / seconds, median(r.ratios), n / emitted,
                    static_cast<unsigned long long>(r.counts.passes));
    }
    std::printf(
        "ceiling: positions / answers, what a free gate and free catching-up would give. Logits of all "
        "answers in the\n"
        "first %zu positions were compared with the dense ones and are equal bit for bit.\n",
        part.size());
}

}  // namespace

int main(int argc, char** argv) {
    settings chosen;
    chosen.prompts = NULLM_PROMPTS_DIR;
    CLI::App app("Dense against gated decoding, interleaved, with the results checked equal.",
                 "dense_vs_gated");
    app.add_option("--model", chosen.model, "GGUF file")->required();
    app.add_option("--prompts", chosen.prompts, "folder of .txt prompts");
    app.add_option("--corpus", chosen.corpus, "text for the reader");
    app.add_option("--positions", chosen.positions, "tokens of the corpus to read")
        ->check(CLI::Range(1U, 1000000U));
    app.add_option("--threads", chosen.threads, "0: one per core");
    app.add_option("--repeats", chosen.repeats)->check(CLI::Range(1U, 1000U));
    app.add_option("--max-tokens", chosen.max_tokens);
    CLI11_PARSE(app, argc, argv);
    try {
        const nullm::checkpoint file(chosen.model);
        const nullm::tokenizer tokens(file.vocabulary());
        const model_type model(file, {.threads = chosen.threads});
        std::printf(
            "%s, arithmetic i16, cache f16, kernels %s, %u threads, %.1f MB of weights a pass\n",
            std::string(file.name()).c_str(), std::string(nullm::name_of(nullm::active_isa())).c_str(),
            nullm::thread_pool(chosen.threads).size(), static_cast<double>(model.weight_bytes()) / 1e6);
        compare_writers(chosen, model, file, tokens);
        if (!chosen.corpus.empty()) compare_readers(chosen, model, file, tokens);
    } catch (const nullm::error& wrong) {
        std::fprintf(stderr, "dense_vs_gated: %s\n", wrong.what());
        return 2;
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "dense_vs_gated: %s\n", failure.what());
        return 1;
    }
}
