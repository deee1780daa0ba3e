// nullm_calibrate, run as a user runs it, and its files given to the programs that read them.
#include <support/catch.hpp>
#include <support/synthetic_checkpoint.hpp>

#include <nullm/io/gate_file.hpp>

#include <nlohmann/json.hpp>

#include <sys/wait.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace {

namespace fs = std::filesystem;

std::string content(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

struct outcome {
    int code;
    std::string out, err;
};

/// A model, and a text of words, names, digits and stops in two halves that are the same.
struct workplace {
    fs::path folder;
    fs::path model;
    fs::path half;
    fs::path text;

    workplace() {
        std::string pattern = (fs::temp_directory_path() / "nullm-calibrate-XXXXXX").string();
        REQUIRE(mkdtemp(pattern.data()) != nullptr);
        folder = pattern;
        model = support::write_synthetic_checkpoint({}, folder);
        half = write("half", prose(900) + "\n");
        text = write("text", content(half) + content(half));
    }
    workplace(const workplace&) = delete;
    workplace& operator=(const workplace&) = delete;
    ~workplace() { fs::remove_all(folder); }

    static std::string prose(std::size_t n) {
        std::string made;
        for (std::size_t i = 0; i < n; ++i) {
            const std::size_t at = i * i + i / 7;
            made += i % 9 == 8    ? '.'
                    : i % 31 == 0 ? static_cast<char>('0' + at % 10)
                                  : static_cast<char>((i % 5 == 0 ? 'A' : 'a') + at % 26);
        }
        return made;
    }
    fs::path write(const std::string& name, const std::string& text_of_it) const {
        std::ofstream(folder / name, std::ios::binary) << text_of_it;
        return folder / name;
    }
    outcome run(const std::string& program, const std::string& arguments) const {
        const fs::path out = folder / "out";
        const fs::path err = folder / "err";
        const std::string command = program + " --model " + model.string() + " " + arguments + " >" +
                                    out.string() + " 2>" + err.string();
        const int status = std::system(command.c_str());
        return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, content(out), content(err)};
    }
    outcome calibrate(const std::string& arguments) const { return run(NULLM_CALIBRATE, arguments); }
    /// How often nullm_read says NULL in the first half of the text, and of how many positions.
    std::pair<std::size_t, std::size_t> nulls_of_read(const std::string& arguments) const {
        const auto seen = run(NULLM_READ, half.string() + " --format jsonl " + arguments);
        INFO(seen.err);
        REQUIRE(seen.code == 0);
        std::istringstream lines(seen.out);
        std::string last;
        for (std::string line; std::getline(lines, line);) last = line;
        const auto summary = nlohmann::json::parse(last).at("summary");
        return {summary.at("null"), summary.at("positions")};
    }
};

}  // namespace

TEST_CASE("a reader with the written gate skips what calibration said", "[examples][calibrate]") {
    const workplace here;
    const auto gate = here.folder / "gate.json";
    for (const std::string how : {"", "--reprogrammed", "--surprise-weight 0"}) {
        INFO(how);
        const auto made =
            here.calibrate(here.text.string() + " --target-skip 0.5 -o " + gate.string() + " " + how);
        INFO(made.err);
        REQUIRE(made.code == 0);
        const auto written = nullm::read_gate_file(gate);
        REQUIRE(written.fit);
        CHECK(written.fit->target_skip == 0.5);
        CHECK(std::abs(written.fit->skip - 0.5) < 0.05);
        CHECK(written.threshold.kind == (how == "--reprogrammed" ? "reprogrammed" : "fixed"));
        CHECK(written.drive.at("surprise_weight") == (how == "--surprise-weight 0" ? 0.0F : 0.4F));
        const auto [nulls, positions] = here.nulls_of_read("--gate-file " + gate.string());
        CHECK(positions == written.fit->positions);
        CHECK(written.fit->skip == static_cast<double>(nulls) / static_cast<double>(positions));
    }
}

TEST_CASE("a gate that adapts starts where calibration left it", "[examples][calibrate]") {
    const workplace here;
    const auto gate = here.folder / "gate.json";
    const auto fixed = here.folder / "fixed.json";
    for (const std::string how : {"", "--reprogrammed"}) {
        INFO(how);
        const std::string asked = here.text.string() + " --target-skip 0.7 " + how + " -o ";
        REQUIRE(here.calibrate(asked + gate.string() + " --adapt").code == 0);
        REQUIRE(here.calibrate(asked + fixed.string()).code == 0);
        const auto adapting = nullm::read_gate_file(gate);
        CHECK(adapting.threshold.kind == (how.empty() ? "target_rate" : "reprogrammed_target_rate"));
        CHECK(adapting.threshold.at("target") == 0.3F);
        CHECK(adapting.threshold.at(how.empty() ? "initial" : "theta") ==
              nullm::read_gate_file(fixed).threshold.at("theta"));
        const auto [nulls, positions] = here.nulls_of_read("--gate-file " + gate.string());
        CHECK(std::abs(static_cast<double>(nulls) / static_cast<double>(positions) - 0.7) < 0.1);
    }
}

TEST_CASE("the same gate comes from a file and from its theta", "[examples][calibrate]") {
    const workplace here;
    const auto gate = here.folder / "gate.json";
    REQUIRE(here.calibrate(here.text.string() + " --target-skip 0.6 -o " + gate.string()).code == 0);
    std::ostringstream theta;
    theta.precision(9);
    theta << nullm::read_gate_file(gate).threshold.at("theta");
    const std::string common = here.text.string() + " --format jsonl --max-pending 50 --seed 3";
    const auto by_file = here.run(NULLM_READ, common + " --gate-file " + gate.string());
    const auto by_theta = here.run(NULLM_READ, common + " --theta " + theta.str());
    REQUIRE(by_file.code == 0);
    const auto steps = [](const std::string& lines) { return lines.substr(0, lines.find("{\"summary\"")); };
    CHECK_FALSE(steps(by_file.out).empty());
    CHECK(steps(by_file.out) == steps(by_theta.out));
}

TEST_CASE("what is kept grows with the share that fires, and is told of the half not seen",
          "[examples][calibrate]") {
    const workplace here;
    const auto told = here.calibrate(here.text.string() + " --target-skip 0.6");
    REQUIRE(told.code == 0);
    std::istringstream lines(told.out.substr(told.out.find("skip wanted")));
    std::string line;
    std::getline(lines, line);
    std::vector<double> fired;
    while (std::getline(lines, line) && !line.empty()) {
        std::replace(line.begin(), line.end(), '%', ' ');
        std::istringstream row(line);
        double wanted = 0, theta = 0, all = 0, rare = 0;
        REQUIRE(row >> wanted >> theta >> all >> rare);
        CHECK(std::abs(100 - wanted - all) < 15);
        CHECK((rare >= 0 && rare <= 100));
        CHECK((fired.empty() || all <= fired.back()));
        fired.push_back(all);
    }
    CHECK(fired.size() == 9);
    CHECK(told.out == here.calibrate(here.text.string() + " --target-skip 0.6").out);
}

TEST_CASE("a writer takes a gate file and writes the dense text", "[examples][calibrate]") {
    const workplace here;
    const auto gate = here.folder / "gate.json";
    REQUIRE(here.calibrate(here.text.string() + " --target-skip 0.7 -o " + gate.string()).code == 0);
    const std::string prompt = "--prompt 'abcabcabcabcab' --max-tokens 24 ";
    const auto gated = here.run(NULLM_GENERATE, prompt + "--gate-file " + gate.string());
    INFO(gated.err);
    REQUIRE(gated.code == 0);
    CHECK(gated.out == here.run(NULLM_GENERATE, prompt + "--policy dense").out);
}

TEST_CASE("gate files and options that cannot be meant are refused in one sentence",
          "[examples][calibrate]") {
    const workplace here;
    const auto gate = here.folder / "gate.json";
    REQUIRE(here.calibrate(here.text.string() + " -o " + gate.string()).code == 0);
    const std::string good = content(gate);
    const auto with = [&](const std::string& name, const std::string& part, const std::string& other) {
        std::string changed = good;
        changed.replace(changed.find(part), part.size(), other);
        return here.write(name, changed).string();
    };
    const auto other_model = with("other.json", "\"synthetic\"", "\"another\"");
    const auto unknown = with("unknown.json", "\"fixed\"", "\"magic\"");
    const auto cut = here.write("cut.json", good.substr(0, good.size() / 2)).string();
    const auto short_text = here.write("short", std::string(399, '1')).string();
    const auto bad_text = here.write("bad", workplace::prose(500) + "\xC3\x28").string();
    const std::string text = here.text.string();
    const std::string from_file = " --gate-file " + gate.string();
    const struct {
        std::string program, arguments, mentions;
    } cases[] = {
        {NULLM_CALIBRATE, "", "corpus"},
        {NULLM_CALIBRATE, "/nowhere.txt", "/nowhere.txt"},
        {NULLM_CALIBRATE, text + " --target-skip 1.5", "target-skip"},
        {NULLM_CALIBRATE, text + " --target-skip nan", "target_skip"},
        {NULLM_CALIBRATE, text + " --surprise-weight 2", "surprise-weight"},
        {NULLM_CALIBRATE, short_text, "at least 400 tokens, found 399"},
        {NULLM_CALIBRATE, bad_text, "UTF-8"},
        {NULLM_READ, text + from_file + " --theta 0.3", "--gate-file"},
        {NULLM_READ, text + from_file + " --gate open", "--gate-file"},
        {NULLM_READ, text + from_file + " --target-skip 0.5", "--gate-file"},
        {NULLM_READ, text + " --gate-file /nowhere.json", "/nowhere.json"},
        {NULLM_READ, text + " --gate-file " + other_model, "other.json: model"},
        {NULLM_READ, text + " --gate-file " + unknown, "unknown.json: threshold: kind"},
        {NULLM_READ, text + " --gate-file " + cut, "cut.json"},
        {NULLM_READ, text + " --gate-file " + here.model.string(), "65536 bytes"},
        {NULLM_READ, text + from_file + " --on line", "--gate-file"},
        {NULLM_GENERATE, "--prompt x --policy seed-literal" + from_file, "--gate-file"},
        {NULLM_GENERATE, "--prompt x --theta 0.4" + from_file, "--gate-file"},
    };
    for (const auto& [program, arguments, mentions] : cases) {
        INFO(program << ' ' << arguments);
        const auto refused = here.run(program, arguments);
        CHECK(refused.code == 2);
        INFO(refused.err);
        CHECK(std::count(refused.err.begin(), refused.err.end(), '\n') == 1);
        CHECK(refused.err.find(mentions) != std::string::npos);
    }
    // A file that cannot be written is said so, and nothing else is left there.
    const auto unwritable = here.calibrate(text + " -o " + (here.folder / "no" / "gate.json").string());
    CHECK(unwritable.code == 2);
    CHECK(unwritable.err.find("gate.json") != std::string::npos);
}
