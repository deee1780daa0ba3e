// What gates keep and what they skip, on a corpus, against what the dense model says there.
//   gate_quality --model FILE --corpus TEXT [--out DIR] [--positions N] [--dense FILE] [--apart]
//                [--seeds 3] [--replicates 1000] [--weights 0.2,0.6] [model options]
// Documents are articles. Cuts are set on the articles that begin in the corpus' second half, which also
// counts the tokens; figures are of articles before it. The dense model runs once, in windows of 1024 with a
// stride of 512; every figure has an interval over articles (95 %, bootstrap). Writes DIR/curve.csv (each
// gate at skip rates of 5 to 95 %), gates.csv (figures of the ranking), dense.csv
// (--dense takes it in place of another pass) and raster.csv, and prints the tables that matter.

#include "../../examples/command_line.hpp"
#include "../../examples/progress.hpp"
#include "bench.hpp"
#include "contenders.hpp"
#include "dense_pass.hpp"
#include "gate_figures.hpp"
#include "gate_files.hpp"
#include "work_report.hpp"

#include <nullm/core/thread_pool.hpp>
#include <nullm/model/vocabulary.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace {

using decode::contender;
using decode::figure;

struct quality_settings {
    cli::options model;
    std::string corpus;
    std::string out = "build/gating";
    std::string dense;
    std::size_t positions = 0;
    unsigned seeds = 3;
    std::uint32_t replicates = 1000;
    std::vector<float> weights;
    bool apart = false;
};

/// The articles before the middle, the last cut off at `positions`; those from the middle on; and how often
/// each token stands behind the middle.
struct split {
    decode::corpus text;
    std::vector<std::uint32_t> counts;
};

split split_corpus(std::vector<decode::article> articles, std::size_t positions, bool apart,
                   std::size_t vocabulary) {
    const auto all = decode::joined(articles);
    const std::size_t middle = all.size() / 2;
    if (positions == 0) positions = middle;
    split made;
    made.text.carry = !apart;
    made.counts = decode::count_tokens(std::span(all).subspan(middle), vocabulary);
    std::size_t begin = 0;
    for (decode::article& a : articles) {
        const std::size_t n = a.tokens.size();
        if (begin >= middle) {
            made.text.tuning.push_back(std::move(a));
        } else if (begin < positions) {
            a.tokens.resize(std::min(n, std::min(positions, middle) - begin));
            made.text.reported.push_back(std::move(a));
        }
        begin += n;
    }
    if (made.text.tuning.empty()) {
        throw nullm::error("gate_quality", "a corpus with an article in its second half", "none");
    }
    return made;
}

const figure& find(const std::vector<figure>& figures, std::string_view metric) {
    return *std::find_if(figures.begin(), figures.end(), [&](const figure& f) { return f.metric == metric; });
}

void print_cell(const figure& f) {
    char text[64];
    std::snprintf(text, sizeof text, "%.3f (%.3f, %.3f)", f.value, f.interval.low, f.interval.high);
    std::printf(" %-22s", text);
}

/// The share of positions at which two seeds of a gate decide differently, in the mean over pairs of them.
double flip_rate(const contender& who, const decode::judge& judge, std::size_t positions, double skip) {
    double flips = 0, pairs = 0;
    std::vector<decode::flags> decided;
    for (std::size_t s = 0; s < who.reported.size(); ++s) {
        decided.push_back(judge.at_positions(decode::decide(who, skip, positions, s).fired));
    }
    for (std::size_t a = 0; a < decided.size(); ++a) {
        for (std::size_t b = a + 1; b < decided.size(); ++b, ++pairs) {
            for (std::size_t i = 0; i < decided[a].size(); ++i)
                flips += decided[a][i] != decided[b][i] ? 1 : 0;
        }
    }
    return pairs > 0 ? flips / pairs / static_cast<double>(judge.positions()) : 0;
}

struct results {
    std::vector<std::vector<figure>> ranking;  // of each contender
    std::vector<std::map<int, std::vector<figure>>>
        frozen;  // by skip in per cent, cuts set on the tuning part
    std::vector<std::map<int, std::vector<figure>>> exact;
};

results evaluate(const std::vector<contender>& all, const decode::judge& judge, std::size_t positions,
                 unsigned threads, const std::filesystem::path& folder) {
    results found{std::vector<std::vector<figure>>(all.size()), {}, {}};
    found.frozen.resize(all.size());
    found.exact.resize(all.size());
    nullm::thread_pool pool(threads);
    const cli::progress shown("figures");
    std::atomic<std::size_t> done = 0;
    pool.for_each(all.size(), 1, [&](std::size_t i) {
        const contender& who = all[i];
        std::optional<nullm::ranking> ranked;
        if (who.has_scores()) {
            ranked.emplace(judge.at_positions(who.reported[0]));
            found.ranking[i] = judge.of_ranking(*ranked);
        }
        for (int skip = 5; skip < 100; skip += 5) {
            const auto made = decode::decide(who, 0.01 * skip, positions);
            found.frozen[i][skip] = judge.of_decisions(judge.at_positions(made.fired));
            found.frozen[i][skip].push_back({"theta", static_cast<double>(made.cut), {}});
            if (ranked) found.exact[i][skip] = judge.at_exact_skip(*ranked, 0.01 * skip);
        }
        ++done;
        shown.at(done, all.size());
    });

    decode::csv_file curve(folder / "curve.csv", "gate,cut,wanted_skip,metric,value,low,high");
    decode::csv_file gates(folder / "gates.csv", "gate,metric,value,low,high");
    for (std::size_t i = 0; i < all.size(); ++i) {
        for (const figure& f : found.ranking[i]) {
            gates.row(all[i].name, f.metric, f.value, f.interval.low, f.interval.high);
        }
        if (all[i].nanoseconds > 0) gates.row(all[i].name, "nanoseconds", all[i].nanoseconds, "", "");
        for (const auto* cuts : {&found.frozen[i], &found.exact[i]}) {
            for (const auto& [skip, figures] : *cuts) {
                for (const figure& f : figures) {
                    curve.row(all[i].name, cuts == &found.exact[i] ? "exact" : "frozen", 0.01 * skip,
                              f.metric, f.value, f.interval.low, f.interval.high);
                }
            }
        }
    }
    curve.close();
    gates.close();
    return found;
}

void print_tables(const std::vector<contender>& all, const results& found, const decode::judge& judge,
                  std::size_t positions) {
    const auto heading = [](std::initializer_list<const char*> columns) {
        std::printf("%-22s", "gate");
        for (const char* column : columns) std::printf(" %-22s", column);
    };
    std::printf(
        "\nRanking: AUROC of the score for rare tokens and for right answers; area of bits covered above a "
        "random "
        "gate's;\nrisk of wrong answers if those ranked first are given (dense top-1; lower is better)\n");
    heading({"rare", "right", "bits area", "excess AURC", "AUGRC"});
    std::printf(" %6s %6s\n", "flips", "ns");
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (found.ranking[i].empty()) continue;
        std::printf("%-22s", all[i].name.c_str());
        for (const char* metric : {"auroc_rare", "auroc_right", "bits_area", "excess_aurc", "augrc"}) {
            print_cell(find(found.ranking[i], metric));
        }
        std::printf(" %5.1f%% %6.0f\n", 100 * flip_rate(all[i], judge, positions, 0.6), all[i].nanoseconds);
    }
    for (const int skip : {50, 60, 80}) {
        std::printf(
            "\nAt %d %% skip, cuts set on the other articles: what is kept, and where the dense model is "
            "right "
            "(everywhere: %.3f)\n",
            skip, judge.accuracy());
        heading({"skipped", "rare", "number", "capitalised", "bits", "right if emitted", "right if skipped"});
        std::printf("\n");
        for (std::size_t i = 0; i < all.size(); ++i) {
            std::printf("%-22s", all[i].name.c_str());
            for (const char* metric : {"skip", "recall_rare", "recall_number", "recall_capitalised", "bits",
                                       "accuracy_emitted", "accuracy_skipped"}) {
                print_cell(find(found.frozen[i].at(skip), metric));
            }
            std::printf("\n");
        }
    }
    std::printf("\nAt exactly 50 and 60 %% skip (cut on the reported text, ties in the mean)\n%-22s", "gate");
    for (const char* column : {"rare 50", "number 50", "capital. 50", "bits 50", "rare 60", "number 60",
                               "capital. 60", "bits 60"}) {
        std::printf(" %11s", column);
    }
    std::printf("\n");
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (found.exact[i].empty()) continue;
        std::printf("%-22s", all[i].name.c_str());
        for (const int skip : {50, 60}) {
            for (const char* metric : {"recall_rare", "recall_number", "recall_capitalised", "bits"}) {
                std::printf(" %11.3f", find(found.exact[i].at(skip), metric).value);
            }
        }
        std::printf("\n");
    }
}

void run(const quality_settings& chosen) {
    const nullm::checkpoint file(chosen.model.model);
    const nullm::tokenizer tokens(file.vocabulary());
    const split parts = split_corpus(decode::read_articles(chosen.corpus, tokens), chosen.positions,
                                     chosen.apart, file.config().vocabulary);
    const auto text = decode::joined(parts.text.reported);
    const std::filesystem::path folder(chosen.out);
    std::filesystem::create_directories(folder);

    decode::dense_results dense;
    if (chosen.dense.empty()) {
        const cli::chosen_model model = cli::load_model(chosen.model, file);
        dense = decode::run_dense(model, chosen.model.threads, parts.text.reported);
        decode::write_dense(folder / "dense.csv", text, dense);
    } else {
        dense = decode::read_dense(chosen.dense, text);
    }

    const auto vocabulary = nullm::vocabulary_of(file, tokens);
    const auto contenders = decode::run_contenders(vocabulary, parts.text, parts.counts, dense.surprisal,
                                                   chosen.seeds, chosen.weights);
    const decode::judge judge(dense, decode::label(text, tokens, parts.counts), parts.text.reported,
                              {.replicates = chosen.replicates});
    const auto share = [](const decode::flags& set) { return 100 * nullm::share_of(set); };
    const std::string how = chosen.dense.empty()
                                ? std::string("arithmetic ") + name_of(chosen.model.computes_in())
                                : "dense results of " + chosen.dense;
    std::printf(
        "%s, %s; %s: %zu positions scored of %zu articles, cuts and counts of %zu others; the "
        "gate's state %s\nrare %.1f %%, numbers %.1f %%, capitalised %.1f %%, any of them %.1f %%; dense "
        "top-1 %.2f %%\n",
        std::string(file.name()).c_str(), how.c_str(),
        std::filesystem::path(chosen.corpus).filename().c_str(), judge.positions(), judge.articles(),
        parts.text.tuning.size(),
        chosen.apart ? "starts anew at every article" : "goes on from article to article",
        share(judge.marks().rare), share(judge.marks().number), share(judge.marks().capitalised),
        share(judge.marks().any), 100 * judge.accuracy());
    const results found = evaluate(contenders, judge, text.size(), chosen.model.threads, folder);
    print_tables(contenders, found, judge, text.size());

    const float cut = decode::decide(contenders.front(), 0.6, text.size()).cut;
    const auto quiet = nullm::make_quiet_gate(vocabulary, {.theta = cut});
    decode::print_work(quiet, parts.text.reported, file);
    decode::write_raster(folder / "raster.csv", quiet, text, tokens, 300, 72);
    std::printf("\nwrote curve.csv, gates.csv%s and raster.csv to %s\n",
                chosen.dense.empty() ? ", dense.csv" : "", folder.c_str());
}

}  // namespace

int main(int argc, char** argv) {
    quality_settings chosen;
    CLI::App app("What gates keep and skip, on a corpus, against the dense model.", "gate_quality");
    cli::add_model_options(app, chosen.model);
    app.add_option("--corpus", chosen.corpus, "the text")->required()->type_name("FILE");
    app.add_option("--out", chosen.out, "folder of the CSV files")->type_name("DIR")->capture_default_str();
    app.add_option("--dense", chosen.dense, "dense.csv of an earlier run, in place of the dense pass")
        ->type_name("FILE");
    app.add_option("--positions", chosen.positions, "of the first half, to report (0: all)")->type_name("N");
    app.add_option("--seeds", chosen.seeds, "runs of each gate, to see how far chance decides")
        ->check(CLI::Range(1U, 100U))
        ->capture_default_str();
    app.add_option("--replicates", chosen.replicates, "of the bootstrap")
        ->check(CLI::Range(10U, 100000U))
        ->capture_default_str();
    app.add_option("--weights", chosen.weights, "of surprise, for more mixtures beside the default one")
        ->delimiter(',')
        ->check(CLI::Range(0.0, 1.0));
    app.add_flag("--apart", chosen.apart, "gates start anew at every article");
    CLI11_PARSE(app, argc, argv);
    try {
        run(chosen);
        return 0;
    } catch (const nullm::error& wrong) {
        std::fprintf(stderr, "gate_quality: %s\n", wrong.what());
        return 2;
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "gate_quality: %s\n", failure.what());
        return 1;
    }
}
