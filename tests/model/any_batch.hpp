#pragma once
// A position's logits have the same bits alone, in any batch, after any rewind, on any threads and
// instruction set: the check, for any linear layer and attention.

#include <nullm/attention/exact_attention.hpp>
#include <nullm/attention/lsh_attention.hpp>
#include <nullm/model/llama.hpp>

#include <model/llama_fixture.hpp>
#include <support/catch.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace llama_fixture {

using nullm::isa;
using nullm::tensor_type;

// Linear layers load and their inputs start at this instruction set: a llama has no argument for it. Norms,
// angles and the cache's stores stay at active_isa(); the hashes in llama*.cpp, with NULLM_ISA set, compare
// those.
inline isa level_under_test = isa::scalar;

/// A linear layer whose kernels are those of level_under_test.
template <class L>
class leveled : public L {
 public:
    struct input : L::input {
        input() { this->level = level_under_test; }
    };
    static leveled from(std::span<const nullm::tensor_view> parts, nullm::thread_pool& pool,
                        nullm::weight_arena& arena) {
        return leveled(L::from(parts, pool, arena, level_under_test));
    }
    static leveled from(std::span<const nullm::tensor_view> parts, nullm::thread_pool& pool) {
        return leveled(L::from(parts, pool, level_under_test));
    }

 private:
    explicit leveled(L&& made) : L(std::move(made)) {}
};

/// Samples in the second layer, from position 105 on.
struct small_lsh : nullm::lsh_attention<nullm::lsh_shape{.bits = 4, .tables = 16}> {
    small_lsh() {
        sampler.min_indexed = 90;
        sampler.merge_at = 70;
        sinks = 3;
        window = 13;
        dense_every = 2;
    }
};

template <class T>
void run_at(nullm::exact_attention<T>& how, isa level) {
    how.level = level;
}
inline void run_at(small_lsh& how, isa level) {
    how.level = how.sampler.level = level;
}

/// Every format the file may have but F32, several in one stack; the last tile of the head is not full.
inline synthetic_spec mixed_formats() {
    synthetic_spec spec;
    spec.name = "mixed formats";
    spec.vocabulary = 325;
    spec.context = 600;
    spec.types.query = tensor_type::q8_0;
    spec.types.key = tensor_type::q4_0;
    spec.types.value = tensor_type::f16;
    spec.types.output = tensor_type::bf16;
    spec.types.gate = tensor_type::q4_1;
    spec.types.up = tensor_type::q8_0;
    spec.types.down = tensor_type::q4_0;
    return spec;
}
inline synthetic_spec one_format(tensor_type type) {
    synthetic_spec spec;
    spec.name = name_of(type);
    spec.context = 600;
    spec.types = support::synthetic_types::all(type);
    return spec;
}

/// A session of one model: the checks are compiled once, for all models.
struct session {
    virtual ~session() = default;
    virtual void truncate(std::size_t n) = 0;
    virtual nullm::matrix_view<const float> forward(std::span<const token_id> tokens) = 0;
};
using start_session = std::unique_ptr<session>(const nullm::checkpoint& file, isa level, unsigned threads);

template <class Linear, class Attention>
std::unique_ptr<session> start(const nullm::checkpoint& file, isa level, unsigned threads) {
    using model_type = nullm::llama<leveled<Linear>, Attention>;
    struct started final : session {
        started(const nullm::checkpoint& from, const Attention& how, unsigned number)
            : model(from, {.threads = 1}, how), state(model, {.threads = number}) {}
        void truncate(std::size_t n) override { model.truncate(state, n); }
        nullm::matrix_view<const float> forward(std::span<const token_id> tokens) override {
            return model.forward(state, tokens, tokens.size());
        }
        model_type model;
        typename model_type::state state;
    };
    level_under_test = level;
    Attention how;
    run_at(how, level);
    return std::make_unique<started>(file, how, threads);
}

inline bool same_bits(nullm::matrix_view<const float> logits, std::span<const float> expected) {
    return same_bits(std::span<const float>{logits.data, logits.rows * logits.cols}, expected);
}

// The best level runs every batch on every number of threads; the others, whose threads share the work in the
// same way, on one.
inline void check_any_batch(const synthetic_spec& spec, start_session* start_one) {
    INFO(spec.name);
    constexpr std::size_t border = 256;  // of a chunk of the cache
    const synthetic made(spec);
    const auto tokens = random_tokens(540, spec.vocabulary);
    const auto others = random_tokens(16, spec.vocabulary, 1);
    const std::span<const token_id> all(tokens);
    const isa best = nullm::active_isa();

    std::vector<float> expected;
    const auto alone = start_one(made.file, best, 1);
    for (std::size_t p = 0; p < all.size(); ++p) {
        const auto logits = alone->forward(all.subspan(p, 1)).row(0);
        expected.insert(expected.end(), logits.begin(), logits.end());
    }
    const auto rows = [&](std::size_t first, std::size_t count) {
        return std::span<const float>(expected).subspan(first * spec.vocabulary, count * spec.vocabulary);
    };

    for (const isa level : {isa::scalar, isa::avx2, isa::avx512, isa::vnni}) {
        if (level > best) continue;
        for (unsigned threads = 1; threads <= (level == best ? 3U : 1U); ++threads) {
            INFO(name_of(level) << ", " << threads << " threads");
            const auto one = start_one(made.file, level, threads);
            // A prompt, in as many passes as the model takes.
            const std::size_t prompt = threads == 1 ? 300 : 540;
            CHECK(same_bits(one->forward(all.first(prompt)), rows(0, prompt)));
            // Batches over the border, each after a rewind, every other one after a rewind of other tokens.
            for (std::size_t m = 1; m <= 16; ++m) {
                INFO("a batch of " << m);
                const std::size_t first = border - m / 2;
                one->truncate(first);
                if (m % 2 == 0) {
                    one->forward(std::span(others).first(m));
                    one->truncate(first);
                }
                CHECK(same_bits(one->forward(all.subspan(first, m)), rows(first, m)));
            }
        }
    }
}

}  // namespace llama_fixture
