// Whether attention that samples finds what exact attention finds: pass keys hidden in real text.
//   retrieval --model FILE --corpus TEXT [--lengths N ...] [--cases N] [--seed S] [--threads N] [--tables]
// A haystack is running text of the corpus, read by exact attention; questions behind it are answered twice
// from the same cache, by exact attention and by sampled attention in the layers that sample (from the
// question's first token on). Right: the five digits that greedy decoding writes are the key's.
//   pass key    one key in the haystack, at a tenth, two tenths, ... of its depth; the text before it is read
//   once
//               for all of these
//   multi-key   ten keys of ten names in one haystack, each asked for
// Prints, for each length and task: cases; how many each attention got right; how often only one of them did;
// how often they wrote the same digits; the share of the candidate keys that a sampled head used.

#include "../../examples/progress.hpp"
#include "prompts.hpp"

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
#include <string_view>
#include <vector>

namespace {

using token_list = std::vector<nullm::token_id>;

struct settings {
    std::string model;
    std::string corpus;
    std::vector<std::size_t> lengths = {2048, 4096, 7168};
    std::size_t cases = 100;
    std::uint64_t seed = 1;
    unsigned threads = 0;
    bool tables = false;
};

constexpr std::size_t keys_of_a_haystack = 10;
constexpr const char* names[] = {"Adams",  "Baker",  "Carter", "Dawson", "Evans",   "Fisher", "Grant",
                                 "Harris", "Irving", "Jensen", "Keller", "Lambert", "Mason",  "Norton",
                                 "Oliver", "Parker", "Quincy", "Rogers", "Sawyer",  "Turner"};

struct needle {
    std::string name;
    std::string digits;

    std::string sentence() const {
        return " The pass key of " + name + " is " + digits + ". Remember it: " + digits +
               " is the pass key of " + name + ".\n";
    }
    std::string question() const {
        return "\n\n What is the pass key of " + name + "? The pass key of " + name + " is";
    }
};

std::vector<needle> make_needles(std::mt19937_64& random) {
    std::vector<needle> made;
    std::vector<std::string> left(std::begin(names), std::end(names));
    for (std::size_t i = 0; i < keys_of_a_haystack; ++i) {
        const std::size_t pick = random() % left.size();
        made.push_back({left[pick], std::to_string(10000 + random() % 90000)});
        left.erase(left.begin() + static_cast<std::ptrdiff_t>(pick));
    }
    return made;
}

/// The corpus in lines, given out in order and from the beginning again: a haystack is running text.
class hay {
 public:
    hay(const std::string& path, const nullm::tokenizer& words) {
        const std::string text = decode::read_file(path);
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
            lines_.push_back(words.encode(std::string_view(text).substr(at, end - at)));
            tokens_ += lines_.back().size();
            at = end;
        }
        if (tokens_ == 0) throw nullm::error(path, "a text of one token or more", "none");
    }

    /// Lines of `count` tokens together; the last one may be cut.
    std::vector<token_list> next(std::size_t count) {
        std::vector<token_list> found;
        for (std::size_t n = 0; n < count; n += found.back().size()) {
            while (lines_[at_ % lines_.size()].empty()) ++at_;
            found.push_back(lines_[at_++ % lines_.size()]);
            found.back().resize(std::min(found.back().size(), count - n));
        }
        return found;
    }

 private:
    std::vector<token_list> lines_;
    std::size_t tokens_ = 0;
    std::size_t at_ = 0;
};

struct tally {
    std::size_t cases = 0, exact = 0, sampled = 0, exact_only = 0, sampled_only = 0, same = 0;
};

template <class Attention>
class contest {
 public:
    using model_type = nullm::llama<nullm::native_linear<nullm::i8>, Attention>;
    using state = typename model_type::state;

    contest(const settings& chosen, const nullm::checkpoint& file)
        : chosen_(chosen), words_(file.vocabulary()), model_(file, {.threads = chosen.threads}, {}) {}

    void run(std::size_t length, bool several) {
        hay corpus(chosen_.corpus, words_);
        std::mt19937_64 random(chosen_.seed);
        const std::size_t context = length + 64;
        state exact(model_, {.threads = chosen_.threads, .context = context, .sample_from = context});
        state sampled(model_, {.threads = chosen_.threads, .context = context, .sample_from = length});
        tally found;
        while (found.cases < chosen_.cases) {
            if (several) {
                hide_several(length, corpus, random, exact, sampled, found);
            } else {
                hide_one(length, corpus, random, exact, sampled, found);
            }
        }
        print(length, several ? "multi-key" : "pass key", found, model_.counts(sampled).share_read());
    }

 private:
    void hide_one(std::size_t length, hay& corpus, std::mt19937_64& random, state& exact, state& sampled,
                  tally& to) {
        const auto needles = make_needles(random);
        const auto lines = corpus.next(length);
        model_.truncate(exact, 0);
        std::size_t line = 0;
        for (std::size_t i = 0; i < needles.size() && to.cases < chosen_.cases; ++i) {
            const cli::progress shown("pass key, " + std::to_string(length));
            shown.at(to.cases, chosen_.cases);
            const std::size_t depth = i * length / needles.size();
            token_list more;
            while (model_.length(exact) + more.size() < depth && line + 1 < lines.size()) {
                more.insert(more.end(), lines[line].begin(), lines[line].end());
                ++line;
            }
            model_.forward(exact, more, 0);
            const auto before = model_.save(exact);
            token_list rest = words_.encode(needles[i].sentence());
            for (std::size_t l = line; l < lines.size(); ++l)
                rest.insert(rest.end(), lines[l].begin(), lines[l].end());
            rest.resize(length - model_.length(exact));  // cut at the haystack's length
            model_.forward(exact, rest, 0);
            ask(needles[i], length, exact, sampled, to);
            model_.restore(exact, before);
        }
    }

    void hide_several(std::size_t length, hay& corpus, std::mt19937_64& random, state& exact, state& sampled,
                      tally& to) {
        const cli::progress shown("multi-key, " + std::to_string(length));
        shown.at(to.cases, chosen_.cases);
        const auto needles = make_needles(random);
        const auto lines = corpus.next(length);
        token_list text;
        std::size_t line = 0;
        for (std::size_t i = 0; i < needles.size(); ++i) {
            while (text.size() < i * length / needles.size()) {
                text.insert(text.end(), lines[line].begin(), lines[line].end());
                ++line;
            }
            const auto sentence = words_.encode(needles[i].sentence());
            text.insert(text.end(), sentence.begin(), sentence.end());
        }
        for (; text.size() < length; ++line) text.insert(text.end(), lines[line].begin(), lines[line].end());
        text.resize(length);
        model_.truncate(exact, 0);
        model_.forward(exact, text, 0);
        for (std::size_t i = 0; i < needles.size() && to.cases < chosen_.cases; ++i)
            ask(needles[i], length, exact, sampled, to);
    }

    void ask(const needle& hidden, std::size_t length, state& exact, state& sampled, tally& to) {
        model_.restore(sampled, model_.save(exact));
        const std::string a = answer(hidden, length, exact);
        const std::string b = answer(hidden, length, sampled);
        ++to.cases;
        to.exact += a == hidden.digits ? 1 : 0;
        to.sampled += b == hidden.digits ? 1 : 0;
        to.exact_only += a == hidden.digits && b != hidden.digits ? 1 : 0;
        to.sampled_only += a != hidden.digits && b == hidden.digits ? 1 : 0;
        to.same += a == b ? 1 : 0;
    }

    // Greedy, up to five digits; the state is as before then.
    std::string answer(const needle& hidden, std::size_t length, state& session) {
        token_list next = words_.encode(hidden.question());
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

    static void print(std::size_t length, const char* task, const tally& t, double share) {
        const auto percent = [&](std::size_t n) {
            return 100 * static_cast<double>(n) / static_cast<double>(t.cases);
        };
        std::printf("%6zu  %-9s %6zu %9.1f %9.1f %11zu %13zu %9.1f %8.1f\n", length, task, t.cases,
                    percent(t.exact), percent(t.sampled), t.exact_only, t.sampled_only, percent(t.same),
                    100 * share);
        std::fflush(stdout);
    }

    const settings& chosen_;
    nullm::tokenizer words_;
    model_type model_;
};

template <class Attention>
void run(const settings& chosen, const char* name) {
    const nullm::checkpoint file(chosen.model);
    contest<Attention> all(chosen, file);
    std::printf("%s\n%6s  %-9s %6s %9s %9s %11s %13s %9s %8s\n", name, "length", "task", "cases", "exact %",
                "sampled %", "exact only", "sampled only", "same %", "keys %");
    for (const bool several : {true, false}) {
        for (const std::size_t length : chosen.lengths) all.run(length, several);
    }
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
    app.add_option("--cases", chosen.cases, "of each task and length")
        ->check(CLI::Range(1, 100000))
        ->type_name("N");
    app.add_option("--seed", chosen.seed, "of names and keys")->type_name("S");
    app.add_option("--threads", chosen.threads, "0: one per core")->type_name("N");
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
