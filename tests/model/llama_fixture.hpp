#pragma once
// What the llama tests share: small checkpoints in memory, runs in batches, and the paper in double
// precision.

#include <nullm/attention/exact_attention.hpp>
#include <nullm/core/random.hpp>
#include <nullm/model/llama.hpp>

#include <support/catch.hpp>
#include <support/same_bits.hpp>
#include <support/synthetic_checkpoint.hpp>

#include <bit>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace llama_fixture {

using nullm::token_id;
using support::same_bits;
using support::synthetic_spec;

template <class Linear, class T = nullm::f16>
using model_of = nullm::llama<Linear, nullm::exact_attention<T>>;

// A checkpoint in memory.
struct synthetic {
    explicit synthetic(const synthetic_spec& spec)
        : bytes(support::synthetic_checkpoint(spec)), file(bytes, spec.name) {}
    support::bytes bytes;
    nullm::checkpoint file;
};

inline std::vector<token_id> random_tokens(std::size_t count, std::size_t vocabulary, std::int64_t seed = 0) {
    std::vector<token_id> tokens(count);
    for (std::size_t i = 0; i < count; ++i) {
        const nullm::draw_key key{.seed = 5, .position = seed};
        tokens[i] = static_cast<token_id>(nullm::draw_u32(key, static_cast<std::uint32_t>(i)) % vocabulary);
    }
    return tokens;
}

// Runs the tokens in batches of m from where the cache ends, and returns all their logits.
template <class M>
std::vector<float> run(const M& model, typename M::state& state, std::span<const token_id> tokens,
                       std::size_t m) {
    std::vector<float> all;
    for (std::size_t first = 0; first < tokens.size(); first += m) {
        const auto part = tokens.subspan(first, std::min(m, tokens.size() - first));
        const auto logits = model.forward(state, part, part.size());
        for (std::size_t r = 0; r < logits.rows; ++r)
            all.insert(all.end(), logits.row(r).begin(), logits.row(r).end());
    }
    return all;
}

/// FNV-1a of the bits: one number that compilers, flags and instruction sets must agree on.
inline std::uint64_t hash_bits(std::span<const float> values) {
    std::uint64_t hash = 0xCBF29CE484222325U;
    for (const float value : values) {
        const auto bits = std::bit_cast<std::uint32_t>(value);
        for (unsigned shift = 0; shift < 32; shift += 8)
            hash = (hash ^ ((bits >> shift) & 0xFFU)) * 0x100000001B3U;
    }
    return hash;
}

using vector = std::vector<double>;

// The llama paper in double precision, one position at a time, nothing shared with the library but the
// weights' bytes.
class reference {
 public:
    explicit reference(const nullm::checkpoint& file) : file_(file), c_(file.config()) {}

    std::vector<vector> logits(std::span<const token_id> tokens) {
        std::vector<std::vector<vector>> keys(c_.layers);
        std::vector<std::vector<vector>> values(c_.layers);
        std::vector<vector> all;
        for (std::size_t p = 0; p < tokens.size(); ++p) {
            vector x = row("token_embd.weight", c_.vocabulary, c_.width, static_cast<std::size_t>(tokens[p]));
            for (std::size_t l = 0; l < c_.layers; ++l) {
                const std::string at = "blk." + std::to_string(l) + ".";
                const std::size_t q_width = c_.heads * c_.head_size;
                const std::size_t kv_width = c_.kv_heads * c_.head_size;
                const vector n = norm(x, at + "attn_norm.weight");
                vector q = times(at + "attn_q.weight", q_width, n);
                vector k = times(at + "attn_k.weight", kv_width, n);
                turn(q, p);
                turn(k, p);
                keys[l].push_back(k);
                values[l].push_back(times(at + "attn_v.weight", kv_width, n));
                add(x, times(at + "attn_output.weight", c_.width, attend(q, keys[l], values[l])));
                const vector h = norm(x, at + "ffn_norm.weight");
                vector gate = times(at + "ffn_gate.weight", c_.mlp_width, h);
                const vector up = times(at + "ffn_up.weight", c_.mlp_width, h);
                for (std::size_t i = 0; i < gate.size(); ++i)
                    gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
                add(x, times(at + "ffn_down.weight", c_.width, gate));
            }
            const vector n = norm(x, "output_norm.weight");
            all.push_back(times(c_.tied_head ? "token_embd.weight" : "output.weight", c_.vocabulary, n));
        }
        return all;
    }

 private:
    vector row(const std::string& name, std::size_t rows, std::size_t cols, std::size_t r) const {
        std::vector<float> floats(cols);
        nullm::dequantize_row(file_.tensor(name, rows, cols), r, floats);
        return {floats.begin(), floats.end()};
    }
    vector times(const std::string& name, std::size_t rows, const vector& x) const {
        vector y(rows);
        for (std::size_t r = 0; r < rows; ++r) {
            const vector w = row(name, rows, x.size(), r);
            for (std::size_t i = 0; i < x.size(); ++i) y[r] += w[i] * x[i];
        }
        return y;
    }
    vector norm(const vector& x, const std::string& name) const {
        double squares = 0;
        for (const double value : x) squares += value * value;
        vector y = row(name, 1, x.size(), 0);
        for (std::size_t i = 0; i < x.size(); ++i) {
            y[i] *= x[i] /
                    std::sqrt(squares / static_cast<double>(x.size()) + static_cast<double>(c_.rms_epsilon));
        }
        return y;
    }
    void turn(vector& x, std::size_t position) const {
        for (std::size_t first = 0; first < x.size(); first += c_.head_size) {
            for (std::size_t i = 0; i < c_.rope_size; i += 2) {
                const double angle = static_cast<double>(position) *
                                     std::pow(static_cast<double>(c_.rope_base),
                                              -static_cast<double>(i) / static_cast<double>(c_.rope_size));
                const double a = x[first + i];
                const double b = x[first + i + 1];
                x[first + i] = a * std::cos(angle) - b * std::sin(angle);
                x[first + i + 1] = a * std::sin(angle) + b * std::cos(angle);
            }
        }
    }
    vector attend(const vector& q, const std::vector<vector>& keys, const std::vector<vector>& values) const {
        vector o(q.size());
        for (std::size_t head = 0; head < c_.heads; ++head) {
            const std::size_t kv = head / (c_.heads / c_.kv_heads) * c_.head_size;
            vector weight(keys.size());
            double total = 0;
            for (std::size_t j = 0; j < keys.size(); ++j) {
                double score = 0;
                for (std::size_t d = 0; d < c_.head_size; ++d)
                    score += q[head * c_.head_size + d] * keys[j][kv + d];
                weight[j] = std::exp(score / std::sqrt(static_cast<double>(c_.head_size)));
                total += weight[j];
            }
            for (std::size_t j = 0; j < keys.size(); ++j) {
                for (std::size_t d = 0; d < c_.head_size; ++d) {
                    o[head * c_.head_size + d] += weight[j] / total * values[j][kv + d];
                }
            }
        }
        return o;
    }
    static void add(vector& x, const vector& y) {
        for (std::size_t i = 0; i < x.size(); ++i) x[i] += y[i];
    }

    const nullm::checkpoint& file_;
    const nullm::llama_config& c_;
};

// Largest difference of any logit from the reference.
template <class Linear>
double worst_error(const synthetic_spec& spec, std::size_t positions) {
    const synthetic made(spec);
    const auto tokens = random_tokens(positions, spec.vocabulary);
    const auto expected = reference(made.file).logits(tokens);
    const model_of<Linear, float> model(made.file);
    typename model_of<Linear, float>::state state(model, {.threads = 2});
    const auto logits = run(model, state, tokens, 7);
    double worst = 0;
    for (std::size_t p = 0; p < positions; ++p) {
        for (std::size_t t = 0; t < spec.vocabulary; ++t) {
            worst = std::max(
                worst, std::fabs(expected[p][t] - static_cast<double>(logits[p * spec.vocabulary + t])));
        }
    }
    return worst;
}

// A sum of n products errs by less than n u of the sum of their magnitudes (u = 2^-24); with rows of norm 1
// and n <= 96 that is below 96 u sqrt(96) = 6e-5 of the input's size, typically 100 times less. Seven
// products a layer, two layers and a head of gain 3 keep the sum below 3 x 15 x 6e-5; a mistake in the model
// shows as an error of order 1.
inline constexpr double float_tolerance = 3e-3;

/// Checkpoints that between them have every shape and storage type a llama may have.
inline std::vector<synthetic_spec> all_shapes() {
    std::vector<synthetic_spec> specs;
    specs.emplace_back();
    specs.push_back(support::odd_spec());
    synthetic_spec ungrouped;
    ungrouped.name = "ungrouped heads, query width 96 of a model of 64, partly rotated";
    ungrouped.tied_head = false;
    ungrouped.heads = ungrouped.kv_heads = 3;
    ungrouped.head_size = 32;
    ungrouped.rope_size = 20;
    ungrouped.rope_base = 500000;
    ungrouped.rms_epsilon = 1e-2F;
    specs.push_back(ungrouped);
    synthetic_spec single;
    single.name = "one KV head";
    single.heads = 8;
    single.kv_heads = 1;
    single.head_size = 4;
    specs.push_back(single);
    for (const auto type : {nullm::tensor_type::f32, nullm::tensor_type::f16, nullm::tensor_type::bf16,
                            nullm::tensor_type::q4_0, nullm::tensor_type::q4_1, nullm::tensor_type::q8_0}) {
        synthetic_spec spec;
        spec.name = name_of(type);
        spec.tied_head = false;
        spec.types = support::synthetic_types::all(type);
        specs.push_back(spec);
    }
    synthetic_spec mixed;
    mixed.name = "types that differ inside a stack";
    mixed.types.query = nullm::tensor_type::q8_0;
    mixed.types.value = nullm::tensor_type::f16;
    mixed.types.up = nullm::tensor_type::q4_0;
    specs.push_back(mixed);
    return specs;
}

/// Checks that logits are the same bits in any batch, on any threads, after any rewind, and on every machine:
/// their hash.
template <class M>
void check_invariance(std::uint64_t expected_hash) {
    synthetic_spec spec;
    spec.context = 600;
    const synthetic made(spec);
    const M model(made.file);
    const auto tokens = random_tokens(540, spec.vocabulary);
    typename M::state one(model, {.threads = 1});
    const auto expected = run(model, one, tokens, 1);
    CHECK(hash_bits(expected) == expected_hash);

    for (const unsigned threads : {1U, 2U}) {
        for (const std::size_t m : {2, 16, 512, 540}) {
            typename M::state state(model, {.threads = threads});
            INFO("batches of " << m << ", " << threads << " threads");
            CHECK(same_bits(run(model, state, tokens, m), expected));

            // Other tokens, taken back, leave no trace.
            model.truncate(state, 400);
            run(model, state, random_tokens(130, spec.vocabulary, 1), 50);
            model.truncate(state, 300);
            CHECK(model.length(state) == 300);
            CHECK(same_bits(run(model, state, std::span(tokens).subspan(300), m),
                            std::span(expected).subspan(300 * spec.vocabulary)));
        }
    }

    // Another state that takes over a prefix goes on as if it had computed it.
    model.truncate(one, 333);
    const auto saved = model.save(one);
    run(model, one, random_tokens(200, spec.vocabulary, 2), 50);
    typename M::state other(model, {.threads = 2});
    run(model, other, random_tokens(20, spec.vocabulary, 3), 20);
    model.restore(other, saved);
    model.restore(one, saved);
    CHECK(model.length(other) == 333);
    const auto rest = std::span(tokens).subspan(333);
    CHECK(same_bits(run(model, other, rest, 16), std::span(expected).subspan(333 * spec.vocabulary)));
    CHECK(same_bits(run(model, one, rest, 512), std::span(expected).subspan(333 * spec.vocabulary)));
}

}  // namespace llama_fixture
