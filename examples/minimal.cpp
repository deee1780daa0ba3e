// Answers a prompt. A NULL (∅) is a position at which the model was not run; what it skipped is settled in one pass.
#include <nullm/nullm.hpp>

#include <iostream>

struct mine {  // one decision a line; replace any with a type of your own
    using linear = nullm::native_linear<nullm::i8>;
    using attention = nullm::exact_attention<nullm::f16>;
    using drive = nullm::draft_drive;
    using encoder = nullm::poisson_encoder;
    using neuron = nullm::relay_neuron;
    using threshold = nullm::fixed_threshold;
    using drafter = nullm::ngram_drafter;
    using sampler = nullm::greedy;
};
static_assert(nullm::Policy<mine>);

int main(int argc, char** argv) {
    if (argc != 3) return std::cerr << "usage: minimal MODEL.gguf PROMPT\n", 2;
    const nullm::checkpoint file(argv[1]);
    const nullm::tokenizer words(file.vocabulary());
    const nullm::model_of<mine> model(file);
    const auto gate = nullm::make_gate<mine>(file, words, {.theta = 0.5F});
    auto writer = nullm::write<mine>(model, gate, words.encode(argv[2]), {.max_tokens = 48});
    while (!writer.finished()) {
        const nullm::step step = writer.next();
        for (const auto& [position, token] : step.settled) std::cout << words.piece(token);
        std::cout << (step.token ? words.piece(*step.token) : "∅") << std::flush;
    }
}
