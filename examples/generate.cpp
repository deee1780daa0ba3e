// nullm_generate: continues a prompt, and stays silent where the gate says the model need not be run.

#include "command_line.hpp"
#include "compose.hpp"
#include "terminal.hpp"

#include <algorithm>
#include <cstdio>
#include <vector>

namespace {

using clock_type = std::chrono::steady_clock;

std::vector<nullm::token_id> prompt_tokens(const cli::options& chosen, const nullm::checkpoint& file,
                                           const nullm::tokenizer& tokens) {
    std::string text = chosen.prompt_file.empty() ? chosen.prompt : cli::read_all(chosen.prompt_file);
    if (chosen.chat) {
        const auto source = file.chat_template();
        if (!source) throw nullm::error(chosen.model, "a chat template (or no --chat)", "none");
        const nullm::chat_message message{"user", std::move(text)};
        return nullm::chat_template(*source).render(tokens, std::span(&message, 1));
    }
    auto ids = tokens.encode(text);
    if (tokens.add_bos() && tokens.bos()) ids.insert(ids.begin(), *tokens.bos());
    return ids;
}

/// Shows steps as they come, as text that is filled in or as lines of JSON.
class display {
 public:
    display(const cli::options& chosen, const nullm::tokenizer& tokens) : chosen_(chosen), decoder_(tokens) {}

    void show(const nullm::step& step, bool token_is_text) {
        if (chosen_.format == cli::format::jsonl) return show_json(step, token_is_text);
        if (!step.token) return terminal_.mark_null();
        terminal_.clear_marks();
        for (const auto& settled : step.settled) terminal_.write(decoder_.push(settled.token));
        if (token_is_text) terminal_.write(decoder_.push(*step.token));
    }

    void finish() {
        if (chosen_.format == cli::format::jsonl) return;
        terminal_.clear_marks();
        terminal_.write(decoder_.finish());
        std::cout << std::endl;
    }

 private:
    void show_json(const nullm::step& step, bool token_is_text) {
        if (!step.settled.empty()) {
            auto settled = nlohmann::ordered_json::array();
            for (const auto& [position, token] : step.settled) {
                settled.push_back({{"position", position}, {"token", token}, {"text", decoder_.push(token)}});
            }
            std::cout << nlohmann::ordered_json{{"settled", std::move(settled)}} << '\n';
        }
        if (step.withdrawn != 0) std::cout << nlohmann::ordered_json{{"withdrawn", step.withdrawn}} << '\n';
        const std::string text = step.token && token_is_text ? decoder_.push(*step.token) : std::string();
        std::cout << cli::to_json(step, text) << std::endl;
    }

    const cli::options& chosen_;
    nullm::stream_decoder decoder_;
    cli::terminal_text terminal_;
};

struct outcome {
    std::vector<nullm::token_id> text;
    nullm::statistics counts;
    double prefill_seconds = 0;
    double decode_seconds = 0;
    std::optional<nullm::sampling_counts> sampling = {};
};

/// Runs any of the writers to its end.
template <class Writer>
void run(Writer& writer, display& screen) {
    while (!writer.finished()) {
        const nullm::step step = writer.next();
        screen.show(step, !writer.stopped_by());
    }
}

template <class Gate, class Drafter>
outcome write_text(const cli::options& chosen, const cli::chosen_model& model, Gate gate, Drafter drafter, std::span<const nullm::token_id> prompt,
                   const nullm::writer_options& limits, display& screen) {
    const nullm::temperature_sampler sampler(
        {.temperature = chosen.temperature, .top_k = chosen.top_k, .top_p = chosen.top_p});
    cli::chosen_model::state state(
        model, {.threads = chosen.threads, .context = chosen.context, .sample_from = prompt.size()});
    auto start = clock_type::now();
    nullm::basic_writer writer(model, std::move(state), std::move(gate), drafter, sampler, prompt, limits);
    outcome result{.text = {}, .counts = {}, .prefill_seconds = cli::seconds_since(start)};
    start = clock_type::now();
    run(writer, screen);
    result.decode_seconds = cli::seconds_since(start);
    result.text.assign(writer.text().begin(), writer.text().end());
    result.counts = writer.stats();
    result.sampling = model.sampling(writer.model_state());
    return result;
}

/// The original idea: magnitude gate, NULL fed back as token 0. Lossy.
outcome write_literally(const cli::options& chosen, const cli::chosen_model& model,
                        const nullm::checkpoint& file, const nullm::tokenizer& tokens,
                        std::span<const nullm::token_id> prompt, const nullm::writer_options& limits,
                        display& screen) {
    const nullm::temperature_sampler sampler(
        {.temperature = chosen.temperature, .top_k = chosen.top_k, .top_p = chosen.top_p});
    nullm::literal_writer writer(
        model,
        cli::chosen_model::state(
            model, {.threads = chosen.threads, .context = chosen.context, .sample_from = prompt.size()}),
        nullm::make_gate<nullm::seed_literal>(file, tokens, {.theta = chosen.theta}), sampler, prompt,
        {.max_tokens = limits.max_tokens, .stop_tokens = limits.stop_tokens, .seed = limits.seed});
    const auto start = clock_type::now();
    run(writer, screen);
    outcome result{.text = writer.text(), .counts = {}, .decode_seconds = cli::seconds_since(start)};
    result.counts.positions = writer.statistics().positions;
    result.counts.nulls = writer.statistics().nulls;
    result.counts.emitted = result.counts.positions - result.counts.nulls;
    result.counts.passes = writer.statistics().passes;
    result.counts.prompt_tokens = prompt.size();
    return result;
}

void print_stats(const cli::options& chosen, const outcome& done, std::size_t weight_bytes) {
    const auto& n = done.counts;
    const auto per = [](double a, double b) { return b > 0 ? a / b : 0.0; };
    const auto count = [](std::uint64_t x) { return static_cast<double>(x); };
    const double pass_rate = per(count(n.passes), done.decode_seconds);
    std::fprintf(stderr, "  prompt  %llu tokens in %.3f s (%.0f a second)\n",
                 static_cast<unsigned long long>(n.prompt_tokens), done.prefill_seconds,
                 per(count(n.prompt_tokens), done.prefill_seconds));
    std::fprintf(stderr,
                 "  text    %llu positions in %.3f s (%.1f a second): %llu yielded as NULL first (%.0f %%), "
                 "%llu NULLs withdrawn\n",
                 static_cast<unsigned long long>(n.positions), done.decode_seconds,
                 per(count(n.positions), done.decode_seconds), static_cast<unsigned long long>(n.nulls),
                 100 * per(count(n.nulls), count(n.positions)), static_cast<unsigned long long>(n.withdrawn));
    if (n.pauses > 0) std::fprintf(stderr, "  pauses  %llu\n", static_cast<unsigned long long>(n.pauses));
    std::fprintf(
        stderr, "  model   %llu passes, %.2f positions a pass, %.1f MB of weights a pass: %.1f GB/s\n",
        static_cast<unsigned long long>(n.passes), per(count(n.positions), count(n.passes)),
        static_cast<double>(weight_bytes) / 1e6, pass_rate * static_cast<double>(weight_bytes) / 1e9);
    if (chosen.policy == cli::policy::seed_literal) {
        std::fprintf(stderr,
                     "  lossy   NULLs were fed back as token 0: this is not the dense model's text\n");
    } else {
        std::fprintf(stderr, "  woken   %s\n", cli::wake_counts(n).c_str());
    }
    std::fputs(cli::sampling_line(done.sampling).c_str(), stderr);
}

void generate(const cli::options& chosen) {
    const nullm::checkpoint file = nullm::open_checkpoint(chosen.model);
    const nullm::tokenizer tokens(file.vocabulary());
    const auto prompt = prompt_tokens(chosen, file, tokens);
    if (chosen.tokenize) {
        std::cout << nlohmann::json(prompt) << '\n';
        return;
    }
    nullm::writer_options limits{.max_tokens = chosen.max_tokens,
                                 .max_silence = chosen.max_silence,
                                 .explore = chosen.explore,
                                 .stop_tokens = tokens.stop_tokens(),
                                 .seed = chosen.seed};
    if (chosen.max_pending) limits.max_pending = *chosen.max_pending;
    const bool quiet = chosen.policy == cli::policy::quiet || chosen.policy == cli::policy::long_context;
    const auto drafter = chosen.drafter.value_or(quiet ? cli::drafter::ngram : cli::drafter::none);

    const cli::chosen_model model = cli::load_model(chosen, file);
    if (chosen.stats) std::cerr << cli::heading(chosen, file) << '\n';
    display screen(chosen, tokens);
    const auto result = [&] {
        if (chosen.policy == cli::policy::seed_literal) {
            return write_literally(chosen, model, file, tokens, prompt, limits, screen);
        }
        const auto usual = quiet ? cli::gate::spike : cli::gate::open;
        if (drafter == cli::drafter::ngram && chosen.gate.value_or(usual) == cli::gate::spike &&
            chosen.gate_file.empty()) {
            auto gate = nullm::make_draft_gate({}, chosen.theta.value_or(nullm::usual_theta<nullm::drafting>));
            return write_text(chosen, model, std::move(gate), nullm::ngram_drafter{}, prompt, limits, screen);
        }
        auto gate = cli::make_gate(chosen, usual, nullm::usual_theta<nullm::quiet>, file, tokens);
        if (drafter == cli::drafter::ngram) {
            return write_text(chosen, model, std::move(gate), nullm::ngram_drafter{}, prompt, limits, screen);
        }
        return write_text(chosen, model, std::move(gate), nullm::no_drafter{}, prompt, limits, screen);
    }();
    screen.finish();
    if (chosen.format == cli::format::jsonl) {
        const auto& n = result.counts;
        std::cout << nlohmann::ordered_json{{"summary",
                                             {{"positions", n.positions},
                                              {"emitted", n.emitted},
                                              {"null", n.nulls},
                                              {"withdrawn", n.withdrawn},
                                              {"passes", n.passes},
                                              {"prompt_tokens", n.prompt_tokens},
                                              {"prefill_s", result.prefill_seconds},
                                              {"decode_s", result.decode_seconds},
                                              {"text", cli::text_of(tokens, result.text)},
                                              {"token_ids", result.text}}}}
                  << '\n';
    }
    if (chosen.stats) print_stats(chosen, result, model.weight_bytes());
}

}  // namespace

int main(int argc, char** argv) {
    cli::options chosen;
    CLI::App app("Continues a prompt; says NULL where the gate lets the model sleep.", "nullm_generate");
    cli::add_common_options(app, chosen);
    auto* prompt = app.add_option("--prompt", chosen.prompt, "the prompt")->type_name("TEXT");
    auto* prompt_file =
        app.add_option("--prompt-file", chosen.prompt_file, "a file with the prompt")->type_name("FILE");
    std::string from_stdin;
    auto* dash = app.add_option("stdin", from_stdin, "- : the prompt is read from standard input")
                     ->check(CLI::IsMember({"-"}));
    prompt->excludes(prompt_file)->excludes(dash);
    prompt_file->excludes(dash);
    app.add_flag("--chat", chosen.chat, "the prompt is a user's message to a chat model");
    app.add_option("--max-tokens", chosen.max_tokens, "of the continuation (default 128)")->type_name("N");
    app.add_option("--drafter", chosen.drafter, "ngram | none (default: the policy's)")
        ->transform(cli::choice<cli::drafter>({{"ngram", cli::drafter::ngram}, {"none", cli::drafter::none}}))
        ->type_name("NAME");
    return cli::guarded("nullm_generate", app, argc, argv, [&] {
        if (prompt->count() + prompt_file->count() + dash->count() == 0) {
            throw nullm::error("command line", "--prompt, --prompt-file or -", "none of them");
        }
        if (dash->count() > 0) chosen.prompt_file = "-";
        cli::refuse_idle_options(chosen);
        generate(chosen);
    });
}
