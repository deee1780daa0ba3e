#pragma once
// A model's own queries, keys and values on a long text.

#include "../../examples/progress.hpp"
#include "prompts.hpp"

#include <nullm/attention/exact_attention.hpp>
#include <nullm/attention/key_mean.hpp>
#include <nullm/linear/native_linear.hpp>
#include <nullm/model/llama.hpp>
#include <nullm/text/tokenizer.hpp>

#include <algorithm>
#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace decode {

/// What passed through the attention of a model: all keys and values, and the queries of some positions.
struct trace {
    trace(nullm::attention_shape shape_, std::size_t length)
        : shape(shape_), cache(shape.cache, length), queries(shape.cache.layers) {}

    std::size_t width() const { return shape.heads * shape.cache.head_size; }
    /// Queries of a layer at positions depth - rows and on, of the document that ends at `depth`.
    nullm::matrix_view<const float> q(std::size_t layer, std::size_t depth, std::size_t rows) const {
        return {queries[layer].at(depth).data(), rows, width()};
    }

    nullm::attention_shape shape;
    nullm::kv_cache<nullm::f16> cache;
    std::vector<std::map<std::size_t, std::vector<float>>> queries;  // of each layer: by depth
};

/// Exact attention that keeps what it sees.
struct tracing_attention {
    using cache_type = nullm::f16;
    trace* to = nullptr;
    const std::size_t* begin = nullptr;  // where the document begins in the trace
    std::vector<std::size_t> depths;
    std::size_t rows = 0;

    struct state {
        state(const tracing_attention& a, const nullm::attention_shape& shape)
            : exact(nullm::exact_attention<nullm::f16>{}, shape),
              key(a.to->shape.cache.kv_heads * a.to->shape.cache.head_size),
              value(key.size()) {}
        nullm::exact_attention<nullm::f16>::state exact;
        std::vector<float> key, value;
    };

    void attend(state& s, std::size_t layer, nullm::matrix_view<const float> q, std::size_t first,
                const nullm::kv_cache<nullm::f16>& cache, nullm::matrix_view<float> o,
                nullm::thread_pool& pool) const {
        nullm::exact_attention<nullm::f16>{}.attend(s.exact, layer, q, first, cache, o, pool);
        const auto& shape = cache.shape();
        if (layer == 0) to->cache.prepare(*begin + first + q.rows);
        for (std::size_t r = 0; r < q.rows; ++r) {
            const std::size_t p = first + r;
            for (std::size_t h = 0; h < shape.kv_heads; ++h) {
                const nullm::cached_key key(cache, layer, h, p);
                const nullm::f16* value = cache.values(p / 256, layer, h) + p % 256 * cache.value_stride();
                for (std::size_t d = 0; d < shape.head_size; ++d) {
                    s.key[h * shape.head_size + d] = key[d];
                    s.value[h * shape.head_size + d] = to_float(value[d]);
                }
            }
            to->cache.store(layer, *begin + p, s.key, s.value);
            for (const std::size_t depth : depths) {
                const std::size_t last = (depth - 1) / 8192 * 8192;  // of the document that ends there
                if (*begin != last || *begin + p + rows < depth || *begin + p >= depth) continue;
                auto& kept = to->queries[layer][depth];
                kept.resize(rows * to->width());
                std::copy_n(
                    q[r], to->width(),
                    kept.begin() + static_cast<std::ptrdiff_t>((*begin + p + rows - depth) * to->width()));
            }
        }
        if (layer + 1 == shape.layers) to->cache.commit(*begin + first + q.rows);
    }
};

/// What read_trace() is told.
struct trace_options {
    std::string model;
    std::string corpus;
    std::vector<std::size_t> depths;
    std::size_t rows = 24;  // positions whose queries are kept, before each depth
    std::size_t skip = 0;   // tokens of the corpus
    unsigned threads = 2;
};

/// Reads the corpus up to the largest depth, in documents of 8192 tokens. Throws nullm::error for a corpus
/// that is too short.
inline std::unique_ptr<trace> read_trace(const trace_options& chosen) {
    const nullm::checkpoint file(chosen.model);
    const auto& c = file.config();
    const std::size_t deepest = *std::max_element(chosen.depths.begin(), chosen.depths.end());
    const nullm::tokenizer words(file.vocabulary());
    std::string text = read_file(chosen.corpus);
    const auto all = words.encode(std::string_view(text).substr(0, 6 * (deepest + chosen.skip)));
    if (all.size() < deepest + chosen.skip)
        throw nullm::error(chosen.corpus, std::to_string(deepest + chosen.skip) + " tokens",
                           std::to_string(all.size()));
    const auto tokens = std::span(all).subspan(chosen.skip);

    auto seen = std::make_unique<trace>(
        nullm::attention_shape{
            .heads = c.heads,
            .cache = {.layers = c.layers, .kv_heads = c.kv_heads, .head_size = c.head_size}},
        deepest);
    std::size_t begin = 0;
    using model_type = nullm::llama<nullm::native_linear<nullm::i8>, tracing_attention>;
    const model_type model(file, {.threads = chosen.threads},
                           {.to = seen.get(), .begin = &begin, .depths = chosen.depths, .rows = chosen.rows});
    for (; begin < deepest; begin += 8192) {
        const std::size_t length = std::min<std::size_t>(8192, deepest - begin);
        model_type::state session(model, {.threads = chosen.threads, .context = length});
        const cli::progress shown("reading");
        for (std::size_t at = 0; at < length; at += 512) {
            shown.at(begin + at, deepest);
            model.forward(session, tokens.subspan(begin + at, std::min<std::size_t>(512, length - at)), 0);
        }
    }
    return seen;
}

}  // namespace decode
