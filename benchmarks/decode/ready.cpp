// From the file to the first token's logits, each time in a process of its own: seconds and memory.
//   ready --model FILE [--linear native|nf4|f32] [--arith i8|i16|f32] [--kv f16|bf16|f32] [--threads N]
//   [--repeats N]
//         [--text] [--json]
// --text makes the tokenizer and the quiet policy's gate as well, as nullm_generate does.
// The first process is not counted: it leaves the file in the page cache. Seconds run from the start of
// main() to the file checked, the weights repacked and the logits; "process" is from the fork to the report.
// Memory is the peak of RssAnon of /proc/self/status: pages that belong to no file, so the mapped weights do
// not count, whatever the page cache keeps of them. Linux keeps no peak of that (VmHWM counts the file's
// pages), so a thread reads it every millisecond; a spike shorter than that may be missed.

#include "../../examples/chosen_model.hpp"
#include "../../examples/command_line.hpp"
#include "../support/measure.hpp"

#include <nullm/attention/kv_cache.hpp>
#include <nullm/core/half.hpp>
#include <nullm/core/isa.hpp>
#include <nullm/generate/session.hpp>
#include <nullm/text/tokenizer.hpp>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

struct settings {
    cli::options model;
    unsigned repeats = 7;
    bool text = false;
    bool json = false;
    int report_to = -1;  // a child's pipe
};

/// Anonymous resident memory of this process in bytes, read without allocating; 0 where the system does not
/// tell.
std::size_t anonymous_bytes() {
    char text[4096];
    const int file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    const ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    if (length <= 0) return 0;
    text[length] = '\0';
    const char* found = std::strstr(text, "RssAnon:");
    return found == nullptr ? 0 : std::strtoull(found + 8, nullptr, 10) * 1024;
}

/// Looks every millisecond while it lives.
class peak_memory {
 public:
    peak_memory() : before_(anonymous_bytes()), watcher_([this] { watch(); }) {}
    ~peak_memory() { stop(); }
    /// Bytes at the start, and at the highest.
    std::size_t before() const { return before_; }
    std::size_t stop() {
        stopped_ = true;
        if (watcher_.joinable()) watcher_.join();
        return highest_;
    }

 private:
    void watch() {
        do {
            highest_ = std::max(highest_, anonymous_bytes());
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        } while (!stopped_);
        highest_ = std::max(highest_, anonymous_bytes());
    }

    std::atomic<bool> stopped_{false};
    std::size_t highest_ = 0;
    std::size_t before_;
    std::thread watcher_;
};

/// What a child found, as it passes through the pipe. Seconds from main() on.
struct found {
    double checked;       // until the file was open and its weights checked
    double loaded;        // until they were repacked
    double logits;        // until the first token's logits
    double ready;         // until the tokenizer and gate were there, too, with --text
    std::size_t peak;     // bytes of anonymous memory
    std::size_t before;   // of those, at the start of main()
    std::size_t weights;  // bytes repacked
    std::size_t cache;    // bytes of keys and values allocated
    std::uint64_t hash;   // of the logits
};

template <class T>
std::size_t cache_bytes(const nullm::llama_config& c) {
    nullm::kv_cache<T> cache({.layers = c.layers, .kv_heads = c.kv_heads, .head_size = c.head_size}, 1);
    cache.prepare(1);
    return cache.allocated_bytes();
}

found load_once(const settings& chosen) {
    const auto start = measure::now();
    peak_memory memory;
    const nullm::checkpoint file(chosen.model.model);
    found result{};
    result.checked = measure::since(start);
    const cli::chosen_model model = cli::load_model(chosen.model, file);
    result.loaded = measure::since(start);
    cli::chosen_model::state session(model, {.threads = chosen.model.threads});
    const nullm::token_id first = 1;
    const auto logits = model.forward(session, {&first, 1}, 1);
    result.logits = measure::since(start);
    result.hash = measure::hash(logits[0], logits.cols);
    if (chosen.text) {
        const nullm::tokenizer words(file.vocabulary());
        const auto gate = nullm::make_gate<nullm::quiet>(file, words);
        result.ready = measure::since(start);
        result.peak = memory.stop();
    } else {
        result.ready = result.logits;
        result.peak = memory.stop();
    }
    result.before = memory.before();
    result.weights = model.weight_bytes();
    result.cache = chosen.model.cache == cli::cache::f32    ? cache_bytes<float>(file.config())
                   : chosen.model.cache == cli::cache::bf16 ? cache_bytes<nullm::bf16>(file.config())
                                                            : cache_bytes<nullm::f16>(file.config());
    return result;
}

/// Runs this program again with --report-to, and reads what it found. `seconds`: from the fork to the report.
found in_a_process(std::vector<std::string> arguments, double& seconds) {
    int ends[2];
    if (pipe(ends) != 0) throw std::runtime_error("no pipe");
    arguments.push_back("--report-to=" + std::to_string(ends[1]));
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);

    const auto start = measure::now();
    const pid_t child = fork();
    if (child < 0) throw std::runtime_error("no process");
    if (child == 0) {
        close(ends[0]);
        execv("/proc/self/exe", pointers.data());
        _exit(127);
    }
    close(ends[1]);
    found result{};
    std::size_t had = 0;
    while (had < sizeof result) {
        const ssize_t n = read(ends[0], reinterpret_cast<char*>(&result) + had, sizeof result - had);
        if (n <= 0) break;
        had += static_cast<std::size_t>(n);
    }
    seconds = measure::since(start);
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (had != sizeof result || status != 0)
        throw std::runtime_error("the process that loads the model failed");
    return result;
}

void report(const settings& chosen, const std::vector<found>& all, const std::vector<double>& process) {
    const auto column = [&](auto found::*field) {
        std::vector<double> values;
        for (const found& one : all) values.push_back(static_cast<double>(one.*field));
        return values;
    };
    const found& last = all.back();
    const auto kept = static_cast<double>(last.weights + last.cache);
    const double peak = measure::quantile(column(&found::peak), 1);
    if (chosen.json) {
        const nlohmann::ordered_json out{{"file", chosen.model.model},
                                         {"linear", name_of(chosen.model.linear)},
                                         {"arith", name_of(chosen.model.computes_in())},
                                         {"threads", chosen.model.threads},
                                         {"isa", std::string(name_of(nullm::active_isa()))},
                                         {"text", chosen.text},
                                         {"checked_s", column(&found::checked)},
                                         {"loaded_s", column(&found::loaded)},
                                         {"logits_s", column(&found::logits)},
                                         {"ready_s", column(&found::ready)},
                                         {"process_s", process},
                                         {"peak_bytes", column(&found::peak)},
                                         {"start_bytes", last.before},
                                         {"weight_bytes", last.weights},
                                         {"cache_bytes", last.cache},
                                         {"peak_ratio", peak / kept},
                                         {"hash", measure::hex(last.hash)}};
        std::printf("%s\n", out.dump().c_str());
        return;
    }
    const auto line = [](const char* what, const std::vector<double>& seconds) {
        std::printf("%-10s %7.3f s  (%.3f to %.3f)\n", what, measure::median(seconds),
                    measure::quantile(seconds, 0), measure::quantile(seconds, 1));
    };
    std::printf(
        "%s, linear %s, arithmetic %s, cache %s, kernels %s, %u threads (0: all), median of %zu processes\n",
        chosen.model.model.c_str(), name_of(chosen.model.linear), name_of(chosen.model.computes_in()),
        name_of(chosen.model.cache), std::string(name_of(nullm::active_isa())).c_str(), chosen.model.threads,
        all.size());
    line("checked", column(&found::checked));
    line("loaded", column(&found::loaded));
    line("logits", column(&found::logits));
    if (chosen.text) line("with text", column(&found::ready));
    line("process", process);
    std::printf(
        "memory     %7.1f MB at the highest, %.1f MB of weights + %.1f MB of cache: %.3f x; logits %s\n",
        peak * 1e-6, static_cast<double>(last.weights) * 1e-6, static_cast<double>(last.cache) * 1e-6,
        peak / kept, measure::hex(last.hash).c_str());
}

int run(const settings& chosen, const std::vector<std::string>& arguments) {
    if (chosen.report_to >= 0) {
        const found result = load_once(chosen);
        return write(chosen.report_to, &result, sizeof result) == sizeof result ? 0 : 1;
    }
    std::vector<found> all;
    std::vector<double> process;
    for (unsigned repeat = 0; repeat <= chosen.repeats; ++repeat) {
        double seconds = 0;
        const found one = in_a_process(arguments, seconds);
        if (repeat == 0) continue;  // the file may not have been in the page cache
        all.push_back(one);
        process.push_back(seconds);
    }
    report(chosen, all, process);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    settings chosen;
    CLI::App app("From the file to the first token's logits: seconds and memory.", "ready");
    cli::add_model_options(app, chosen.model);
    app.add_option("--repeats", chosen.repeats, "processes that are counted")->check(CLI::Range(1U, 1000U));
    app.add_flag("--text", chosen.text, "make the tokenizer and the gate, too");
    app.add_flag("--json", chosen.json, "one line for a script");
    app.add_option("--report-to", chosen.report_to, "")->group("");  // what it starts itself with
    CLI11_PARSE(app, argc, argv);
    try {
        return run(chosen, {argv, argv + argc});
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "ready: %s\n", failure.what());
        return 1;
    }
}
