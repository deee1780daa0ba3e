#include <nullm/io/gate_file.hpp>

#include <io/refusal.hpp>
#include <io/scratch_directory.hpp>
#include <support/catch.hpp>

#include <algorithm>
#include <fstream>
#include <iterator>

using nullm::gate_description;
using support::contains;
using support::refusal;

namespace {

gate_description example() {
    return {.model = "a model",
            .drive = {"quiet", {{"surprise_weight", 0.4}}},
            .threshold = {"fixed", {{"theta", 0.28}}},
            .fit = nullm::gate_fit{.target_skip = 0.6, .skip = 0.5975, .positions = 20000, .seed = 7}};
}

/// The example's text with a part replaced, and what reading it says.
std::string reading_with(const std::string& part, const std::string& other) {
    std::string text = nullm::gate_text(example());
    const auto at = text.find(part);
    REQUIRE(at != std::string::npos);
    text.replace(at, part.size(), other);
    return refusal([&] { nullm::parse_gate(text, "g.json"); });
}

std::string content(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("a gate that was written is read as it was", "[io][gate_file]") {
    const support::scratch_directory here;
    const auto path = here.path() / "gate.json";
    auto gate = example();
    nullm::write_gate_file(path, gate);
    CHECK(nullm::read_gate_file(path) == gate);
    gate.fit.reset();
    gate.model = "\xE2\x88\x85 \"quoted\"\n";
    gate.drive.numbers["surprise_weight"] = 0;
    gate.threshold = {"target_rate", {{"target", 0.4}, {"initial", 0.3}}};
    nullm::write_gate_file(path, gate);  // over the older one
    CHECK(nullm::read_gate_file(path) == gate);
    CHECK(std::distance(std::filesystem::directory_iterator(here.path()), {}) == 1);
}

TEST_CASE("a theta is written as briefly as its float, and read as the same", "[io][gate_file]") {
    for (const float theta : {0.28F, 0.1F, 1.0F / 3, 0.24414063F, 0.0F, 1.0F}) {
        auto gate = example();
        gate.threshold.numbers["theta"] = nullm::shortest_double(theta);
        CHECK(nullm::parse_gate(nullm::gate_text(gate), "g").threshold.at("theta") == theta);
    }
    auto gate = example();
    gate.threshold.numbers["theta"] = nullm::shortest_double(0.28F);
    CHECK(contains(nullm::gate_text(gate), "\"theta\": 0.28\n"));
}

TEST_CASE("a key that is unknown, missing, double or of another type is refused by name", "[io][gate_file]") {
    const struct {
        std::string part, other, says;
    } cases[] = {
        {"\"seed\": 7", "\"seed\": 7, \"speed\": 1", "g.json: fit: expected no other keys, found \"speed\""},
        {"\"model\"", "\"modal\"", "g.json: model: expected a value, found none"},
        {"\"nullm_gate\": 1,", "\"nullm_gate\": 1, \"note\": 0,", "found \"note\""},
        {"\"kind\": \"fixed\",", "\"kind\": \"fixed\", \"gain\": 0,",
         "g.json: threshold: expected no other keys, found \"gain\""},
        {"\"kind\": \"fixed\"", "\"kind\": \"target_rate\"",
         "g.json: threshold: target: expected a value, found none"},
        {"\"kind\": \"quiet\"", "\"kind\": \"loud\"", "g.json: drive: kind: expected quiet, found \"loud\""},
        {"\"kind\": \"quiet\"", "\"kind\": 3", "g.json: drive: kind: expected a string, found 3"},
        {"\"nullm_gate\": 1", "\"nullm_gate\": 2", "g.json: nullm_gate: expected version 1, found 2"},
        {"\"nullm_gate\": 1", "\"nullm_gate\": 1.0",
         "g.json: nullm_gate: expected a whole number below 2^64, found 1.0"},
        {"\"theta\": 0.28", "\"theta\": \"0.28\"",
         "g.json: threshold: theta: expected a number from 0.0 to 1.0, found \"0.28\""},
        {"\"theta\": 0.28", "\"theta\": 1.5",
         "g.json: threshold: theta: expected a number from 0.0 to 1.0, found 1.5"},
        {"\"theta\": 0.28", "\"theta\": null", "found null"},
        {"\"theta\": 0.28", "\"theta\": [0.28]", "found an array"},
        {"\"theta\": 0.28", "\"theta\": 1e999", "a double's range"},
        {"\"theta\": 0.28", "\"theta\": NaN", "g.json, byte "},
        {"\"theta\": 0.28", "\"theta\": 0.28, \"theta\": 0.3",
         "expected every key once, found \"theta\" twice"},
        {"\"positions\": 20000", "\"positions\": -1",
         "g.json: fit: positions: expected a whole number below 2^64, found -1"},
        {"\"positions\": 20000", "\"positions\": 18446744073709551616", "positions"},
        {"\"target_skip\": 0.6", "\"target_skip\": -0.1", "g.json: fit: target_skip"},
        {"\"target_skip\": 0.6", "\"target_skip\": {\"deep\": {}}", "at most 2 levels"},
        {"\"a model\"", "[]", "g.json: model: expected a string, found an array"},
        {"\"a model\"", "\"\xFF\"", "UTF-8"},
    };
    for (const auto& [part, other, says] : cases) {
        INFO(other);
        const std::string said = reading_with(part, other);
        INFO(said);
        CHECK(contains(said, says));
    }
    for (const char* text : {"", "[]", "7", "{", "{}", "{\"nullm_gate\": 1}", "{} {}"}) {
        INFO(text);
        CHECK(contains(refusal([&] { nullm::parse_gate(text, "g.json"); }), "g.json"));
    }
}

TEST_CASE("a file cut at any byte, or too long, is refused", "[io][gate_file]") {
    const std::string text = nullm::gate_text(example());
    for (std::size_t n = 0; n + 2 < text.size(); ++n) {  // the last two bytes are "}\n"
        INFO(n);
        CHECK_FALSE(refusal([&] { nullm::parse_gate(text.substr(0, n), "g.json"); }).empty());
    }
    CHECK(contains(refusal([&] { nullm::parse_gate(text + std::string(70000, ' '), "g.json"); }),
                   "65536 bytes"));
    CHECK(contains(refusal([&] { nullm::parse_gate(std::string(60000, '['), "g.json"); }), "levels"));
    const support::scratch_directory here;
    std::ofstream(here.path() / "long.json") << text << std::string(70000, ' ');
    CHECK(contains(refusal([&] { nullm::read_gate_file(here.path() / "long.json"); }),
                   "long.json: expected at most 65536 bytes"));
    CHECK(contains(refusal([&] { nullm::read_gate_file(here.path() / "none.json"); }), "none.json"));
    CHECK(contains(refusal([&] { nullm::read_gate_file(here.path()); }), here.path().string()));
}

TEST_CASE("a description that no file may hold is not written, and what was there stays", "[io][gate_file]") {
    const support::scratch_directory here;
    const auto path = here.path() / "gate.json";
    nullm::write_gate_file(path, example());
    const std::string before = content(path);
    std::vector<gate_description> wrong(5, example());
    wrong[0].drive.kind = "loud";
    wrong[1].threshold.numbers["theta"] = 2;
    wrong[2].threshold.numbers.clear();
    wrong[3].drive.numbers["extra"] = 0;
    wrong[4].model = "\xC3\x28";
    for (const auto& gate : wrong) {
        CHECK_THROWS_AS(nullm::write_gate_file(path, gate), nullm::error);
        CHECK(content(path) == before);
    }
}
