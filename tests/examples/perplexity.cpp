// nullm_perplexity, run as a user runs it: against the same figures worked out here, and on what it must
// refuse.
#include <support/catch.hpp>
#include <support/reference_model.hpp>
#include <support/synthetic_checkpoint.hpp>

#include <nullm/attention/exact_attention.hpp>
#include <nullm/linear/native_linear.hpp>
#include <nullm/model/llama.hpp>
#include <nullm/text/tokenizer.hpp>

#include <nlohmann/json.hpp>

#include <sys/wait.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace {

namespace fs = std::filesystem;

std::string slurp(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

struct outcome {
    int code;
    std::string out, err;
    nlohmann::json line() const { return nlohmann::json::parse(out); }
};

/// A model of 96 positions, a text of some 1200 tokens without merges, and what the program says about them.
struct scratch {
    fs::path folder;
    fs::path model;
    fs::path text;

    scratch() {
        std::string pattern = (fs::temp_directory_path() / "nullm-perplexity-XXXXXX").string();
        REQUIRE(mkdtemp(pattern.data()) != nullptr);
        folder = pattern;
        support::synthetic_spec spec;
        spec.context = 96;
        model = support::write_synthetic_checkpoint(spec, folder);
        text = folder / "text";
        std::ofstream(text, std::ios::binary) << words(1200);
    }
    scratch(const scratch&) = delete;
    scratch& operator=(const scratch&) = delete;
    ~scratch() { fs::remove_all(folder); }

    static std::string words(std::size_t n) {
        std::string made;
        for (std::size_t i = 0; i < n; ++i) made += i % 7 == 6 ? '\n' : static_cast<char>('A' + i * i % 23);
        return made;
    }

    outcome run(const std::string& arguments) const {
        const fs::path out = folder / "out";
        const fs::path err = folder / "err";
        const std::string command =
            std::string(NULLM_PERPLEXITY) + " " + arguments + " >" + out.string() + " 2>" + err.string();
        const int status = std::system(command.c_str());
        return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, slurp(out), slurp(err)};
    }
    outcome on_text(const std::string& arguments) const {
        return run("--model " + model.string() + " " + text.string() + " " + arguments);
    }
};

}  // namespace

TEST_CASE("perplexity and top-1 are those of whole windows, each from an empty context", "[examples]") {
    const scratch here;
    const nullm::checkpoint file(here.model.string());
    const nullm::llama<nullm::native_linear<nullm::i8>, nullm::exact_attention<nullm::f16>> model(file);
    const nullm::tokenizer tokens(file.vocabulary());
    const auto ids = tokens.encode(slurp(here.text));
    constexpr std::size_t window = 64;
    constexpr std::size_t windows = 3;
    REQUIRE(ids.size() > windows * window);
    double surprisal = 0;
    std::size_t right = 0;
    std::size_t scored = 0;
    for (std::size_t w = 0; w < windows; ++w) {
        typename decltype(model)::state session(model, {.threads = 1});
        const auto logits = model.forward(session, std::span(ids).subspan(w * window, window), window);
        for (std::size_t p = 32; p + 1 < window; ++p) {
            const auto row = logits.row(p);
            const auto next = static_cast<std::size_t>(ids[w * window + p + 1]);
            double sum = 0;
            for (const float x : row) sum += std::exp(static_cast<double>(x) - row[next]);
            surprisal += std::log(sum);
            right += *std::max_element(row.begin(), row.end()) == row[next] ? 1U : 0U;
            ++scored;
        }
    }
    const auto seen = here.on_text("--window 64 --windows 3 --json");
    REQUIRE(seen.code == 0);
    CHECK(seen.err.empty());  // no progress where nobody looks
    const auto line = seen.line();
    CHECK(line.at("windows") == windows);
    CHECK(line.at("predictions") == scored);
    // Two orders of summing some 300 doubles each, 93 times.
    const double expected = std::exp(surprisal / static_cast<double>(scored));
    CHECK(line.at("model").at("perplexity").get<double>() == Approx(expected).epsilon(1e-12));
    CHECK(line.at("model").at("top1").get<double>() ==
          Approx(static_cast<double>(right) / static_cast<double>(scored)).epsilon(1e-12));
    CHECK_FALSE(line.contains("kl"));
}

TEST_CASE("the figures do not depend on the threads, and windows are pieces of one text", "[examples]") {
    const scratch here;
    const auto figures = [&](const std::string& arguments) {
        const auto seen = here.on_text("--window 80 --json --against-linear f32 " + arguments);
        REQUIRE(seen.code == 0);
        auto line = seen.line();
        line.erase("threads");
        line.at("model").erase("tokens_per_s");
        line.at("reference").erase("tokens_per_s");
        return line;
    };
    CHECK(figures("--threads 1") == figures("--threads 3"));
    const auto all = figures("--windows 0");
    CHECK(all.at("windows") == 15);  // 1200 tokens hold 15 windows of 80
    CHECK(all == figures(""));       // as many as there are, where 24 are not
    CHECK(all.at("predictions") == 15 * (80 - 1 - 32));
}

TEST_CASE("a model does not differ from itself, and NF4 differs more from the file than i16 does",
          "[examples]") {
    const scratch here;
    const auto against = [&](const std::string& arguments) {
        const auto seen = here.on_text("--window 64 --json " + arguments);
        REQUIRE(seen.code == 0);
        return seen.line();
    };
    const auto same = against("--arith i8 --against-arith i8");
    CHECK(std::abs(same.at("kl").get<double>()) < 1e-12);
    CHECK(same.at("agreement") == 1.0);
    CHECK(same.at("model").at("perplexity") == same.at("reference").at("perplexity"));
    const auto close = against("--arith i16 --against-arith f32 --against-kv f32");
    const auto far = against("--arith f32 --kv f32 --linear nf4 --against-linear native");
    CHECK(close.at("reference").at("arith") == "f32");
    CHECK(close.at("reference").at("kv") == "f32");
    CHECK(close.at("kl").get<double>() > 0);
    CHECK(far.at("kl").get<double>() > 10 * close.at("kl").get<double>());
    CHECK(far.at("agreement").get<double>() <= close.at("agreement").get<double>());
    const auto other_file = against("--against-model " + here.model.string());
    CHECK(std::abs(other_file.at("kl").get<double>()) < 1e-12);
}

TEST_CASE("as text it names both models and their figures", "[examples]") {
    const scratch here;
    const auto seen = here.on_text("--window 64 --windows 2 --against-arith f32");
    REQUIRE(seen.code == 0);
    for (const char* part :
         {"2 windows, 62 predictions", "weights native, arithmetic i8, cache f16", "perplexity", "top-1",
          "tokens/s", "against weights native, arithmetic f32", "KL", "agreement"}) {
        INFO(part);
        CHECK(seen.out.find(part) != std::string::npos);
    }
}

TEST_CASE("what cannot be measured is refused in one sentence", "[examples]") {
    const scratch here;
    const auto refused = [&](const outcome& seen, const std::string& part) {
        INFO(seen.err);
        CHECK(seen.code == 2);
        CHECK(seen.out.empty());
        CHECK(std::count(seen.err.begin(), seen.err.end(), '\n') == 1);
        CHECK(seen.err.find(part) != std::string::npos);
    };
    refused(here.on_text(""), "context of at most 96");  // windows of 512
    refused(here.on_text("--window 33"), "--window");
    refused(here.on_text("--window 64 --linear f32 --arith i8"), "f32");
    refused(here.on_text("--window 64 --against-arith i4"), "--against-arith");
    const fs::path brief = here.folder / "brief";
    std::ofstream(brief) << scratch::words(63);
    refused(here.run("--model " + here.model.string() + " --window 64 " + brief.string()),
            "at least one window of 64 tokens, found 63");
    refused(here.run("--model " + here.model.string() + " " + (here.folder / "none").string()),
            "readable file");
    refused(here.run("--model " + here.text.string() + " " + here.text.string()), "GGUF");
    support::synthetic_spec wider;
    wider.name = "wider";
    wider.vocabulary = 600;  // merges of letters
    std::ofstream(brief) << "the same letters are other tokens there";
    const auto other = support::write_synthetic_checkpoint(wider, here.folder);
    std::ofstream(here.text, std::ios::app) << slurp(brief);
    refused(here.on_text("--window 64 --against-model " + other.string()), "a tokenizer that reads the text");
}

TEST_CASE("on the reference model integers stay close to floats", "[examples][model]") {
    const auto model = support::reference_model();
    if (!model) return;
    const scratch here;
    const auto seen =
        here.run("--model " + model->string() + " --arith i16 --window 256 --windows 1 --json --against-arith f32 " +
                 NULLM_PROMPTS_DIR + "/article.txt");
    REQUIRE(seen.code == 0);
    const auto line = seen.line();
    // Seen on 24 windows of WikiText-2: 29 for the model, and a KL below 1e-6 for i16.
    CHECK(line.at("model").at("perplexity").get<double>() > 1.5);
    CHECK(line.at("model").at("perplexity").get<double>() < 200);
    CHECK(line.at("kl").get<double>() < 1e-3);
    CHECK(line.at("agreement").get<double>() > 0.97);
}
