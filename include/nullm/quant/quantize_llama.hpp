#pragma once
// All linear layers of a llama to NF4: by magnitude, by squared error, or calibrated on a text.

#include <nullm/core/error.hpp>
#include <nullm/core/thread_pool.hpp>
#include <nullm/core/token.hpp>
#include <nullm/linear/dequantize.hpp>
#include <nullm/linear/nf4_codec.hpp>
#include <nullm/linear/nf4_nested.hpp>
#include <nullm/model/checkpoint.hpp>
#include <nullm/model/llama_names.hpp>
#include <nullm/quant/calibration_stream.hpp>
#include <nullm/quant/input_metric.hpp>
#include <nullm/quant/input_shift.hpp>
#include <nullm/quant/nf4_compensate.hpp>
#include <nullm/quant/second_moments.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace nullm::inline NULLM_ABI {

enum class nf4_method : std::uint8_t {
    absmax,     // nf4_encode: bitsandbytes' own, bit for bit
    mse,        // nf4_encode_compensated under the plain metric: the least squared error of the weights
    calibrated  // nf4_encode_compensated under the metric of the layer's inputs
};

struct quantize_options {
    nf4_method method = nf4_method::absmax;
    bool nested = false;         // scales in 8 bits
    bool head = false;           // the head too
    std::size_t window = 512;    // tokens of the calibration text that are read as one
    double damping = 0.01;       // of the metric, as a share of its mean diagonal
    float towards_original = 0.5F;  // how much of the drift the weights make up for (input_shift)
    std::function<void(std::size_t done, std::size_t all)> progress = {};  // in matrices
};

/// A matrix in NF4, its rows in Hugging Face's order.
struct quantized_matrix {
    std::size_t rows = 0;
    std::size_t cols = 0;
    nf4_data data;  // its scales as they decode
    std::optional<dynamic8_data> nested;
    float offset = 0;
};

/// By Hugging Face's names, without ".weight".
using quantized_matrices = std::map<std::string, quantized_matrix>;

namespace detail {

class llama_quantizer {
 public:
    llama_quantizer(const checkpoint& file, const quantize_options& how, thread_pool& pool)
        : file_(file), how_(how), pool_(pool), all_(7 * file.config().layers + (how.head ? 1 : 0)) {}

    quantized_matrices run(std::span<const token_id> text) {
        if (how_.method == nf4_method::calibrated) {
            calibrated(text);
        } else {
            for (std::size_t l = 0; l < file_.config().layers; ++l) {
                for (std::size_t m = 0; m < 7; ++m) encode(layer_matrix(l, m), nullptr);
            }
            if (how_.head) encode(head(), nullptr);
        }
        return std::move(made_);
    }

 private:
    /// A matrix in floats, its rows in GGUF's order.
    struct matrix {
        llama_tensor tensor;
        std::vector<float> values;
    };
    using linear = calibration_stream::linear;

    static std::size_t head_rows(std::size_t m, const llama_config& c) { return m < 2 ? c.head_size : 0; }

    matrix load(llama_tensor t, const std::string& stored) const {
        const auto view = file_.tensor(stored, t.rows, t.cols);
        if (view.type == tensor_type::nf4) {
            throw error(file_.source() + ": tensor " + in_quotes(view.name), "weights that are not NF4 yet", "NF4");
        }
        matrix made{std::move(t), std::vector<float>(view.rows * view.cols)};
        pool_.for_each(view.rows, 16, [&](std::size_t r) {
            dequantize_row(view, r, std::span(made.values).subspan(r * view.cols, view.cols));
        });
        return made;
    }
    matrix layer_matrix(std::size_t l, std::size_t m) const {
        const auto& c = file_.config();
        const std::size_t q = c.heads * c.head_size, kv = c.kv_heads * c.head_size;
        const std::size_t rows[] = {q, kv, kv, c.width, c.mlp_width, c.mlp_width, c.width};
        const std::size_t cols[] = {c.width, c.width, c.width, q, c.width, c.width, c.mlp_width};
        const std::string gguf = "blk." + std::to_string(l) + "." + llama_names::gguf[m];
        return load({"model.layers." + std::to_string(l) + "." + llama_names::hf[m], gguf, rows[m], cols[m], false,
                     head_rows(m, c)},
                    gguf + ".weight");
    }
    matrix head() const {
        const auto& c = file_.config();
        return load({"lm_head", "output", c.vocabulary, c.width, false, 0},
                    c.tied_head ? "token_embd.weight" : "output.weight");
    }
    std::vector<float> norm(const std::string& name) const {
        std::vector<float> values(file_.config().width);
        dequantize_row(file_.tensor(name, 1, values.size()), 0, values);
        return values;
    }

    /// Encodes the matrix; it then holds what the codes decode to.
    void encode(matrix&& w, const input_metric* inputs) { encode(w, inputs); }
    void encode(matrix& w, const input_metric* inputs) {
        const llama_tensor& t = w.tensor;
        std::vector<float> rows(w.values.size());  // as Hugging Face has them
        for (std::size_t r = 0; r < t.rows; ++r) {
            std::copy_n(w.values.begin() + at(r * t.cols), t.cols, rows.begin() + at(hf_row(r, t.head_rows) * t.cols));
        }
        quantized_matrix made{.rows = t.rows, .cols = t.cols, .data = {}, .nested = {}};
        std::optional<input_metric> plain;
        if (how_.method == nf4_method::absmax) {
            made.data = nf4_encode(rows, nf4_scale_block, pool_);
        } else {
            if (inputs == nullptr) inputs = &plain.emplace(input_metric::plain(t.cols));
            made.data = nf4_encode_compensated(rows, *inputs, pool_);
        }
        if (how_.nested) nest(made, rows, inputs);
        if (how_.method == nf4_method::calibrated) {
            nf4_decode(made.data.view(), rows, pool_);
            for (std::size_t r = 0; r < t.rows; ++r) {
                std::copy_n(rows.begin() + at(hf_row(r, t.head_rows) * t.cols), t.cols, w.values.begin() + at(r * t.cols));
            }
        }
        made_.insert_or_assign(t.hf, std::move(made));
        ++done_;
        if (how_.progress) how_.progress(done_, all_);
    }

    /// Scales in 8 bits, and the codes that suit these (bitsandbytes keeps the codes; so does absmax).
    void nest(quantized_matrix& made, std::span<const float> rows, const input_metric* inputs) {
        std::vector<float> scales = made.data.absmax;
        made.offset = mean_of_scales(scales);
        for (float& s : scales) s -= made.offset;
        made.nested = dynamic8_encoder().encode(scales);
        scales = nf4_scales(made.nested->view(), made.offset);
        made.data.absmax = std::move(scales);
        if (how_.method != nf4_method::absmax) {
            made.data = nf4_encode_compensated(rows, *inputs, pool_, {.start = &made.data});
        }
    }

    static std::ptrdiff_t at(std::size_t i) { return static_cast<std::ptrdiff_t>(i); }

    linear stacked(std::initializer_list<const matrix*> parts) {
        std::vector<tensor_view> views;
        for (const matrix* m : parts) {
            views.push_back({m->tensor.gguf, tensor_type::f32, m->tensor.rows, m->tensor.cols,
                             std::as_bytes(std::span(m->values))});
        }
        return linear::from(views, pool_);
    }

    /// The matrices as the original's stream needs them, taken before they are encoded; nothing without one.
    std::optional<linear> original_weights(std::initializer_list<const matrix*> parts) {
        return original_ ? std::optional(stacked(parts)) : std::nullopt;
    }

    /// Encodes the matrices that read `input(stream, window)`: by their metric, their weights drawn towards
    /// what the original's inputs would have given. Those that write into the residual stream (`writes`) are
    /// drawn to make up for its drift too.
    template <class Input>
    void encode_all(std::initializer_list<matrix*> matrices, Input&& input, bool writes = false) {
        second_moments moments(matrices.begin()[0]->tensor.cols);
        std::optional<drift_products> of_inputs, of_sum;
        if (original_) of_inputs.emplace(moments.cols(), moments.cols());
        if (original_ && writes) of_sum.emplace(file_.config().width, moments.cols());
        for (std::size_t w = 0; w < stream_->windows(); ++w) {
            const auto x = input(*stream_, w);
            moments.add(x, pool_);
            if (of_inputs) of_inputs->add(input(*original_, w), x, x, pool_);
            if (of_sum) of_sum->add(original_->residual(w), stream_->residual(w), x, pool_);
        }
        if (of_inputs) {
            const input_shift shift(moments, how_.damping);
            for (matrix* m : matrices) {
                shift.apply(m->values, *of_inputs, of_sum ? &*of_sum : nullptr, how_.towards_original, pool_);
            }
        }
        const input_metric metric(moments, pool_, how_.damping);
        for (matrix* m : matrices) encode(*m, &metric);
    }

    void calibrated(std::span<const token_id> text) {
        stream_.emplace(file_, text, how_.window, pool_);
        if (how_.towards_original > 0) original_.emplace(file_, text, how_.window, pool_);
        for (std::size_t l = 0; l < file_.config().layers; ++l) quantize_layer(l);
        if (!how_.head) return;
        matrix w = head();
        const auto final_norm = norm("output_norm.weight");
        encode_all({&w}, [&](calibration_stream& s, std::size_t window) { return s.normed(window, final_norm, pool_); });
    }

    void quantize_layer(std::size_t l) {
        const std::string at_layer = "blk." + std::to_string(l) + ".";
        const auto attention_norm = norm(at_layer + "attn_norm.weight");
        const auto mlp_norm = norm(at_layer + "ffn_norm.weight");
        matrix q = layer_matrix(l, 0), k = layer_matrix(l, 1), v = layer_matrix(l, 2);
        const auto before_attention = [&](calibration_stream& s, std::size_t w) {
            return s.normed(w, attention_norm, pool_);
        };
        const auto before_mlp = [&](calibration_stream& s, std::size_t w) { return s.normed(w, mlp_norm, pool_); };
        {
            const auto own = original_weights({&q, &k, &v});
            encode_all({&q, &k, &v}, before_attention);
            if (own) original_->attend(attention_norm, *own, pool_);
            stream_->attend(attention_norm, stacked({&q, &k, &v}), pool_);
        }
        {
            matrix o = layer_matrix(l, 3);
            const auto own = original_weights({&o});
            encode_all({&o}, [](calibration_stream& s, std::size_t w) { return s.attended(w); }, true);
            if (own) original_->close_attention(*own, pool_);
            stream_->close_attention(stacked({&o}), pool_);
        }
        {
            matrix gate = layer_matrix(l, 4), up = layer_matrix(l, 5);
            const auto own = original_weights({&gate, &up});
            encode_all({&gate, &up}, before_mlp);
            if (own) original_->activate(mlp_norm, *own, pool_);
            stream_->activate(mlp_norm, stacked({&gate, &up}), pool_);
        }
        matrix down = layer_matrix(l, 6);
        const auto own = original_weights({&down});
        encode_all({&down}, [](calibration_stream& s, std::size_t w) { return s.activated(w); }, true);
        if (own) original_->close_mlp(*own, pool_);
        stream_->close_mlp(stacked({&down}), pool_);
    }

    const checkpoint& file_;
    const quantize_options& how_;
    thread_pool& pool_;
    std::size_t all_;
    std::size_t done_ = 0;
    quantized_matrices made_;
    std::optional<calibration_stream> stream_;    // through what was quantised
    std::optional<calibration_stream> original_;  // through the original
};

}  // namespace detail

/// Quantises all linear layers, and the head if asked to (of a tied one: a copy). `text` is for the calibrated
/// method alone: it is cut into windows, which pass the layers one layer at a time, through what was quantised
/// before. The same bytes for any number of threads. Throws error if the model is NF4 already, if rows are not
/// whole blocks of 64 (but for absmax), and as calibration_stream does.
inline quantized_matrices quantize_llama(const checkpoint& file, std::span<const token_id> text,
                                         const quantize_options& how, thread_pool& pool) {
    return detail::llama_quantizer(file, how, pool).run(text);
}

}  // namespace nullm::inline NULLM_ABI
