// The command lines, run as a user runs them, on a synthetic checkpoint.
#include <support/catch.hpp>
#include <support/synthetic_checkpoint.hpp>

#include <nlohmann/json.hpp>

#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

struct scratch {
    fs::path folder;
    fs::path model;
    explicit scratch(std::size_t context = 96) {
        std::string pattern = (fs::temp_directory_path() / "nullm-cli-XXXXXX").string();
        REQUIRE(mkdtemp(pattern.data()) != nullptr);
        folder = pattern;
        support::synthetic_spec spec;
        spec.context = context;
        model = support::write_synthetic_checkpoint(spec, folder);
    }
    scratch(const scratch&) = delete;
    scratch& operator=(const scratch&) = delete;
    ~scratch() { fs::remove_all(folder); }

    fs::path file(const std::string& name, const std::string& content) const {
        std::ofstream(folder / name, std::ios::binary) << content;
        return folder / name;
    }
};

struct outcome {
    int code;
    std::string out, err;
    std::vector<nlohmann::json> lines() const {
        std::vector<nlohmann::json> all;
        std::istringstream text(out);
        for (std::string line; std::getline(text, line);) all.push_back(nlohmann::json::parse(line));
        return all;
    }
};

std::string slurp(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

outcome run(const scratch& here, const std::string& program, const std::string& arguments) {
    const fs::path out = here.folder / "out";
    const fs::path err = here.folder / "err";
    const std::string command = program + " " + arguments + " >" + out.string() + " 2>" + err.string();
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, slurp(out), slurp(err)};
}

outcome generate(const scratch& here, const std::string& arguments) {
    return run(here, NULLM_GENERATE, "--model " + here.model.string() + " " + arguments);
}
outcome read(const scratch& here, const std::string& arguments) {
    return run(here, NULLM_READ, "--model " + here.model.string() + " " + arguments);
}

}  // namespace

TEST_CASE("generate writes the same text under every gate, and says what it did", "[examples]") {
    const scratch here;
    const std::string prompt = "--prompt 'abcabcabcabcab' --max-tokens 24 --format jsonl ";
    const auto dense = generate(here, prompt + "--policy dense");
    REQUIRE(dense.code == 0);
    const auto expected = dense.lines().back().at("summary");
    CHECK(expected.at("passes") >= expected.at("positions"));
    for (const char* how : {"", "--gate random --theta 0.3", "--gate open", "--drafter ngram --max-pending 2",
                            "--explore 3 --max-silence 2"}) {
        INFO(how);
        const auto gated = generate(here, prompt + how);
        REQUIRE(gated.code == 0);
        const auto summary = gated.lines().back().at("summary");
        CHECK(summary.at("token_ids") == expected.at("token_ids"));
        CHECK(summary.at("text") == expected.at("text"));
        CHECK(summary.at("null").get<int>() + summary.at("emitted").get<int>() == summary.at("positions").get<int>());
    }
}

TEST_CASE("the lines of JSON tell the text position by position", "[examples]") {
    const scratch here;
    const auto gated = generate(here, "--prompt 'abcabcabcabcab' --max-tokens 24 --format jsonl --theta 0.9");
    REQUIRE(gated.code == 0);
    const auto lines = gated.lines();
    std::vector<int> ids;
    int nulls = 0;
    for (const auto& line : lines) {
        if (line.contains("settled")) {
            for (const auto& item : line.at("settled")) ids.push_back(item.at("token"));
        } else if (line.contains("position")) {
            if (line.at("token").is_null()) ++nulls;
            else ids.push_back(line.at("token"));
            CHECK(line.contains("rate"));
            CHECK(line.contains("theta"));
            CHECK((line.at("reason") == "none") == line.at("token").is_null());
        }
    }
    const auto summary = lines.back().at("summary");
    const auto final_ids = summary.at("token_ids").get<std::vector<int>>();
    REQUIRE(ids.size() >= final_ids.size());  // a stop token may follow
    ids.resize(final_ids.size());
    CHECK(ids == final_ids);
    CHECK(nulls == summary.at("null").get<int>() + summary.at("withdrawn").get<int>());
}

TEST_CASE("the literal policy is all NULL, as the original loop is", "[examples]") {
    const scratch here;
    const auto literal = generate(here, "--prompt abc --policy seed-literal --max-tokens 8 --format jsonl");
    REQUIRE(literal.code == 0);
    const auto summary = literal.lines().back().at("summary");
    CHECK(summary.at("null") == 8);
    CHECK(summary.at("passes") == 0);
    CHECK(summary.at("text") == "");
}

TEST_CASE("every kind of weights and attention writes the same text gated and dense", "[examples]") {
    const scratch here;
    const std::string prompt = "--prompt 'abcabcabcabcab' --max-tokens 24 --format jsonl ";
    for (const char* parts : {"--linear nf4", "--linear nf4 --arith i8", "--linear nf4 --arith f32 --kv f32", "--linear f32",
                              "--attention lsh", "--attention sketch", "--linear nf4 --attention lsh --kv bf16", "--arith i8 --kv f32"}) {
        INFO(parts);
        const auto dense = generate(here, prompt + parts + " --policy dense");
        REQUIRE(dense.code == 0);
        const auto gated = generate(here, prompt + parts + " --gate random --theta 0.3");
        REQUIRE(gated.code == 0);
        CHECK(gated.lines().back().at("summary").at("token_ids") == dense.lines().back().at("summary").at("token_ids"));
    }
    CHECK(generate(here, prompt + "--stats").err.find("attention exact") != std::string::npos);
}

TEST_CASE("a long context is sampled, by the seed, and gated writes what ungated does", "[examples]") {
    const scratch here(1400);  // sampled from position 863 on
    std::string text;
    for (int i = 0; text.size() < 1000; ++i) text += static_cast<char>('a' + i * i % 23);
    const std::string attention = GENERATE("lsh", "sketch");
    const std::string prompt = "--prompt-file " + here.file("long", text).string() +
                               " --max-tokens 200 --format jsonl --stats --attention " + attention + " ";
    const auto gated = generate(here, prompt + "--policy long-context --gate random --theta 0.3");
    REQUIRE(gated.code == 0);
    CHECK(gated.err.find("attention " + attention) != std::string::npos);
    CHECK(gated.err.find("sampled ") != std::string::npos);
    const auto dense = generate(here, prompt + "--policy dense");
    const auto ids = [](const outcome& run) { return run.lines().back().at("summary").at("token_ids"); };
    CHECK(ids(gated) == ids(dense));
}

TEST_CASE("output that cannot be written is a failure", "[examples]") {
    const scratch here;
    const std::string command = std::string(NULLM_GENERATE) + " --model " + here.model.string() +
                                " --prompt abc --tokenize >/dev/full 2>/dev/null";
    const int status = std::system(command.c_str());
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 1);
}

TEST_CASE("read answers where the gate fires, and whatever the chunking", "[examples]") {
    const scratch here;
    const auto text = here.file("text", "abcabcabc the quick brown fox. abcabcabc");
    const auto all = read(here, text.string() + " --policy dense --format jsonl");
    REQUIRE(all.code == 0);
    const auto dense = all.lines();
    const auto some = read(here, "- --gate random --theta 0.4 --format jsonl --max-pending 3 <" + text.string());
    REQUIRE(some.code == 0);
    const auto gated = some.lines();
    REQUIRE(gated.size() == dense.size());
    int silent = 0;
    for (std::size_t i = 0; i + 1 < dense.size(); ++i) {
        CHECK(gated[i].at("input") == dense[i].at("input"));
        if (gated[i].at("token").is_null()) ++silent;
        else CHECK(gated[i].at("token") == dense[i].at("token"));
    }
    CHECK(silent > 0);
    CHECK(gated.back().at("summary").at("null") == silent);
}

namespace {

/// A log whose lines repeat, one that does not, and some that a pattern asks for.
std::string small_log() {
    std::string text;
    for (int i = 0; i < 60; ++i) {
        text += "12:0" + std::to_string(i % 10) + " disk ok, " + std::to_string(i * 37 % 100) + " % used\n";
        if (i == 40) text += "#!? Zxq~ kernel vanished\n";
        if (i % 20 == 7) text += "12:09 FATAL disk gone\n";
    }
    return text;
}
std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

}  // namespace

TEST_CASE("read decides on lines or sentences, and answers as it would have there token by token", "[examples]") {
    const scratch here(2000);
    const std::string text = "One line. Two 3.5 sentences!\nA second line\nand, e.g., a third.\n";
    const auto file = here.file("text", text);
    const auto dense = read(here, file.string() + " --policy dense --format jsonl");
    REQUIRE(dense.code == 0);
    const auto tokens = dense.lines();
    const std::vector<std::vector<std::string>> expected = {
        {"One line. Two 3.5 sentences!\n", "A second line\n", "and, e.g., a third.\n"},
        {"One line.", "Two 3.5 sentences!", "A second line\nand, e.g., a third."}};
    for (const bool by_line : {true, false}) {
        const std::string on = by_line ? " --on line" : " --on sentence";
        for (const char* gate : {" --policy dense", " --gate random --theta 0.5 --seed 4", " --theta 0.3"}) {
            INFO(on << gate);
            const auto run = read(here, file.string() + on + gate + " --format jsonl --max-pending 5");
            REQUIRE(run.code == 0);
            const auto lines = run.lines();
            std::vector<std::string> spans;
            std::string joined;
            int answered = 0;
            for (std::size_t i = 0; i + 1 < lines.size(); ++i) {
                const auto& line = lines[i];
                const std::string span = line.at("span");
                joined += span;
                spans.push_back(span);
                if (!by_line) {  // whether a space goes with the next word is up to the vocabulary
                    spans.back().erase(0, spans.back().find_first_not_of(" \n"));
                    spans.back().erase(spans.back().find_last_not_of(" \n") + 1);
                }
                CHECK((line.at("fate") == "answered") == !line.at("token").is_null());
                if (line.at("token").is_null()) continue;
                ++answered;
                CHECK(line.at("token") == tokens[line.at("position").get<std::size_t>()].at("token"));
            }
            CHECK(spans == expected[by_line ? 0 : 1]);
            CHECK(joined == text);
            const auto summary = lines.back().at("summary");
            CHECK(summary.at("spans") == spans.size());
            CHECK(summary.at("kept") == spans.size());
            CHECK(summary.at("discarded") == 0);
            CHECK(summary.at("emitted") == answered);
            if (std::string(gate) == " --policy dense") CHECK(answered == 3);
        }
    }
}

TEST_CASE("a discard leaves what is new and what is never to be dropped, and says how much it left out", "[examples]") {
    const scratch here(2000);
    const auto log = here.file("log", small_log());
    const std::string how = log.string() + " --on line --discard --target-skip 0.8 --never-drop 'FATAL|panic' --stats";
    const auto run = read(here, how);
    REQUIRE(run.code == 0);
    const auto original = lines_of(small_log());
    std::size_t kept = 0, suppressed = 0, at = 0, fatal = 0;
    bool vanished = false;
    for (const std::string& line : lines_of(run.out)) {
        if (std::size_t n = 0; std::sscanf(line.c_str(), "[x%zu suppressed]", &n) == 1) {
            suppressed += n;
            at += n;
            continue;
        }
        REQUIRE(at < original.size());
        CHECK(line == original[at++]);  // in order, none changed
        ++kept;
        fatal += line.find("FATAL") != line.npos ? 1 : 0;
        vanished |= line.find("vanished") != line.npos;
    }
    CHECK(kept + suppressed == original.size());
    CHECK(suppressed > original.size() / 2);
    CHECK(fatal == 3);
    CHECK(vanished);
    CHECK(run.err.find("lossy") != std::string::npos);
    CHECK(run.err.find(std::to_string(kept) + " kept") != std::string::npos);

    const auto json = read(here, how + " --format jsonl");
    REQUIRE(json.code == 0);
    const auto summary = json.lines().back().at("summary");
    CHECK(summary.at("spans") == original.size());
    CHECK(summary.at("kept") == kept);
    CHECK(summary.at("dropped") == suppressed);
    CHECK(summary.at("spared").get<int>() >= 1);
    CHECK(summary.at("discarded").get<int>() > 0);
    int tokens = 0;
    for (const auto& line : json.lines()) {
        if (line.contains("fate") && line.at("fate") == "dropped") tokens += line.at("length").get<int>();
    }
    CHECK(summary.at("discarded") == tokens);
}

TEST_CASE("what a log's dropped lines leave is what the model is asked about at the end", "[examples]") {
    const scratch here(2000);
    const auto log = here.file("log", small_log());
    const std::string how = " --format jsonl --answer-end";
    const auto triaged = read(here, log.string() + " --on line --discard --gate random --theta 0.2 --seed 3" + how);
    REQUIRE(triaged.code == 0);
    std::string left;
    for (const auto& line : triaged.lines()) {
        if (line.contains("fate") && line.at("fate") != "dropped") left += line.at("span").get<std::string>();
    }
    REQUIRE(left.size() < small_log().size() / 2);
    const auto plain = read(here, here.file("left", left).string() + " --gate random --theta 0" + how);
    REQUIRE(plain.code == 0);
    const auto answer = [](const outcome& run) { return run.lines().end()[-2].at("token"); };
    CHECK_FALSE(answer(triaged).is_null());
    CHECK(answer(triaged) == answer(plain));
}

TEST_CASE("tokenize prints the ids and nothing else", "[examples]") {
    const scratch here;
    const auto ids = generate(here, "--prompt 'ab' --tokenize");
    REQUIRE(ids.code == 0);
    CHECK(nlohmann::json::parse(ids.out).is_array());
    CHECK(ids.err.empty());
}

TEST_CASE("bad usage and bad input end with one sentence and exit code 2", "[examples]") {
    const scratch here;
    const auto long_prompt = here.file("long", std::string(500, 'q'));
    const auto bad_utf8 = here.file("bad", "abc\xC3\x28");
    const std::string whole = slurp(here.model);
    const auto cut = here.file("cut.gguf", whole.substr(0, whole.size() / 2));
    const auto noise = here.file("noise.gguf", "this is no model");
    struct {
        std::string program, arguments, mentions;
    } const cases[] = {
        {NULLM_GENERATE, "--prompt x", "--model"},
        {NULLM_GENERATE, "--model " + here.model.string(), "--prompt"},
        {NULLM_GENERATE, "--model /nowhere.gguf --prompt x", "/nowhere.gguf"},
        {NULLM_GENERATE, "--model " + cut.string() + " --prompt x", "cut.gguf"},
        {NULLM_GENERATE, "--model " + noise.string() + " --prompt x", "noise.gguf"},
        {NULLM_GENERATE, "--model " + here.model.string() + " --prompt x --theta 1.5", "theta"},
        {NULLM_GENERATE, "--model " + here.model.string() + " --prompt x --theta nan", "theta"},
        {NULLM_GENERATE, "--model " + here.model.string() + " --prompt x --gate random --theta -0.1", "theta"},
        {NULLM_GENERATE, "--model " + here.model.string() + " --prompt x --temperature -1", "temperature"},
        {NULLM_GENERATE, "--model " + here.model.string() + " --prompt x --top-p 0", "top_p"},
        {NULLM_GENERATE, "--model " + here.model.string() + " --prompt x --policy loud", "loud"},
        {NULLM_GENERATE, "--model " + here.model.string() + " --prompt x --linear nf5", "nf5"},
        {NULLM_GENERATE, "--model " + here.model.string() + " --prompt x --policy seed-literal --gate open", "--gate"},
        {NULLM_GENERATE, "--model " + here.model.string() + " --prompt x --gate open --theta 0.3", "--theta"},
        {NULLM_READ, "--model " + here.model.string() + " - --policy dense --target-skip 0.5 </dev/null", "--target-skip"},
        {NULLM_GENERATE, "--model " + here.model.string() + " --prompt x --attention half", "half"},
        {NULLM_GENERATE, "--model " + here.model.string() + " --prompt x --linear f32 --arith i8", "--arith f32"},
        {NULLM_GENERATE, "--model " + here.model.string() + " --prompt x --context 97", "context"},
        {NULLM_GENERATE, "--model " + here.model.string() + " --prompt ''", "prompt"},
        {NULLM_GENERATE, "--model " + here.model.string() + " --prompt-file " + long_prompt.string(), "prompt"},
        {NULLM_GENERATE, "--model " + here.model.string() + " --prompt-file " + bad_utf8.string(), "UTF-8"},
        {NULLM_READ, "--model " + here.model.string() + " " + bad_utf8.string(), "UTF-8"},
        {NULLM_READ, "--model " + here.model.string() + " /nowhere.txt", "/nowhere.txt"},
        {NULLM_READ, "--model " + here.model.string() + " - --target-skip 2 </dev/null", "target-skip"},
        {NULLM_READ, "--model " + here.model.string() + " - --on word </dev/null", "word"},
        {NULLM_READ, "--model " + here.model.string() + " - --discard </dev/null", "--on line"},
        {NULLM_READ, "--model " + here.model.string() + " - --on token --discard </dev/null", "--on line"},
        {NULLM_READ, "--model " + here.model.string() + " - --on line --never-drop x </dev/null", "--discard"},
        {NULLM_READ, "--model " + here.model.string() + " - --on line --discard --never-drop '(' </dev/null",
         "regular expression"},
        {NULLM_READ, "--model " + here.model.string() + " - --on line --discard --never-drop '(a)\\1' </dev/null",
         "back-references"},
        {NULLM_READ, "--model " + here.model.string() + " - --on line --discard --never-drop '' </dev/null", "empty"},
    };
    for (const auto& [program, arguments, mentions] : cases) {
        INFO(program << ' ' << arguments);
        const auto refused = run(here, program, arguments);
        CHECK(refused.code == 2);
        CHECK(refused.out.empty());
        CHECK(std::count(refused.err.begin(), refused.err.end(), '\n') == 1);
        INFO(refused.err);
        CHECK(refused.err.find(mentions) != std::string::npos);
    }
}
