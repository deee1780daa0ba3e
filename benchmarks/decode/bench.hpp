#pragma once
// What the comparisons of readers and of writers share: options, the loaded model, how figures are printed.

#include "../../examples/chosen_model.hpp"
#include "../support/measure.hpp"

#include <nullm/core/token.hpp>
#include <nullm/generate/session.hpp>
#include <nullm/model/checkpoint.hpp>
#include <nullm/spike/draft_gate.hpp>
#include <nullm/spike/quiet_gate.hpp>
#include <nullm/text/tokenizer.hpp>

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdio>
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
    bool json = false;
};

/// What every comparison runs on.
struct bench {
    const settings& chosen;
    const nullm::checkpoint& file;
    const nullm::tokenizer& tokens;
    const chosen_model& model;
    nullm::importance_drive drive;

    nullm::quiet_gate gate(float theta) const { return nullm::make_quiet_gate(drive, {.theta = theta}); }
    chosen_model::state state(std::size_t context) const {
        return chosen_model::state(model, {.threads = chosen.model.threads, .context = context});
    }
};

inline void print(const json& line) {
    std::printf("%s\n", line.dump().c_str());
    std::fflush(stdout);
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
