// expect: TruncatesCache
#include <nullm/generate/drafter.hpp>
#include <nullm/generate/sampler.hpp>
#include <nullm/generate/writer.hpp>
#include <nullm/spike/gates.hpp>

struct append_only {  // a wrong draft could not be taken back
    struct state {};
    using snapshot = int;
    nullm::matrix_view<const float> forward(state&, std::span<const nullm::token_id>, std::size_t) const { return {}; }
    std::size_t length(const state&) const { return 0; }
    std::size_t vocabulary() const { return 1; }
    std::size_t context(const state&) const { return 1; }
    snapshot save(const state&) const { return 0; }
    void restore(state&, const snapshot&) const {}
};
using mine = nullm::basic_writer<append_only, nullm::always_open, nullm::ngram_drafter, nullm::greedy>;
