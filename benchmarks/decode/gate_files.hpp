#pragma once
// The CSV files of gate_quality: figures as tidy rows, the dense results, and a passage spike by spike.

#include "dense_pass.hpp"
#include "gate_figures.hpp"

#include <nullm/core/error.hpp>
#include <nullm/spike/gate.hpp>
#include <nullm/text/tokenizer.hpp>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace decode {

/// A file of comma-separated rows; throws nullm::error if it cannot be written.
class csv_file {
 public:
    csv_file(const std::filesystem::path& path, std::string_view heading) : path_(path), out_(path) {
        out_ << heading << '\n';
        check();
    }

    template <class... Fields>
    void row(const Fields&... fields) {
        const char* separator = "";
        ((out_ << separator, put(fields), separator = ","), ...);
        out_ << '\n';
    }
    void close() {
        out_.flush();
        check();
    }

 private:
    void put(double x) {
        char text[32];
        std::snprintf(text, sizeof text, "%.7g", x);
        out_ << text;
    }
    void put(float x) { put(static_cast<double>(x)); }
    void put(std::string_view text) {
        if (text.find_first_of(",\"\n\r") == std::string_view::npos) {
            out_ << text;
            return;
        }
        out_ << '"';
        for (const char c : text) out_ << (c == '"' ? "\"\"" : std::string_view(&c, 1));
        out_ << '"';
    }
    void put(const std::string& text) { put(std::string_view(text)); }
    void put(const char* text) { put(std::string_view(text)); }
    template <class Integer>
    requires std::is_integral_v<Integer>
    void put(Integer n) { out_ << +n; }
    void check() const {
        if (!out_) throw nullm::error(path_.string(), "a file that can be written", "none");
    }

    std::filesystem::path path_;
    std::ofstream out_;
};

inline constexpr std::string_view dense_heading = "token,surprisal_nats,right,confidence,scored";

inline void write_dense(const std::filesystem::path& path, std::span<const token_id> text,
                        const dense_results& dense) {
    csv_file file(path, dense_heading);
    for (std::size_t p = 0; p < text.size(); ++p) {
        file.row(text[p], dense.surprisal[p], dense.right[p], dense.confidence[p], dense.scored[p]);
    }
    file.close();
}

/// What write_dense() wrote of the same text. Throws nullm::error if it is of another one.
inline dense_results read_dense(const std::filesystem::path& path, std::span<const token_id> text) {
    std::ifstream file(path);
    std::string line;
    if (!std::getline(file, line) || line != dense_heading) {
        throw nullm::error(path.string(), "a file of dense results", "none");
    }
    dense_results dense;
    dense.resize(text.size());
    for (std::size_t p = 0; p < text.size(); ++p) {
        token_id token = -1;
        float surprisal = 0, confidence = 0;
        int right = 0, scored = 0;
        std::getline(file, line);
        if (std::sscanf(line.c_str(), "%d,%f,%d,%f,%d", &token, &surprisal, &right, &confidence, &scored) !=
                5 ||
            token != text[p]) {
            throw nullm::error(path.string(), "results of this text",
                               "others at position " + std::to_string(p));
        }
        dense.surprisal[p] = surprisal;
        dense.confidence[p] = confidence;
        dense.right[p] = right != 0 ? 1 : 0;
        dense.scored[p] = scored != 0 ? 1 : 0;
    }
    return dense;
}

/// A passage of `length` tokens from position `first` on, with the gate's spikes at each as digits of 0 and
/// 1; the gate has read what stands before it. For gates with one encoder step.
template <class G>
void write_raster(const std::filesystem::path& path, const G& gate, std::span<const token_id> text,
                  const nullm::tokenizer& tokens, std::size_t first, std::size_t length) {
    csv_file file(path, "position,token,rate,theta,fire,spikes");
    auto state = gate.initial();
    for (std::size_t p = 0; p < std::min(first + length, text.size()); ++p) {
        const auto said = gate.step(state, {.token = text[p], .position = static_cast<std::int64_t>(p)});
        gate.settle(state, text[p], said.fire);
        if (p < first) continue;
        std::string spikes;
        for (std::size_t i = 0; i < state.lines.spiked.size(); ++i)
            spikes += state.lines.spiked[i] ? '1' : '0';
        file.row(p, tokens.piece(text[p]), said.rate, said.theta, said.fire ? 1 : 0, spikes);
    }
    file.close();
}

}  // namespace decode
