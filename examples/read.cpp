// nullm_read: follows a text that comes from outside, and predicts what comes next where the gate fires.

#include "command_line.hpp"
#include "compose.hpp"
#include "terminal.hpp"

#include <unistd.h>

#include <fcntl.h>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

namespace {

using clock_type = std::chrono::steady_clock;

/// A file or standard input, read as it comes: a pipe's first line is seen before its last is written.
class input_stream {
 public:
    explicit input_stream(const std::string& path)
        : path_(path), handle_(path == "-" ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY)) {
        if (handle_ < 0) throw nullm::error(path, "a readable file", std::strerror(errno));
    }
    input_stream(const input_stream&) = delete;
    input_stream& operator=(const input_stream&) = delete;
    ~input_stream() {
        if (handle_ != STDIN_FILENO) ::close(handle_);
    }

    /// The next bytes, empty at the end.
    std::string_view next() {
        for (;;) {
            const ssize_t got = ::read(handle_, buffer_.data(), buffer_.size());
            if (got >= 0) return {buffer_.data(), static_cast<std::size_t>(got)};
            if (errno != EINTR) throw nullm::error(path_, "a readable file", std::strerror(errno));
        }
    }

 private:
    std::string path_;
    int handle_;
    std::vector<char> buffer_ = std::vector<char>(1 << 16);
};

/// Calls push(token) for every token of the input.
template <class Push>
void for_each_token(const std::string& path, const nullm::tokenizer& tokens, Push push) {
    input_stream input(path);
    nullm::stream_encoder encoder(tokens);
    if (tokens.add_bos() && tokens.bos()) push(*tokens.bos());
    for (std::string_view bytes = input.next(); !bytes.empty(); bytes = input.next()) {
        for (const nullm::token_id token : encoder.push(bytes)) push(token);
    }
    for (const nullm::token_id token : encoder.finish()) push(token);
}

/// How often an answer was the token that came next.
struct score {
    std::optional<nullm::token_id> answer;
    std::uint64_t judged = 0;
    std::uint64_t right = 0;

    void see(nullm::token_id actual) {
        if (!answer) return;
        ++judged;
        right += *answer == actual ? 1 : 0;
        answer.reset();
    }
};

class display {
 public:
    display(const cli::options& chosen, const nullm::tokenizer& tokens)
        : chosen_(chosen), tokens_(tokens), decoder_(tokens) {}

    void show(nullm::token_id input, const nullm::step& step) {
        const std::string text = decoder_.push(input);
        const std::string answer =
            step.token ? cli::text_of(tokens_, std::span(&*step.token, 1)) : std::string();
        if (chosen_.format == cli::format::jsonl) {
            auto line = cli::to_json(step, answer);
            line["input"] = input;
            std::cout << line << std::endl;  // whoever follows a stream wants it now
        } else {
            terminal_.write(text);
            if (step.token) answer_text(answer);
        }
    }
    void show_answer(const nullm::step& step) {
        const std::string answer = cli::text_of(tokens_, std::span(&*step.token, 1));
        if (chosen_.format == cli::format::jsonl)
            std::cout << cli::to_json(step, answer) << std::endl;
        else
            answer_text(answer);
    }
    void finish() {
        if (chosen_.format == cli::format::text) {
            terminal_.write(decoder_.finish());
            std::cout << '\n';
        }
        std::cout << std::flush;
    }

 private:
    // What the model expects next, set apart from the text itself; line breaks would tear it.
    void answer_text(std::string answer) {
        for (std::size_t at = 0; (at = answer.find('\n', at)) != std::string::npos;)
            answer.replace(at, 1, "\\n");
        terminal_.write("⟨" + answer + "⟩", "\033[36m");
    }

    const cli::options& chosen_;
    const nullm::tokenizer& tokens_;
    nullm::stream_decoder decoder_;
    cli::terminal_text terminal_;
};

void print_stats(const nullm::statistics& n, double seconds, const score& judged, std::size_t weight_bytes) {
    const auto count = [](std::uint64_t x) { return static_cast<double>(x); };
    const auto whole = [](std::uint64_t x) { return static_cast<unsigned long long>(x); };
    const auto per = [](double a, double b) { return b > 0 ? a / b : 0.0; };
    std::fprintf(stderr, "  read    %llu positions in %.3f s (%.0f positions a second)\n", whole(n.positions),
                 seconds, per(count(n.positions), seconds));
    std::fprintf(stderr, "  said    %llu answers (%.0f a second), %llu NULL (%.1f %% of positions)\n",
                 whole(n.emitted), per(count(n.emitted), seconds), whole(n.nulls),
                 100 * per(count(n.nulls), count(n.positions)));
    std::fprintf(stderr,
                 "  model   %llu passes, %.2f positions a pass, %.1f MB of weights a pass; %llu restarts\n",
                 whole(n.passes), per(count(n.rows), count(n.passes)),
                 static_cast<double>(weight_bytes) / 1e6, whole(n.restarts));
    std::fprintf(stderr, "  woken   %s\n", cli::wake_counts(n).c_str());
    if (judged.judged > 0) {
        std::fprintf(stderr, "  score   %llu of %llu answers were the next token (%.1f %%)\n",
                     whole(judged.right), whole(judged.judged),
                     100 * per(count(judged.right), count(judged.judged)));
    }
}

void read_text(const cli::options& chosen) {
    const nullm::checkpoint file(chosen.model);
    const nullm::tokenizer tokens(file.vocabulary());
    if (chosen.tokenize) {
        auto ids = nlohmann::json::array();
        for_each_token(chosen.input, tokens, [&](nullm::token_id token) { ids.push_back(token); });
        std::cout << ids << '\n';
        return;
    }
    nullm::reader_options limits{
        .seed = chosen.seed, .max_silence = chosen.max_silence, .explore = chosen.explore};
    if (chosen.max_pending) limits.max_pending = *chosen.max_pending;

    const cli::chosen_model model = cli::load_model(chosen, file);
    cli::chosen_model::state state(model, {.threads = chosen.threads, .context = chosen.context});
    if (chosen.stats) std::cerr << cli::heading(chosen, file) << '\n';
    const nullm::temperature_sampler sampler(
        {.temperature = chosen.temperature, .top_k = chosen.top_k, .top_p = chosen.top_p});
    const auto usual = chosen.policy == cli::policy::dense ? cli::gate::open : cli::gate::spike;
    nullm::basic_reader reader(model, std::move(state),
                               cli::make_gate(chosen, usual, nullm::usual_theta<nullm::quiet>, file, tokens),
                               sampler, limits);

    display screen(chosen, tokens);
    score judged;
    const auto start = clock_type::now();
    for_each_token(chosen.input, tokens, [&](nullm::token_id token) {
        judged.see(token);
        const nullm::step step = reader.push(token);
        if (chosen.score) judged.answer = step.token;
        screen.show(token, step);
    });
    if (chosen.answer_end && reader.position() > 0) {
        screen.show_answer(reader.force());
    } else {
        reader.commit();
    }
    const double seconds = cli::seconds_since(start);
    screen.finish();
    const auto& n = reader.stats();
    if (chosen.format == cli::format::jsonl) {
        nlohmann::ordered_json summary{
            {"positions", n.positions}, {"emitted", n.emitted}, {"null", n.nulls},
            {"withdrawn", 0},           {"passes", n.passes},   {"prompt_tokens", 0},
            {"prefill_s", 0.0},         {"decode_s", seconds},  {"restarts", n.restarts}};
        if (chosen.score) {
            summary["judged"] = judged.judged;
            summary["right"] = judged.right;
        }
        std::cout << nlohmann::ordered_json{{"summary", std::move(summary)}} << std::endl;
    }
    if (chosen.stats) {
        print_stats(n, seconds, judged, model.weight_bytes());
        std::fputs(cli::sampling_line(model.sampling(reader.model_state())).c_str(), stderr);
    }
}

}  // namespace

int main(int argc, char** argv) {
    cli::options chosen;
    CLI::App app("Follows a text and says what comes next where the gate fires; NULL elsewhere.",
                 "nullm_read");
    cli::add_common_options(app, chosen);
    app.add_option("input", chosen.input, "the text; - is standard input (the default)")->type_name("FILE");
    app.add_option("--target-skip", chosen.target_skip, "share of positions to stay silent at; theta adapts")
        ->check(CLI::Range(0.0, 1.0))
        ->type_name("R");
    app.add_flag("--answer-end", chosen.answer_end, "answer at the input's end, whatever the gate says");
    app.add_flag("--score", chosen.score, "count how often an answer was the next token");
    return cli::guarded("nullm_read", app, argc, argv, [&] {
        if (chosen.policy == cli::policy::seed_literal) {
            throw nullm::error("--policy", "quiet, dense or long-context (seed-literal only writes)",
                               "seed-literal");
        }
        cli::refuse_idle_options(chosen);
        read_text(chosen);
    });
}
