// Uses the whole library, so that its object defines every weak symbol a consumer's would. See share_nothing.sh.
#include <nullm/nullm.hpp>

template class nullm::basic_writer<nullm::model_of<nullm::quiet>, nullm::gate_of<nullm::quiet>, nullm::ngram_drafter,
                                   nullm::temperature_sampler>;
template class nullm::basic_reader<nullm::model_of<nullm::quiet>, nullm::gate_of<nullm::quiet>, nullm::greedy>;

std::size_t use_everything(const char* path, const char* text) {
    const nullm::checkpoint file(path);
    const nullm::tokenizer words(file.vocabulary());
    const nullm::model_of<nullm::quiet> model(file);
    auto writer = nullm::write<nullm::quiet>(model, nullm::make_gate<nullm::quiet>(file, words), words.encode(text));
    while (!writer.finished()) writer.next();
    return writer.text().size();
}
