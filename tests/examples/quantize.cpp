// nullm_quantize, run as a user runs it: what it writes runs, and what fails leaves nothing.
#include <support/catch.hpp>
#include <support/synthetic_checkpoint.hpp>

#include <nullm/linear/nf4_codec.hpp>
#include <nullm/model/open_checkpoint.hpp>

#include <nlohmann/json.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

namespace {

namespace fs = std::filesystem;

std::string whole(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

struct outcome {
    int code;
    std::string out, err;
};

/// A model whose rows are whole blocks, and a text to calibrate on.
struct workshop {
    fs::path folder;
    fs::path model;
    fs::path text;

    explicit workshop(std::size_t layers = 2) {
        std::string pattern = (fs::temp_directory_path() / "nullm-quantize-XXXXXX").string();
        REQUIRE(mkdtemp(pattern.data()) != nullptr);
        folder = pattern;
        support::synthetic_spec spec;
        spec.mlp_width = 128;
        spec.layers = layers;
        model = support::write_synthetic_checkpoint(spec, folder);
        text = folder / "text";
        std::string words;
        for (std::size_t i = 0; i < 3000; ++i) words += i % 6 == 5 ? ' ' : static_cast<char>('a' + i * i % 23);
        std::ofstream(text, std::ios::binary) << words;
    }
    workshop(const workshop&) = delete;
    workshop& operator=(const workshop&) = delete;
    ~workshop() { fs::remove_all(folder); }

    outcome run(const std::string& program, const std::string& arguments, const std::string& before = "") const {
        const fs::path out = folder / "stdout";
        const fs::path err = folder / "stderr";
        const std::string command =
            before + program + " " + arguments + " >" + out.string() + " 2>" + err.string();
        const int status = std::system(command.c_str());
        return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, whole(out), whole(err)};
    }
    outcome quantize(const std::string& arguments, const std::string& before = "") const {
        return run(NULLM_QUANTIZE, "--model " + model.string() + " " + arguments, before);
    }
    std::string at(const char* name) const { return (folder / name).string(); }
    bool anything_like(const std::string& name) const {
        for (const auto& entry : fs::directory_iterator(folder)) {
            if (entry.path().filename().string().starts_with(name)) return true;
        }
        return false;
    }
};

}  // namespace

TEST_CASE("both kinds of output run, and compute the same", "[examples]") {
    const workshop here;
    for (const std::string how : {"--method absmax", "--method mse --nested", "--method calibrated --head nf4"}) {
        INFO(how);
        const std::string text = how.find("calibrated") == how.npos
                                     ? ""
                                     : " --calibration " + here.text.string() + " --window 64 --windows 8";
        const auto file = here.quantize(how + text + " --out " + here.at("m.safetensors"));
        REQUIRE(file.code == 0);
        CHECK((file.out + file.err).empty());
        REQUIRE(here.quantize(how + text + " --out " + here.at("m")).code == 0);
        std::string tokens[2];
        for (const char* made : {"m.safetensors", "m"}) {
            const auto seen = here.run(NULLM_GENERATE, "--model " + here.at(made) +
                                                           " --prompt abc --max-tokens 12 --policy dense --format jsonl");
            INFO(seen.err);
            CHECK(seen.code == 0);
            tokens[made[1] == '\0' ? 1 : 0] = seen.out.substr(0, seen.out.find("{\"summary"));  // which has times
        }
        CHECK_FALSE(tokens[0].empty());
        CHECK(tokens[0] == tokens[1]);
        fs::remove_all(here.folder / "m");
        fs::remove(here.folder / "m.safetensors");
    }
}

TEST_CASE("absmax writes the bytes that bitsandbytes' encoder gives for the rows in its order", "[examples]") {
    const workshop here;
    REQUIRE(here.quantize("--method absmax --out " + here.at("m.safetensors")).code == 0);
    const nullm::safetensors_file file(here.folder / "m.safetensors");
    const nullm::checkpoint original(here.model);
    nullm::thread_pool pool(1);
    for (const auto& t : nullm::llama_tensors(original.config())) {
        if (t.hf.find("_proj") == std::string::npos) continue;
        const auto view = original.tensor(t.gguf + ".weight", t.rows, t.cols);
        std::vector<float> rows(t.rows * t.cols);
        for (std::size_t r = 0; r < t.rows; ++r) {
            nullm::dequantize_row(view, r, std::span(rows).subspan(nullm::hf_row(r, t.head_rows) * t.cols, t.cols));
        }
        const auto expected = nullm::nf4_encode(rows, 64, pool);
        const auto found = nullm::gather_nf4(file, t.hf);
        CHECK(std::equal(found.packed.begin(), found.packed.end(), expected.packed.begin(), expected.packed.end()));
        CHECK(found.absmax == expected.absmax);
    }
}

TEST_CASE("the same text and seed give the same file on any number of threads", "[examples]") {
    const workshop here;
    const std::string sampled = " --window 48 --windows 3 --seed 7 --out ";
    for (const std::string& text : {std::string(), " --calibration " + here.text.string()}) {
        REQUIRE(here.quantize("--threads 1" + text + sampled + here.at("one.safetensors")).code == 0);
        REQUIRE(here.quantize("--threads 3" + text + sampled + here.at("three.safetensors")).code == 0);
        CHECK(whole(here.folder / "one.safetensors") == whole(here.folder / "three.safetensors"));
    }
    REQUIRE(here.quantize("--seed 8 --window 48 --windows 3 --out " + here.at("other.safetensors")).code == 0);
    REQUIRE(here.quantize("--seed 7 --window 48 --windows 3 --out " + here.at("one.safetensors")).code == 0);
    CHECK(whole(here.folder / "one.safetensors") != whole(here.folder / "other.safetensors"));
}

TEST_CASE("a full disk gives one sentence and no output", "[examples]") {
    const workshop here;
    for (const char* name : {"m.safetensors", "m"}) {
        // No file may grow beyond 16 kB (of two times 512 bytes each); the signal that says so is ignored.
        const auto seen = here.quantize("--method absmax --out " + here.at(name), "trap '' XFSZ; ulimit -f 32; ");
        CHECK(seen.code == 2);
        CHECK(seen.err.find("expected room for") != std::string::npos);
        CHECK(std::count(seen.err.begin(), seen.err.end(), '\n') == 1);
        CHECK_FALSE(here.anything_like("m.safetensors"));
        CHECK_FALSE(here.anything_like("m.part"));
        CHECK_FALSE(fs::exists(here.folder / "m"));
    }
    const auto device = here.quantize("--method absmax --out /dev/full");
    CHECK(device.code == 2);
    CHECK(std::count(device.err.begin(), device.err.end(), '\n') == 1);
}

TEST_CASE("a killed run leaves no output, and the older file as it was", "[examples]") {
    const workshop here(8);
    const fs::path out = here.folder / "m.safetensors";
    std::ofstream(out) << "older";
    // At moments spread over the run, the last ones behind its end.
    for (const int milliseconds : {5, 20, 60, 120, 250, 500}) {
        const pid_t child = ::fork();
        if (child == 0) {
            ::execl(NULLM_QUANTIZE, NULLM_QUANTIZE, "--model", here.model.c_str(), "--method", "mse", "--out",
                    out.c_str(), static_cast<char*>(nullptr));
            ::_exit(127);
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
        ::kill(child, SIGKILL);
        int status = 0;
        ::waitpid(child, &status, 0);
        if (whole(out) == "older") continue;
        // The run was over, or at its very end: then the file is whole.
        const nullm::checkpoint model = nullm::open_checkpoint(out);
        CHECK(model.config().layers == 8);
        std::ofstream(out) << "older";
    }
}

TEST_CASE("what cannot work is refused before the work", "[examples]") {
    const workshop here;
    const auto refused = [&](const std::string& arguments, const std::string& part) {
        const auto seen = here.quantize(arguments);
        INFO(seen.err);
        CHECK(seen.code == 2);
        CHECK(seen.err.find(part) != std::string::npos);
        CHECK_FALSE(fs::exists(here.folder / "m.safetensors"));
    };
    const std::string out = " --out " + here.at("m.safetensors");
    refused("--method absmax --out " + here.at("nowhere/m.safetensors"), "a place in a folder that is there");
    refused("--method absmax --calibration " + here.text.string() + out, "--method calibrated");
    refused("--method fp4" + out, "absmax");
    refused("--calibration " + here.at("no-text") + out, "a readable file");
    refused("--calibration " + here.text.string() + " --window 30000" + out, "at least one window of 30000");
    REQUIRE(here.quantize("--method absmax --out " + here.at("done.safetensors")).code == 0);
    const auto again = here.run(NULLM_QUANTIZE, "--model " + here.at("done.safetensors") + " --method mse" + out);
    CHECK(again.code == 2);
    CHECK(again.err.find("weights that are not NF4 yet") != std::string::npos);
    REQUIRE(here.quantize("--method absmax --out " + here.at("folder")).code == 0);
    refused("--method absmax --out " + here.at("folder"), "a folder that is empty or not there");
}
