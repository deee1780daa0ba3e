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
                              "--attention lsh", "--linear nf4 --attention lsh --kv bf16", "--arith i8 --kv f32"}) {
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
    const std::string prompt =
        "--prompt-file " + here.file("long", text).string() + " --max-tokens 200 --format jsonl --stats --attention lsh ";
    const auto gated = generate(here, prompt + "--policy long-context --gate random --theta 0.3");
    REQUIRE(gated.code == 0);
    CHECK(gated.err.find("attention lsh") != std::string::npos);
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
        {NULLM_GENERATE, "--model " + here.model.string() + " --prompt x --attention sketch", "sketch"},
        {NULLM_GENERATE, "--model " + here.model.string() + " --prompt x --linear f32 --arith i8", "--arith f32"},
        {NULLM_GENERATE, "--model " + here.model.string() + " --prompt x --context 97", "context"},
        {NULLM_GENERATE, "--model " + here.model.string() + " --prompt ''", "prompt"},
        {NULLM_GENERATE, "--model " + here.model.string() + " --prompt-file " + long_prompt.string(), "prompt"},
        {NULLM_GENERATE, "--model " + here.model.string() + " --prompt-file " + bad_utf8.string(), "UTF-8"},
        {NULLM_READ, "--model " + here.model.string() + " " + bad_utf8.string(), "UTF-8"},
        {NULLM_READ, "--model " + here.model.string() + " /nowhere.txt", "/nowhere.txt"},
        {NULLM_READ, "--model " + here.model.string() + " - --target-skip 2 </dev/null", "target-skip"},
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
