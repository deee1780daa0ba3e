#include <nullm/attention/exact_attention.hpp>
#include <nullm/linear/native_linear.hpp>
#include <nullm/model/llama.hpp>

#include <support/catch.hpp>
#include <support/golden.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

// SmolLM2-135M-Instruct against transformers (tests/golden/smollm2_reference.json). Needs the model file's
// path in the environment variable NULLM_MODEL.

namespace {

using nullm::token_id;

template <class Arithmetic, class T>
using native_model = nullm::llama<nullm::native_linear<Arithmetic>, nullm::exact_attention<T>>;

const char* model_path() {
    const char* path = std::getenv("NULLM_MODEL");
    if (path == nullptr) WARN("skipped: NULLM_MODEL does not name the model file");
    return path;
}

token_id largest(std::span<const float> logits) {
    return static_cast<token_id>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

// Prompts followed by what the reference said to them, for teacher forcing.
std::vector<std::vector<token_id>> texts(const nlohmann::json& reference) {
    std::vector<std::vector<token_id>> all;
    for (const auto& entry : reference["cases"]) {
        auto text = entry["ids"].get<std::vector<token_id>>();
        for (const auto& token : entry["greedy_48"]) text.push_back(token.get<token_id>());
        all.push_back(text);
    }
    return all;
}

// Logits of every position of every text.
template <class M>
std::vector<std::vector<float>> teacher_forced(const M& model,
                                               const std::vector<std::vector<token_id>>& all) {
    typename M::state state(model);
    std::vector<std::vector<float>> rows;
    for (const auto& text : all) {
        model.truncate(state, 0);
        const auto logits = model.forward(state, text, text.size());
        for (std::size_t r = 0; r < logits.rows; ++r)
            rows.emplace_back(logits.row(r).begin(), logits.row(r).end());
    }
    return rows;
}

// Mean over the rows of KL(softmax(p) || softmax(q)), in nats.
double mean_divergence(const std::vector<std::vector<float>>& p, const std::vector<std::vector<float>>& q) {
    double sum = 0;
    for (std::size_t r = 0; r < p.size(); ++r) {
        const double p_top = *std::max_element(p[r].begin(), p[r].end());
        const double q_top = *std::max_element(q[r].begin(), q[r].end());
        double p_total = 0;
        double q_total = 0;
        for (std::size_t t = 0; t < p[r].size(); ++t) {
            p_total += std::exp(p[r][t] - p_top);
            q_total += std::exp(q[r][t] - q_top);
        }
        const double shift = (q_top + std::log(q_total)) - (p_top + std::log(p_total));
        for (std::size_t t = 0; t < p[r].size(); ++t) {
            sum += std::exp(p[r][t] - p_top) / p_total * (static_cast<double>(p[r][t]) - q[r][t] + shift);
        }
    }
    return sum / static_cast<double>(p.size());
}

// Wherever the reference prefers its token by more than `margin`, the other rows must prefer it too.
void check_agreement(const std::vector<std::vector<float>>& reference,
                     const std::vector<std::vector<float>>& rows, float margin) {
    std::size_t decided = 0;
    std::size_t wrong = 0;
    for (std::size_t r = 0; r < rows.size(); ++r) {
        auto sorted = reference[r];
        std::nth_element(sorted.begin(), sorted.begin() + 1, sorted.end(), std::greater<>());
        if (sorted[0] - sorted[1] <= margin) continue;
        ++decided;
        wrong += largest(rows[r]) != largest(reference[r]) ? 1U : 0U;
    }
    INFO(decided << " of " << rows.size() << " positions are decided by more than " << margin);
    CHECK(decided > rows.size() / 3);
    CHECK(wrong == 0);
}

}  // namespace

TEST_CASE("SmolLM2 in float arithmetic is the transformers model", "[model]") {
    const char* path = model_path();
    if (path == nullptr) return;
    const auto reference = golden::read_json("smollm2_reference.json");
    const nullm::checkpoint file{std::string(path)};
    const native_model<nullm::f32, float> model(file);
    native_model<nullm::f32, float>::state state(model);
    for (const auto& entry : reference["cases"]) {
        INFO(entry["prompt"]);
        model.truncate(state, 0);
        const auto ids = entry["ids"].get<std::vector<token_id>>();
        const auto logits = model.forward(state, ids, ids.size());
        const auto last = logits.row(ids.size() - 1);
        double worst = 0;
        for (std::size_t i = 0; i < 10; ++i) {
            const auto token = entry["last_top10_ids"][i].get<std::size_t>();
            worst = std::max(worst, std::fabs(last[token] - entry["last_top10_logits"][i].get<double>()));
        }
        CHECK(worst < 2e-3);
        for (std::size_t r = 0; r < ids.size(); ++r) {
            CHECK(largest(logits.row(r)) == entry["per_position_argmax"][r].get<token_id>());
        }

        const auto expected = entry["greedy_48"].get<std::vector<token_id>>();
        std::vector<token_id> greedy = {largest(last)};
        while (greedy.size() < expected.size()) {
            const token_id next = greedy.back();
            greedy.push_back(largest(model.forward(state, {&next, 1}, 1).row(0)));
        }
        CHECK(greedy == expected);
    }
}

TEST_CASE("integer arithmetic on SmolLM2 agrees with float where the model is sure", "[model]") {
    const char* path = model_path();
    if (path == nullptr) return;
    const auto all = texts(golden::read_json("smollm2_reference.json"));
    const nullm::checkpoint file{std::string(path)};
    const auto expected = teacher_forced(native_model<nullm::f32, float>(file), all);

    const auto half = teacher_forced(native_model<nullm::f32, nullm::f16>(file), all);
    const auto i16 = teacher_forced(native_model<nullm::i16, nullm::f16>(file), all);
    const auto i8 = teacher_forced(native_model<nullm::i8, nullm::f16>(file), all);
    check_agreement(expected, half, 0.2F);
    check_agreement(expected, i16, 0.2F);
    check_agreement(expected, i8, 1.0F);
    std::cout << "SmolLM2, " << expected.size() << " positions, mean KL from f32 with a float cache, in nats:"
              << " f32 with f16 cache " << mean_divergence(expected, half) << ", i16 "
              << mean_divergence(expected, i16) << ", i8 " << mean_divergence(expected, i8) << '\n';
}
