// nullm_read: follows a text that comes from outside, and predicts what comes next where the gate fires: at
// single tokens, or at the ends of lines or sentences, whose silent ones it can drop (triage of a log).

#include "command_line.hpp"
#include "compose.hpp"
#include "line_pattern.hpp"
#include "read_display.hpp"

#include <nullm/generate/span_gate.hpp>
#include <nullm/generate/span_splitter.hpp>
#include <nullm/spike/drives/surprise_drive.hpp>

#include <unistd.h>

#include <fcntl.h>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace {

/// What the reader decides on, and what it may drop.
struct granularity {
    std::optional<nullm::span_kind> on;  // none: single tokens
    bool discard = false;
    std::optional<cli::line_pattern> never_drop;
};

/// The rate at which a line or sentence fires unless an option says otherwise: of the two logs of log_triage
/// it leaves 25 and 9 % of the lines.
constexpr float span_theta = 0.35F;

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
    bool asked = false;
    std::optional<nullm::token_id> answer = {};
    std::uint64_t judged = 0;
    std::uint64_t right = 0;

    void expect(std::optional<nullm::token_id> next) {
        if (asked) answer = next;
    }
    void see(nullm::token_id actual) {
        if (!answer) return;
        ++judged;
        right += *answer == actual ? 1 : 0;
        answer.reset();
    }
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
    if (n.spans > 0) {
        std::fprintf(stderr, "  spans   %llu, %llu kept (%llu of them spared), %llu dropped (%.1f %%)%s\n",
                     whole(n.spans), whole(n.kept()), whole(n.spared), whole(n.dropped),
                     100 * per(count(n.dropped), count(n.spans)), n.dropped > 0 ? ", lossy:" : "");
    }
    if (n.discarded > 0) {
        std::fprintf(stderr, "          the model was not shown %llu tokens (%.1f %% of positions)\n",
                     whole(n.discarded), 100 * per(count(n.discarded), count(n.positions)));
    }
    if (judged.judged > 0) {
        std::fprintf(stderr, "  score   %llu of %llu answers were the next token (%.1f %%)\n",
                     whole(judged.right), whole(judged.judged),
                     100 * per(count(judged.right), count(judged.judged)));
    }
}

/// Ends the spans of a text and shows them.
class span_follower {
 public:
    span_follower(const cli::options& chosen, const granularity& spans, const nullm::tokenizer& tokens)
        : tokens_(tokens),
          splitter_(tokens, *spans.on),
          never_drop_(spans.never_drop),
          screen_(chosen, tokens, spans.discard, spans.on == nullm::span_kind::line) {}

    template <class Reader>
    void push(Reader& reader, nullm::token_id token, score& judged) {
        const nullm::span_cut cut = splitter_.push(state_, token);
        if (cut.before) end(reader, judged);
        judged.see(token);
        reader.push(token);
        screen_.show(token);
        if (never_drop_) text_ += tokens_.piece(token);
        if (cut.after) end(reader, judged);
    }
    template <class Reader>
    void finish(Reader& reader, score& judged) {
        if (reader.open_span_length() > 0) end(reader, judged);
    }
    auto& screen() { return screen_; }

 private:
    template <class Reader>
    void end(Reader& reader, score& judged) {
        const std::string_view line = std::string_view(text_).substr(0, text_.find_last_not_of("\r\n") + 1);
        const nullm::span_step ended = reader.end_span(never_drop_ && never_drop_->found_in(line));
        text_.clear();
        judged.expect(ended.at_end.token);
        screen_.end(ended);
    }

    const nullm::tokenizer& tokens_;
    nullm::span_splitter splitter_;
    nullm::span_splitter::state state_ = splitter_.initial();
    std::optional<cli::line_pattern> never_drop_;
    std::string text_;  // of the span that has not ended
    cli::span_display screen_;
};

/// Decides on single tokens.
class token_follower {
 public:
    token_follower(const cli::options& chosen, const granularity&, const nullm::tokenizer& tokens)
        : screen_(chosen, tokens) {}

    template <class Reader>
    void push(Reader& reader, nullm::token_id token, score& judged) {
        judged.see(token);
        const nullm::step step = reader.push(token);
        judged.expect(step.token);
        screen_.show(token, step);
    }
    template <class Reader>
    void finish(Reader&, score&) {}
    auto& screen() { return screen_; }

 private:
    cli::display screen_;
};

template <nullm::Gate Gate>
void follow(const cli::options& chosen, const granularity& spans, const nullm::checkpoint& file,
            const nullm::tokenizer& tokens, Gate gate) {
    std::conditional_t<nullm::SpanGate<Gate>, span_follower, token_follower> follower(chosen, spans, tokens);
    nullm::reader_options limits{
        .seed = chosen.seed, .max_silence = chosen.max_silence, .explore = chosen.explore};
    if (chosen.max_pending) limits.max_pending = *chosen.max_pending;
    limits.discard = spans.discard;
    if (spans.discard) limits.never_drop = nullm::control_tokens(tokens);

    const cli::chosen_model model = cli::load_model(chosen, file);
    cli::chosen_model::state state(model, {.threads = chosen.threads, .context = chosen.context});
    if (chosen.stats) std::cerr << cli::heading(chosen, file) << '\n';
    const nullm::temperature_sampler sampler(
        {.temperature = chosen.temperature, .top_k = chosen.top_k, .top_p = chosen.top_p});
    nullm::basic_reader reader(model, std::move(state), std::move(gate), sampler, limits);

    score judged{.asked = chosen.score};
    const auto start = clock_type::now();
    for_each_token(chosen.input, tokens,
                   [&](nullm::token_id token) { follower.push(reader, token, judged); });
    follower.finish(reader, judged);
    if (chosen.answer_end && reader.position() > 0) {
        follower.screen().show_answer(reader.force());
    } else {
        reader.commit();
    }
    const double seconds = cli::seconds_since(start);
    follower.screen().finish();
    const auto& n = reader.stats();
    if (chosen.format == cli::format::jsonl) {
        nlohmann::ordered_json summary{
            {"positions", n.positions}, {"emitted", n.emitted}, {"null", n.nulls},
            {"withdrawn", 0},           {"passes", n.passes},   {"prompt_tokens", 0},
            {"prefill_s", 0.0},         {"decode_s", seconds},  {"restarts", n.restarts}};
        if (spans.on) {
            summary["spans"] = n.spans;
            summary["kept"] = n.kept();
            summary["spared"] = n.spared;
            summary["dropped"] = n.dropped;
            summary["discarded"] = n.discarded;
        }
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

/// Follows spans with the rates of a gate of tokens, against a theta that is held, or moved until the wanted
/// share of spans is silent.
template <nullm::Gate Gate>
void follow_spans(const cli::options& chosen, const granularity& spans, const nullm::checkpoint& file,
                  const nullm::tokenizer& tokens, Gate gate) {
    if (chosen.target_skip) {
        const nullm::target_rate_threshold threshold({.target = 1.0F - *chosen.target_skip});
        follow(chosen, spans, file, tokens, nullm::span_gate(std::move(gate), threshold));
    } else {
        const nullm::fixed_threshold threshold(chosen.theta.value_or(span_theta));
        follow(chosen, spans, file, tokens, nullm::span_gate(std::move(gate), threshold));
    }
}

void read_text(const cli::options& chosen, const granularity& spans) {
    const nullm::checkpoint file = nullm::open_checkpoint(chosen.model);
    const nullm::tokenizer tokens(file.vocabulary());
    if (chosen.tokenize) {
        auto ids = nlohmann::json::array();
        for_each_token(chosen.input, tokens, [&](nullm::token_id token) { ids.push_back(token); });
        std::cout << ids << '\n';
        return;
    }
    const auto usual = chosen.policy == cli::policy::dense ? cli::gate::open : cli::gate::spike;
    const cli::gate used = chosen.gate.value_or(usual);
    if (!spans.on) {
        follow(chosen, spans, file, tokens,
               cli::make_gate(chosen, usual, nullm::usual_theta<nullm::quiet>, file, tokens));
    } else if (used == cli::gate::random) {
        follow(chosen, spans, file, tokens, nullm::random_span_gate(chosen.theta.value_or(0.4F)));
    } else if (used == cli::gate::open) {
        follow(chosen, spans, file, tokens,
               nullm::span_gate(nullm::always_open{}, nullm::fixed_threshold(0.0F)));
    } else if (spans.on == nullm::span_kind::line) {
        // Lines are those of a log: nearly all its tokens are names and numbers, and what matters is which of
        // them are new.
        const auto drive = nullm::surprise_drive::build(nullm::vocabulary_of(file, tokens));
        follow_spans(chosen, spans, file, tokens, nullm::make_quiet_gate(drive));
    } else {
        follow_spans(chosen, spans, file, tokens, nullm::make_quiet_gate(nullm::vocabulary_of(file, tokens)));
    }
}

}  // namespace

int main(int argc, char** argv) {
    cli::options chosen;
    CLI::App app("Follows a text and says what comes next where the gate fires; NULL elsewhere.",
                 "nullm_read");
    cli::add_common_options(app, chosen);
    app.add_option("input", chosen.input, "the text; - is standard input (the default)")->type_name("FILE");
    app.add_option("--target-skip", chosen.target_skip,
                   "share of positions (or lines, sentences) to stay silent at; theta adapts")
        ->check(CLI::Range(0.0, 1.0))
        ->type_name("R");
    app.add_flag("--answer-end", chosen.answer_end, "answer at the input's end, whatever the gate says");
    granularity spans;
    enum class unit { token, line, sentence } on = unit::token;
    app.add_option("--on", on, "token | line | sentence: what is decided on (default token)")
        ->transform(
            cli::choice<unit>({{"token", unit::token}, {"line", unit::line}, {"sentence", unit::sentence}}))
        ->type_name("NAME");
    app.add_flag("--discard", spans.discard,
                 "drop silent lines or sentences; later answers do not know them");
    std::string never_drop;
    app.add_option("--never-drop", never_drop, "keep every line or sentence that this (grep -E) is found in")
        ->type_name("REGEX");
    app.add_flag("--score", chosen.score, "count how often an answer was the next token");
    return cli::guarded("nullm_read", app, argc, argv, [&] {
        if (chosen.policy == cli::policy::seed_literal) {
            throw nullm::error("--policy", "quiet, dense or long-context (seed-literal only writes)",
                               "seed-literal");
        }
        cli::refuse_idle_options(chosen);
        if (on != unit::token)
            spans.on = on == unit::line ? nullm::span_kind::line : nullm::span_kind::sentence;
        if (spans.on && !chosen.gate_file.empty())
            throw nullm::error("--gate-file", "--on token, which the gate was fitted to", "lines or sentences");
        if (spans.discard && !spans.on)
            throw nullm::error("--discard", "--on line or --on sentence", "--on token");
        if (app.count("--never-drop") > 0 && !spans.discard)
            throw nullm::error("--never-drop", "--discard, without which nothing is dropped", "none");
        if (app.count("--never-drop") > 0) spans.never_drop.emplace("--never-drop", never_drop);
        read_text(chosen, spans);
    });
}
