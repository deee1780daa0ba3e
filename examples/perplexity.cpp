// nullm_perplexity: how well a model predicts a text, and how far it is from another one on the same
// positions.

#include "command_line.hpp"
#include "compose.hpp"

#include <nullm/measure/bootstrap.hpp>
#include <nullm/measure/prediction.hpp>

#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

namespace {

using clock_type = std::chrono::steady_clock;

constexpr std::size_t first_scored = 32;  // earlier positions have too little context to tell models apart
constexpr std::size_t piece = 128;        // tokens a forward pass: logits of a whole window would take 100 MB

struct settings {
    cli::options model;
    std::string corpus;
    std::size_t windows = 24;
    std::size_t window = 512;
    std::optional<std::string> against_model;
    std::optional<cli::linear> against_linear;
    std::optional<cli::arithmetic> against_arithmetic;
    std::optional<cli::cache> against_cache;
    std::optional<cli::attention> against_attention;
    std::size_t sample_from = 0;
    bool json = false;

    /// The reference, if one is asked for: what is not said of it is as in the model.
    std::optional<cli::options> reference() const {
        if (!against_model && !against_linear && !against_arithmetic && !against_cache && !against_attention) {
            return std::nullopt;
        }
        cli::options other = model;
        if (against_model) other.model = *against_model;
        if (against_linear) other.linear = *against_linear;
        if (against_cache) other.cache = *against_cache;
        if (against_attention) other.attention = *against_attention;
        if (against_arithmetic) {
            other.arithmetic = *against_arithmetic;
        } else if (against_linear == cli::linear::f32) {
            other.arithmetic.reset();  // floats alone go with it
        }
        return other;
    }
};

/// What was seen of one model.
struct score {
    double surprisal = 0;  // sum of -log p(next token), nats
    std::size_t right = 0;
    double seconds = 0;  // inside the model

    double perplexity(std::size_t predictions) const {
        return std::exp(surprisal / static_cast<double>(predictions));
    }
};

/// Both models' sums over one window: what is resampled, since positions of a window resemble each other.
struct window_sums {
    std::size_t predictions = 0;
    double surprisal = 0, reference_surprisal = 0;
    std::size_t right = 0, reference_right = 0;
};

struct outcome {
    std::size_t windows = 0;
    std::size_t predictions = 0;
    std::size_t tokens = 0;  // run through each model
    score model;
    score reference;
    double divergence = 0;  // sum over the predictions
    std::size_t agreed = 0;
    std::vector<window_sums> by_window;

    /// Of the model less the reference, over windows drawn so many times each.
    double perplexity_difference(std::span<const std::uint32_t> times) const {
        double sum = 0, reference_sum = 0, n = 0;
        for (std::size_t w = 0; w < times.size(); ++w) {
            sum += times[w] * by_window[w].surprisal;
            reference_sum += times[w] * by_window[w].reference_surprisal;
            n += static_cast<double>(times[w] * by_window[w].predictions);
        }
        return std::exp(sum / n) - std::exp(reference_sum / n);
    }
    /// In points.
    double top1_difference(std::span<const std::uint32_t> times) const {
        double sum = 0, n = 0;
        for (std::size_t w = 0; w < times.size(); ++w) {
            const window_sums& one = by_window[w];
            sum += times[w] * (static_cast<double>(one.right) - static_cast<double>(one.reference_right));
            n += static_cast<double>(times[w] * one.predictions);
        }
        return 100 * sum / n;
    }
};

/// A model, its session, and the logits of the piece that was run last.
class subject {
 public:
    subject(const cli::options& chosen, const nullm::checkpoint& file, std::size_t window,
            std::size_t sample_from)
        : model_(cli::load_model(chosen, file)),
          session_(model_, {.threads = chosen.threads, .context = window, .sample_from = sample_from}) {}

    void forget() { model_.truncate(session_, 0); }
    void run(std::span<const nullm::token_id> tokens, std::size_t wanted) {
        const auto start = clock_type::now();
        logits = model_.forward(session_, tokens, wanted);
        total.seconds += cli::seconds_since(start);
    }

    nullm::matrix_view<const float> logits;
    score total;

 private:
    cli::chosen_model model_;
    cli::chosen_model::state session_;
};

/// What one position gives, kept apart so that sums do not depend on which thread ran it.
struct judgement {
    double surprisal = 0, reference_surprisal = 0, divergence = 0;
    bool right = false, reference_right = false, agreed = false;
};

/// `reference` is empty where there is none.
judgement judge(std::span<const float> row, std::span<const float> reference, nullm::token_id next) {
    const nullm::prediction mine(row);
    judgement seen{.surprisal = nullm::surprisal(row, mine, next), .right = mine.most_likely == next};
    if (!reference.empty()) {
        const nullm::prediction theirs(reference);
        seen.reference_surprisal = nullm::surprisal(reference, theirs, next);
        seen.reference_right = theirs.most_likely == next;
        seen.divergence = nullm::kl_divergence(reference, theirs, row, mine);
        seen.agreed = theirs.most_likely == mine.most_likely;
    }
    return seen;
}

outcome measure(const settings& chosen, std::span<const nullm::token_id> text, subject& model,
                subject* reference, nullm::thread_pool& pool) {
    const bool shown = ::isatty(STDERR_FILENO) != 0;
    const std::size_t there = text.size() / chosen.window;
    outcome result;
    result.windows = chosen.windows == 0 ? there : std::min(chosen.windows, there);
    std::vector<judgement> judged(piece);
    for (std::size_t w = 0; w < result.windows; ++w) {
        const auto window = text.subspan(w * chosen.window, chosen.window);
        model.forget();
        window_sums& sums = result.by_window.emplace_back();
        if (reference != nullptr) reference->forget();
        // The last token is only predicted.
        for (std::size_t begin = 0; begin + 1 < window.size(); begin += piece) {
            const std::size_t end = std::min(begin + piece, window.size() - 1);
            const std::size_t from = std::max(begin, std::min(std::max(first_scored, chosen.sample_from), end));
            const auto tokens = window.subspan(begin, end - begin);
            model.run(tokens, end - from);
            if (reference != nullptr) reference->run(tokens, end - from);
            result.tokens += tokens.size();

            pool.for_each(end - from, 1, [&](std::size_t r) {
                const auto row = model.logits.row(r);
                const auto other = reference != nullptr ? reference->logits.row(r) : std::span<const float>();
                judged[r] = judge(row, other, window[from + r + 1]);
            });
            for (std::size_t r = 0; r < end - from; ++r) {
                const judgement& one = judged[r];
                if (!std::isfinite(one.surprisal + one.reference_surprisal + one.divergence)) {
                    throw std::runtime_error("logits that are not finite at position " +
                                             std::to_string(from + r) + " of window " + std::to_string(w));
                }
                model.total.surprisal += one.surprisal;
                model.total.right += one.right ? 1 : 0;
                sums.surprisal += one.surprisal;
                sums.right += one.right ? 1 : 0;
                result.divergence += one.divergence;
                result.agreed += one.agreed ? 1 : 0;
                if (reference == nullptr) continue;
                reference->total.surprisal += one.reference_surprisal;
                reference->total.right += one.reference_right ? 1 : 0;
                sums.reference_surprisal += one.reference_surprisal;
                sums.reference_right += one.reference_right ? 1 : 0;
            }
            sums.predictions += end - from;
            result.predictions += end - from;
        }
        if (shown) {
            std::fprintf(stderr, "\rwindow %zu of %zu, perplexity %.2f ", w + 1, result.windows,
                         model.total.perplexity(result.predictions));
        }
    }
    if (shown) std::fputs("\r\033[K", stderr);
    result.model = model.total;
    if (reference != nullptr) result.reference = reference->total;
    return result;
}

std::string parts_of(const cli::options& chosen) {
    return std::string("weights ") + name_of(chosen.linear) + ", arithmetic " +
           name_of(chosen.computes_in()) + ", cache " + name_of(chosen.cache);
}

/// A figure, and where 95 in 100 paired resamples of the windows put it.
struct difference {
    double is = 0;
    nullm::interval between;
};
template <class Figure>
difference difference_of(const outcome& seen, Figure figure) {
    const auto of = [&](std::span<const std::uint32_t> times) { return (seen.*figure)(times); };
    const std::vector<std::uint32_t> once(seen.windows, 1);
    return {of(once), nullm::bootstrap(seen.windows, of)};
}

double percent(std::size_t part, std::size_t whole) {
    return 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

void print_text(const outcome& seen, const cli::options& model, const std::optional<cli::options>& reference,
                unsigned threads) {
    const auto row = [&](const cli::options& chosen, const score& total) {
        std::printf("%s\n  perplexity  %.4f\n  top-1       %.2f %%\n  speed       %.0f tokens/s\n",
                    parts_of(chosen).c_str(), total.perplexity(seen.predictions),
                    percent(total.right, seen.predictions), static_cast<double>(seen.tokens) / total.seconds);
    };
    std::printf("%zu windows, %zu predictions; kernels %s, %u %s\n", seen.windows, seen.predictions,
                std::string(nullm::name_of(nullm::active_isa())).c_str(), threads,
                threads == 1 ? "thread" : "threads");
    row(model, seen.model);
    if (!reference) return;
    std::printf("against ");
    row(*reference, seen.reference);
    std::printf("  KL          %.3e nats\n  agreement   %.2f %%\n",
                seen.divergence / static_cast<double>(seen.predictions),
                percent(seen.agreed, seen.predictions));
    const auto line = [](const char* what, const difference& d, const char* unit) {
        std::printf("  %s %+.2f%s, 95 %% of paired resamples of the windows between %+.2f and %+.2f\n", what, d.is,
                    unit, d.between.low, d.between.high);
    };
    line("perplexity ", difference_of(seen, &outcome::perplexity_difference), "");
    line("top-1      ", difference_of(seen, &outcome::top1_difference), " points");
}

nlohmann::ordered_json to_json(const outcome& seen, const cli::options& model,
                               const std::optional<cli::options>& reference, unsigned threads) {
    const auto about = [&](const cli::options& chosen, const score& total) {
        return nlohmann::ordered_json{{"linear", name_of(chosen.linear)},
                                      {"arith", name_of(chosen.computes_in())},
                                      {"kv", name_of(chosen.cache)},
                                      {"perplexity", total.perplexity(seen.predictions)},
                                      {"top1", percent(total.right, seen.predictions) / 100},
                                      {"tokens_per_s", static_cast<double>(seen.tokens) / total.seconds}};
    };
    nlohmann::ordered_json line{{"windows", seen.windows},
                                {"predictions", seen.predictions},
                                {"threads", threads},
                                {"isa", nullm::name_of(nullm::active_isa())},
                                {"model", about(model, seen.model)}};
    if (reference) {
        line["reference"] = about(*reference, seen.reference);
        line["kl"] = seen.divergence / static_cast<double>(seen.predictions);
        line["agreement"] = percent(seen.agreed, seen.predictions) / 100;
        const auto differs = [&](const difference& d) {
            return nlohmann::ordered_json{{"is", d.is}, {"low", d.between.low}, {"high", d.between.high}};
        };
        line["perplexity_difference"] = differs(difference_of(seen, &outcome::perplexity_difference));
        line["top1_points_difference"] = differs(difference_of(seen, &outcome::top1_difference));
    }
    return line;
}

/// The reference's file, if it is another one: it must read the text as the same tokens, and predict among as
/// many.
std::optional<nullm::checkpoint> open_reference(const settings& chosen, const std::string& text,
                                                const std::vector<nullm::token_id>& ids,
                                                std::size_t vocabulary) {
    if (!chosen.against_model) return std::nullopt;
    nullm::checkpoint file = nullm::open_checkpoint(*chosen.against_model);
    if (nullm::tokenizer(file.vocabulary()).encode(text) != ids) {
        throw nullm::error(*chosen.against_model, "a tokenizer that reads the text as the model's does",
                           "another one");
    }
    if (file.config().vocabulary != vocabulary) {
        throw nullm::error(*chosen.against_model,
                           "a vocabulary of " + std::to_string(vocabulary) + ", as the model's",
                           std::to_string(file.config().vocabulary));
    }
    return file;
}

void run(const settings& chosen) {
    const nullm::checkpoint file = nullm::open_checkpoint(chosen.model.model);
    const nullm::tokenizer tokens(file.vocabulary());
    const std::string text = cli::read_all(chosen.corpus);
    const auto ids = tokens.encode(text);
    if (ids.size() < chosen.window) {
        throw nullm::error(chosen.corpus,
                           "at least one window of " + std::to_string(chosen.window) + " tokens",
                           std::to_string(ids.size()));
    }
    const auto compared = chosen.reference();
    const auto other = open_reference(chosen, text, ids, file.config().vocabulary);
    subject model(chosen.model, file, chosen.window, chosen.sample_from);
    std::optional<subject> reference;
    if (compared) reference.emplace(*compared, other ? *other : file, chosen.window, chosen.sample_from);
    nullm::thread_pool pool(chosen.model.threads);

    const outcome seen = measure(chosen, ids, model, reference ? &*reference : nullptr, pool);
    if (chosen.json) {
        std::cout << to_json(seen, chosen.model, compared, pool.size()) << '\n';
    } else {
        print_text(seen, chosen.model, compared, pool.size());
    }
}

}  // namespace

int main(int argc, char** argv) {
    settings chosen;
    CLI::App app("Perplexity of a model on a text, in windows that start from nothing.", "nullm_perplexity");
    cli::add_model_options(app, chosen.model);
    app.add_option("corpus", chosen.corpus, "the text; - is standard input")->required()->type_name("FILE");
    app.add_option("--windows", chosen.windows, "how many of the text's first (default 24; 0: all)")
        ->type_name("N");
    app.add_option("--window", chosen.window,
                   "tokens of each; predictions behind position 32 are scored (default 512)")
        ->check(CLI::Range(first_scored + 2, std::size_t{1} << 20))
        ->type_name("N");
    app.add_option("--against-model", chosen.against_model, "the reference's file (default: the model's)")
        ->type_name("FILE");
    app.add_option("--against-linear", chosen.against_linear,
                   "the reference's weights (default: the model's)")
        ->transform(cli::choice<cli::linear>(
            {{"native", cli::linear::native}, {"nf4", cli::linear::nf4}, {"f32", cli::linear::f32}}))
        ->type_name("NAME");
    app.add_option("--against-arith", chosen.against_arithmetic, "its arithmetic")
        ->transform(cli::choice<cli::arithmetic>(
            {{"i8", cli::arithmetic::i8}, {"i16", cli::arithmetic::i16}, {"f32", cli::arithmetic::f32}}))
        ->type_name("NAME");
    app.add_option("--against-kv", chosen.against_cache, "its cache")
        ->transform(cli::choice<cli::cache>(
            {{"f16", cli::cache::f16}, {"bf16", cli::cache::bf16}, {"f32", cli::cache::f32}}))
        ->type_name("NAME");
    cli::add_attention_option(app, "--against-attention", chosen.against_attention, "the reference's");
    app.add_option("--sample-from", chosen.sample_from,
                   "position in a window: attention that samples is exact, and nothing scored, before it")
        ->type_name("N");
    app.add_flag("--json", chosen.json, "print one line of JSON");
    return cli::guarded("nullm_perplexity", app, argc, argv, [&] { run(chosen); });
}
