#pragma once
// What the comparisons of readers and of writers share: options, the loaded model, how figures are printed.

#include "../../examples/chosen_model.hpp"
#include "../support/measure.hpp"

#include <nullm/core/error.hpp>
#include <nullm/core/token.hpp>
#include <nullm/generate/session.hpp>
#include <nullm/model/checkpoint.hpp>
#include <nullm/spike/draft_gate.hpp>
#include <nullm/spike/quiet_gate.hpp>
#include <nullm/spike/thresholds.hpp>
#include <nullm/text/tokenizer.hpp>

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdio>
#include <fstream>
#include <ostream>
#include <string>
#include <vector>

namespace decode {

using cli::chosen_model;
using json = nlohmann::ordered_json;
using measure::median;
using nullm::token_id;

struct settings {
    cli::options model;
    std::string prompts;  // folder
    std::string write_prompts;
    std::string corpus;
    std::vector<double> skips;
    std::vector<float> thetas;
    float price = nullm::draft_drive_params{}.price;  // of the writer's gate
    std::size_t positions = 2000;
    unsigned repeats = 5;
    bool no_writer = false;
    bool no_check = false;
    bool no_lengths = false;
    bool json = false;
    std::string save;  // file for the lines of --json, beside the tables
};

/// What every comparison runs on.
struct bench {
    const settings& chosen;
    const nullm::checkpoint& file;
    const nullm::tokenizer& tokens;
    const chosen_model& model;
    nullm::quiet_gate example;  // with parts that are costly to make; any theta
    std::ofstream& saved;

    nullm::quiet_gate gate(float theta) const {
        return {example.drive(), example.encoder(), example.neuron(), nullm::fixed_threshold(theta)};
    }
    /// Queries before `sample_from` attend exactly, if the model's attention samples.
    chosen_model::state state(std::size_t context, std::size_t sample_from = 0) const {
        return chosen_model::state(
            model, {.threads = chosen.model.threads, .context = context, .sample_from = sample_from});
    }
};

inline void print(const json& line) {
    std::printf("%s\n", line.dump().c_str());
    std::fflush(stdout);
}

/// A result as a line of JSON: printed with --json, kept with --save.
inline void note(const bench& on, const json& line) {
    if (on.saved.is_open() && !(on.saved << line.dump() << std::endl)) {
        throw nullm::error(on.chosen.save, "a file that can be written", "none");
    }
    if (on.chosen.json) print(line);
}

/// "1.93 (1.90-1.95)": median and range.
inline std::string spread(const std::vector<double>& values) {
    char text[64];
    std::snprintf(text, sizeof text, "%.2f (%.2f-%.2f)", median(values), measure::quantile(values, 0),
                  measure::quantile(values, 1));
    return text;
}

inline std::vector<double> ratios(const std::vector<double>& over, const std::vector<double>& under) {
    std::vector<double> all(over.size());
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = over[i] / under[i];
    return all;
}

}  // namespace decode
