#pragma once
// From the command line's names to types, and what the programs do around the loop.

#include "chosen_gate.hpp"
#include "chosen_model.hpp"
#include "options.hpp"

#include <nullm/io/gate_file.hpp>
#include <nullm/model/open_checkpoint.hpp>
#include <nullm/nullm.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <thread>

namespace cli {

/// Refuses options that another one leaves nothing to do for.
inline void refuse_idle_options(const options& chosen) {
    const auto refuse = [](bool idle, const char* option, const char* expected, const char* found) {
        if (idle) throw nullm::error(option, expected, found);
    };
    if (chosen.policy == policy::seed_literal) {
        const char* const without =
            "a policy other than seed-literal, which has a gate of its own and no drafts";
        refuse(chosen.gate.has_value(), "--gate", without, "seed-literal");
        refuse(!chosen.gate_file.empty(), "--gate-file", without, "seed-literal");
        refuse(chosen.drafter.has_value(), "--drafter", without, "seed-literal");
        refuse(chosen.max_pending.has_value(), "--max-pending", without, "seed-literal");
        refuse(chosen.max_silence != 0, "--max-silence", without, "seed-literal");
        refuse(chosen.explore != 0, "--explore", without, "seed-literal");
        return;
    }
    if (!chosen.gate_file.empty()) {
        constexpr const char* without = "no other option of the gate beside the file";
        refuse(chosen.gate.has_value(), "--gate-file", without, "--gate");
        refuse(chosen.theta.has_value(), "--gate-file", without, "--theta");
        refuse(chosen.target_skip.has_value(), "--gate-file", without, "--target-skip");
    }
    const bool dense = chosen.policy == policy::dense;
    const gate used = chosen.gate.value_or(dense ? gate::open : gate::spike);
    refuse(chosen.theta && used == gate::open, "--theta", "a gate that can be shut", "an open one");
    refuse(chosen.theta && chosen.target_skip, "--theta", "--theta or --target-skip", "both");
    refuse(chosen.target_skip && used != gate::spike, "--target-skip", "the spiking gate",
           used == gate::open ? "an open one" : "a random one");
}

/// The drive a description names, over this vocabulary. A kind that gate_drives names is known here.
inline nullm::quiet_drive make_drive(const nullm::gate_part& part, const nullm::vocabulary_view& vocabulary) {
    return nullm::quiet_drive::build(vocabulary, {.surprise_weight = part.at("surprise_weight")});
}

/// Any threshold over the same drive.
template <nullm::Threshold T>
auto with_threshold(const nullm::quiet_drive& drive, T threshold) {
    return nullm::spike_gate(drive, nullm::poisson_encoder{}, nullm::quiet_neuron::build(drive.width()),
                             std::move(threshold));
}

/// The drive with the threshold a description names.
inline chosen_gate make_gate(const nullm::quiet_drive& drive, const nullm::gate_part& threshold,
                             const nullm::vocabulary_view& vocabulary) {
    if (threshold.kind == "fixed") {
        return chosen_gate(nullm::make_quiet_gate(drive, {.theta = threshold.at("theta")}));
    }
    if (threshold.kind == "target_rate") {
        return chosen_gate(
            with_threshold(drive, nullm::target_rate_threshold({.target = threshold.at("target"),
                                                                .initial = threshold.at("initial")})));
    }
    nullm::reprogrammed_params params{
        .theta = threshold.at("theta"), .termness = threshold.at("termness"), .homeostasis = std::nullopt};
    if (threshold.kind == "reprogrammed_target_rate") {
        params.homeostasis = nullm::homeostasis_params{.target = threshold.at("target")};
    }
    return chosen_gate(with_threshold(drive, nullm::reprogrammed_threshold::build(vocabulary, params)));
}

/// The gate of a file. Throws nullm::error if it was made for another model.
inline chosen_gate read_gate(const std::string& path, const nullm::checkpoint& file,
                             const nullm::tokenizer& tokens) {
    const nullm::gate_description gate = nullm::read_gate_file(path);
    if (gate.model != file.name()) {
        throw nullm::error(path + ": model",
                           nullm::in_quotes(file.name()) + ", as the checkpoint calls itself",
                           nullm::in_quotes(gate.model));
    }
    const auto vocabulary = nullm::vocabulary_of(file, tokens);
    return make_gate(make_drive(gate.drive, vocabulary), gate.threshold, vocabulary);
}

/// The gate the options ask for; `usual` and `theta` are what the policy and the program would take.
inline chosen_gate make_gate(const options& chosen, gate usual, float theta, const nullm::checkpoint& file,
                             const nullm::tokenizer& tokens) {
    if (!chosen.gate_file.empty()) return read_gate(chosen.gate_file, file, tokens);
    switch (chosen.gate.value_or(usual)) {
        case gate::open:
            return chosen_gate(nullm::always_open{});
        case gate::random:
            return chosen_gate(nullm::random_gate(chosen.theta.value_or(0.4F)));
        case gate::spike:
            break;
    }
    const auto vocabulary = nullm::vocabulary_of(file, tokens);
    const auto drive = nullm::quiet_drive::build(vocabulary);
    if (chosen.target_skip) {
        return chosen_gate(
            with_threshold(drive, nullm::target_rate_threshold({.target = 1.0F - *chosen.target_skip})));
    }
    return make_gate(drive, {"fixed", {{"theta", chosen.theta.value_or(theta)}}}, vocabulary);
}

inline std::string read_all(const std::string& path) {
    if (path == "-") return {std::istreambuf_iterator<char>(std::cin), {}};
    std::ifstream file(path, std::ios::binary);
    if (!file) throw nullm::error(path, "a readable file", "none");
    return {std::istreambuf_iterator<char>(file), {}};
}

inline double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// The first line of --stats: what was run, and on what.
inline std::string heading(const options& chosen, const nullm::checkpoint& file) {
    const unsigned threads =
        chosen.threads != 0 ? chosen.threads : std::max(1U, std::thread::hardware_concurrency());
    return "nullm: " + std::string(file.name()) + ", policy " + name_of(chosen.policy) + ", weights " +
           name_of(chosen.linear) + ", arithmetic " + name_of(chosen.computes_in()) + ", attention " +
           name_of(chosen.attends()) + ", cache " + name_of(chosen.cache) + ", kernels " +
           std::string(nullm::name_of(nullm::active_isa())) + ", " + std::to_string(threads) +
           (threads == 1 ? " thread" : " threads");
}

/// One line a reason that ran the model.
inline std::string wake_counts(const nullm::statistics& counts) {
    std::string line;
    for (std::size_t r = 0; r < counts.fires.size(); ++r) {
        if (counts.fires[r] == 0) continue;
        line += (line.empty() ? "" : ", ") + std::string(nullm::name_of(static_cast<nullm::wake_reason>(r))) +
                " " + std::to_string(counts.fires[r]);
    }
    return line.empty() ? "never" : line;
}

/// How much of the cache sampled attention has read: a line of --stats, if anything was sampled.
inline std::string sampling_line(const std::optional<nullm::sampling_counts>& counts) {
    if (!counts || counts->queries == 0) return {};
    return "  sampled " + std::to_string(counts->queries) + " queries of a head, which read " +
           std::to_string(static_cast<int>(100 * counts->share_read() + 0.5)) + " % of the keys below them\n";
}

/// Tokens as valid UTF-8, whatever bytes they are cut at.
inline std::string text_of(const nullm::tokenizer& tokens, std::span<const nullm::token_id> ids) {
    nullm::stream_decoder decoder(tokens);
    std::string text;
    for (const nullm::token_id id : ids) text += decoder.push(id);
    return text + decoder.finish();
}

/// A step as a line of JSON; `text` is what its token adds to the text.
inline nlohmann::ordered_json to_json(const nullm::step& step, const std::string& text) {
    nlohmann::ordered_json line{{"position", step.position}, {"token", nullptr}, {"text", nullptr}};
    if (step.token) {
        line["token"] = *step.token;
        line["text"] = text;
    }
    line["rate"] = step.rate;
    line["theta"] = step.theta;
    line["reason"] = nullm::name_of(step.reason);
    return line;
}

/// Runs a program's body; errors become one sentence and an exit code: 2 for what was asked or given, 1
/// otherwise.
template <class Body>
int guarded(const char* program, CLI::App& app, int argc, char** argv, Body body) {
    try {
        app.parse(argc, argv);
        body();
        if (!std::cout.flush()) throw std::runtime_error("standard output cannot be written");
        return 0;
    } catch (const CLI::Success& request) {  // --help
        return app.exit(request);
    } catch (const CLI::ParseError& wrong) {
        std::cerr << program << ": " << wrong.what() << " (see --help)\n";
        return 2;
    } catch (const nullm::error& wrong) {
        std::cerr << program << ": " << wrong.what() << '\n';
        return 2;
    } catch (const std::exception& failure) {
        std::cerr << program << ": " << failure.what() << '\n';
        return 1;
    }
}

}  // namespace cli
