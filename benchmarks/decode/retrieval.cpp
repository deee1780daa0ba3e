// Whether attention that samples finds what exact attention finds: pass keys hidden in real text.
//   retrieval --model FILE --corpus TEXT [--lengths N ...] [--tasks NAME ...] [--cases N] [--seed S]
//             [--threads N] [--tables] [--dense-every N] [--needle TEXT] [--question TEXT]
// A haystack is running text of the corpus with needles between its lines, read by exact attention. Questions
// behind it are answered twice from that one cache: by exact attention, and by attention that samples from
// the question's first token on, in all layers. Right: the five digits that greedy decoding writes are the
// key's.
//   pass-key    one key in the haystack, at a tenth, two tenths, ... of its depth. What lies before it is
//               read once for the ten depths, what lies behind it for each: 5.5 haystacks for ten cases
//   multi-key   ten keys of ten names in one haystack, each asked for: one haystack for ten cases
// Prints, for each length and task: cases; how many each attention got right; how often only one of them did;
// how often they wrote the same digits; the share of the candidate keys that a sampled head used.

#include "../../examples/progress.hpp"
#include "haystack.hpp"

#include <nullm/attention/lsh_attention.hpp>
#include <nullm/attention/sketch_attention.hpp>
#include <nullm/linear/native_linear.hpp>
#include <nullm/measure/prediction.hpp>
#include <nullm/model/llama.hpp>
#include <nullm/text/tokenizer.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace {

using decode::needle;
using decode::token_list;

struct settings {
    std::string model;
    std::string corpus;
    decode::phrasing phrasing;
    std::vector<std::size_t> lengths = {2048, 4096, 7168};
    std::vector<std::string> tasks = {"pass-key", "multi-key"};
    std::size_t cases = 100;
    std::uint64_t seed = 1;
    unsigned threads = 0;
    std::size_t dense_every = 0;
    bool tables = false;
};

struct tally {
    std::size_t cases = 0, exact = 0, sampled = 0, exact_only = 0, sampled_only = 0, same = 0;

    void add(const std::string& key, const std::string& by_exact, const std::string& by_sampled) {
        const bool a = by_exact == key;
        const bool b = by_sampled == key;
        ++cases;
        exact += a ? 1 : 0;
        sampled += b ? 1 : 0;
        exact_only += a && !b ? 1 : 0;
        sampled_only += b && !a ? 1 : 0;
        same += by_exact == by_sampled ? 1 : 0;
    }
};

/// Both attentions at one length. They are one type, so one cache serves both; they differ in where sampling
/// begins.
template <class Attention>
class contest {
 public:
    using model_type = nullm::llama<nullm::native_linear<nullm::i8>, Attention>;
    using state = typename model_type::state;

    contest(const settings& chosen, const model_type& model, const nullm::tokenizer& words,
            std::size_t length)
        : chosen_(chosen),
          model_(model),
          words_(words),
          length_(length),
          corpus_(chosen.corpus, words),
          random_(chosen.seed),
          exact_(model, {.threads = chosen.threads, .context = length + room, .sample_from = length + room}),
          sampled_(model, {.threads = chosen.threads, .context = length + room, .sample_from = length}) {}

    void run() {
        for (const auto& task : chosen_.tasks)
            run(task, task == "pass-key" ? &contest::hide_one : &contest::hide_several);
    }

 private:
    // Haystacks are up to `shifts` - 1 tokens longer than asked: draws are keyed by positions, and questions
    // that all stood at the same ones would be lucky or unlucky together.
    static constexpr std::size_t shifts = 32;
    static constexpr std::size_t room = shifts + 96;

    void run(const std::string& task, void (contest::*hide)(tally&)) {
        tally seen;
        const auto before = model_.counts(sampled_);
        const cli::progress shown(task + ", " + std::to_string(length_));
        while (seen.cases < chosen_.cases) {
            (this->*hide)(seen);
            shown.at(seen.cases, chosen_.cases);
        }
        const auto after = model_.counts(sampled_);
        const auto used = after.chosen + after.always - before.chosen - before.always;
        const auto there = after.candidates + after.always - before.candidates - before.always;
        const auto percent = [&](auto n, auto of) {
            return 100 * static_cast<double>(n) / static_cast<double>(of);
        };
        std::printf("%6zu  %-9s %6zu %9.1f %9.1f %11zu %13zu %9.1f %8.1f\n", length_, task.c_str(),
                    seen.cases, percent(seen.exact, seen.cases), percent(seen.sampled, seen.cases),
                    seen.exact_only, seen.sampled_only, percent(seen.same, seen.cases), percent(used, there));
        std::fflush(stdout);
    }

    void hide_one(tally& to) {
        const auto needles = decode::make_needles(random_);
        const std::size_t length = length_ + random_() % shifts;
        const auto hay = corpus_.next(length);
        model_.truncate(exact_, 0);
        for (std::size_t i = 0; i < needles.size() && to.cases < chosen_.cases; ++i) {
            const std::size_t at = hay.gap(i * length / needles.size());
            const std::size_t done = model_.length(exact_);
            model_.forward(exact_, hay.between(done, at), 0);
            const auto before = model_.save(exact_);
            token_list rest = words_.encode(chosen_.phrasing.sentence(needles[i]));
            const auto behind = hay.between(at, length);
            rest.insert(rest.end(), behind.begin(), behind.end());
            rest.resize(length - at);
            model_.forward(exact_, rest, 0);
            model_.restore(sampled_, model_.save(exact_));
            ask(needles[i], to);
            model_.restore(exact_, before);
        }
    }

    void hide_several(tally& to) {
        const auto needles = decode::make_needles(random_);
        const std::size_t length = length_ + random_() % shifts;
        const auto hay = corpus_.next(length);
        token_list text;
        std::size_t done = 0;  // of the hay
        const auto add_until = [&](std::size_t at) {
            const auto more = hay.between(done, at);
            text.insert(text.end(), more.begin(), more.end());
            done = std::max(done, at);
        };
        for (std::size_t i = 0; i < needles.size(); ++i) {
            const std::size_t inserted = text.size() - done;
            const std::size_t depth = i * length / needles.size();
            add_until(hay.gap(depth - std::min(depth, inserted)));
            const auto sentence = words_.encode(chosen_.phrasing.sentence(needles[i]));
            text.insert(text.end(), sentence.begin(), sentence.end());
        }
        add_until(length);
        text.resize(length);
        model_.truncate(exact_, 0);
        model_.forward(exact_, text, 0);
        model_.restore(sampled_, model_.save(exact_));
        for (std::size_t i = 0; i < needles.size() && to.cases < chosen_.cases; ++i) ask(needles[i], to);
    }

    void ask(const needle& hidden, tally& to) {
        to.add(hidden.digits, answer(hidden, exact_), answer(hidden, sampled_));
    }

    // Greedy, up to five digits; the state is as before then.
    std::string answer(const needle& hidden, state& session) const {
        const std::size_t length = model_.length(session);
        token_list next = words_.encode(chosen_.phrasing.ask(hidden));
        std::string digits;
        for (int token = 0; token < 8 && digits.size() < 5; ++token) {
            const auto logits = model_.forward(session, next, 1);
            next = {nullm::prediction(logits.row(0)).most_likely};
            for (const char c : words_.decode(next)) {
                if (c >= '0' && c <= '9') digits += c;
            }
        }
        model_.truncate(session, length);
        return digits;
    }

    const settings& chosen_;
    const model_type& model_;
    const nullm::tokenizer& words_;
    std::size_t length_;
    decode::hay corpus_;
    std::mt19937_64 random_;
    state exact_;
    state sampled_;
};

template <class Attention>
void run(const settings& chosen, const char* name) {
    const nullm::checkpoint file(chosen.model);
    const nullm::tokenizer words(file.vocabulary());
    const typename contest<Attention>::model_type model(file, {.threads = chosen.threads},
                                                        {.dense_every = chosen.dense_every});
    std::printf("%s\n%6s  %-9s %6s %9s %9s %11s %13s %9s %8s\n", name, "length", "task", "cases", "exact %",
                "sampled %", "exact only", "sampled only", "same %", "keys %");
    for (const std::size_t length : chosen.lengths) contest<Attention>(chosen, model, words, length).run();
}

}  // namespace

int main(int argc, char** argv) {
    settings chosen;
    CLI::App app("Retrieval from long texts by exact and by sampled attention.", "retrieval");
    app.add_option("--model", chosen.model, "GGUF file")->required()->type_name("FILE");
    app.add_option("--corpus", chosen.corpus, "a long text")->required()->type_name("FILE");
    app.add_option("--lengths", chosen.lengths, "tokens of a haystack")
        ->check(CLI::Range(1280, 1 << 20))
        ->type_name("N");
    app.add_option("--tasks", chosen.tasks, "pass-key, multi-key (default: both)")
        ->check(CLI::IsMember({"pass-key", "multi-key"}))
        ->type_name("NAME");
    app.add_option("--cases", chosen.cases, "of each task and length")
        ->check(CLI::Range(1, 100000))
        ->type_name("N");
    app.add_option("--seed", chosen.seed, "of names and keys")->type_name("S");
    app.add_option("--threads", chosen.threads, "0: one per core")->type_name("N");
    app.add_option("--dense-every", chosen.dense_every, "layers that never sample (default 0: none)")
        ->type_name("N");
    app.add_option("--needle", chosen.phrasing.needle, "with NAME and KEY in it")->type_name("TEXT");
    app.add_option("--question", chosen.phrasing.question, "with NAME in it; the key is to follow")
        ->type_name("TEXT");
    app.add_flag("--tables", chosen.tables, "sample by hash tables (10, 150), not by sketches");
    try {
        app.parse(argc, argv);
        if (chosen.tables) {
            run<nullm::lsh_attention<nullm::lsh_shape{10, 150}>>(chosen, "tables (10, 150)");
        } else {
            run<nullm::sketch_attention<>>(chosen, "sketches of 2 bits");
        }
    } catch (const CLI::ParseError& wrong) {
        return app.exit(wrong);
    } catch (const std::exception& failed) {
        std::fprintf(stderr, "retrieval: %s\n", failed.what());
        return 1;
    }
    return 0;
}
