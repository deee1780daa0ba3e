#pragma once
// An encoder for NF4 that knows the layer's inputs: the same bytes to decode, a smaller error in what the layer
// computes.

#include <nullm/core/aligned.hpp>
#include <nullm/core/error.hpp>
#include <nullm/core/simd.hpp>
#include <nullm/core/thread_pool.hpp>
#include <nullm/linear/nf4_codec.hpp>
#include <nullm/quant/input_metric.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#define NULLM_KERNELS <nullm/quant/nf4_compensate.inl>
#include <nullm/core/simd/foreach_isa.hpp>

namespace nullm::inline NULLM_ABI {

struct nf4_compensation {
    unsigned sweeps = 4;  // of coordinate descent behind the first pass
    // Codes to begin from, with scales that stay as they are (nested ones, say); else both are searched.
    const nf4_data* start = nullptr;
};

namespace detail {

/// Sixteen rows of a matrix on their way to codes. Columns lie in the metric's order.
class nf4_panel {
 public:
    static constexpr std::size_t lanes = 16;
    static constexpr std::size_t block = nf4_scale_block;

    nf4_panel(const input_metric& inputs, const nf4_compensation& how, isa level)
        : inputs_(inputs),
          how_(how),
          level_(level),
          n_(inputs.cols()),
          weights_(n_ * lanes),
          work_(n_ * lanes),
          values_(n_ * lanes),
          gradient_(n_ * lanes),
          scales_(n_ / block * lanes) {}

    /// Encodes rows first .. first + 15 (those below rows) of w into data, which holds the start if there is one.
    void encode(std::span<const float> w, std::size_t rows, std::size_t first, nf4_data& data) {
        count_ = std::min(lanes, rows - first);
        for (std::size_t k = 0; k < n_; ++k) {
            for (std::size_t lane = 0; lane < lanes; ++lane) {
                const std::size_t row = first + std::min(lane, count_ - 1);
                weights_[k * lanes + lane] = w[row * n_ + inputs_.order()[k]];
            }
        }
        if (how_.start != nullptr) {
            read_codes(data, first);
        } else {
            std::copy(weights_.begin(), weights_.end(), work_.begin());
            for (std::size_t b = 0; b < n_ / block; ++b) round_block(b);
        }
        descend();
        keep_better(error(), w.subspan(first * n_), data, first);
    }

 private:
    float* scale_of(std::size_t b) { return scales_.data() + b * lanes; }
    /// Which of a row's blocks has place b.
    std::size_t block_at(std::size_t b) const { return inputs_.order()[b * block] / block; }

    void round_with(std::size_t b, const std::array<float, lanes>& scale, float* w, float* values,
                    std::array<float, lanes>& loss) const {
        alignas(64) std::array<float, lanes> inverse;
        for (std::size_t lane = 0; lane < lanes; ++lane) {
            inverse[lane] = std::fabs(scale[lane]) > 1e-30F ? 1.0F / scale[lane] : 0.0F;
        }
        const float* factor = inputs_.factor().data() + b * block * (n_ + 1);
        NULLM_DISPATCH(level_, round_block(w, block, factor, n_, scale.data(), inverse.data(), values, loss.data()));
    }

    /// Finds the block's scales, rounds it, and passes its errors on.
    void round_block(std::size_t b) {
        float* const w = work_.data() + b * block * lanes;
        float* const values = values_.data() + b * block * lanes;
        alignas(64) const std::array<float, lanes> scale = search(b, w);
        alignas(64) std::array<float, lanes> loss;
        round_with(b, scale, w, values, loss);
        std::copy(scale.begin(), scale.end(), scale_of(b));
        const std::size_t next = (b + 1) * block;
        if (inputs_.coupled() && next < n_) {
            const float* factor = inputs_.factor().data() + b * block * n_ + next;
            NULLM_DISPATCH(level_, subtract_products(work_.data() + next * lanes, n_ - next, factor, n_, w, block));
        }
    }

    /// The scale with the least error, errors inside the block passed on as they will be: multiples of the
    /// largest magnitude, of both signs since the codebook is not symmetric, first on a grid, then between
    /// its points.
    std::array<float, lanes> search(std::size_t b, const float* w) const {
        std::array<float, lanes> largest{};
        for (std::size_t i = 0; i < block * lanes; ++i) {
            largest[i % lanes] = std::max(largest[i % lanes], std::fabs(w[i]));
        }
        alignas(64) std::array<float, lanes> best = largest;
        std::array<float, lanes> factor;
        factor.fill(1.0F);
        std::array<float, lanes> least;
        least.fill(std::numeric_limits<float>::infinity());
        alignas(64) std::array<float, block * lanes> trial;
        alignas(64) std::array<float, block * lanes> values;
        const auto attempt = [&](const std::array<float, lanes>& factors) {
            alignas(64) std::array<float, lanes> scale;
            alignas(64) std::array<float, lanes> loss;
            for (std::size_t lane = 0; lane < lanes; ++lane) scale[lane] = factors[lane] * largest[lane];
            std::copy_n(w, trial.size(), trial.begin());
            round_with(b, scale, trial.data(), values.data(), loss);
            for (std::size_t lane = 0; lane < lanes; ++lane) {
                if (!(loss[lane] < least[lane])) continue;
                least[lane] = loss[lane];
                best[lane] = scale[lane];
                factor[lane] = factors[lane];
            }
        };
        std::array<float, lanes> factors;
        for (int step = 0; step < 16; ++step) {
            for (const float sign : {1.0F, -1.0F}) {
                factors.fill(sign * (0.68F + 0.03F * static_cast<float>(step)));
                attempt(factors);
            }
        }
        for (const float half : {0.015F, 0.0075F}) {
            const auto centre = factor;
            for (const float side : {-half, half}) {
                for (std::size_t lane = 0; lane < lanes; ++lane) factors[lane] = centre[lane] + side;
                attempt(factors);
            }
        }
        return best;
    }

    float quantised(std::size_t i) const {
        return values_[i] * scales_[i / (block * lanes) * lanes + i % lanes];
    }

    /// gradient = H (w - q), anew.
    void take_gradient() {
        for (std::size_t i = 0; i < n_ * lanes; ++i) work_[i] = quantised(i) - weights_[i];
        std::fill(gradient_.begin(), gradient_.end(), 0.0F);
        if (!inputs_.coupled()) {
            for (std::size_t i = 0; i < n_ * lanes; ++i) gradient_[i] = -work_[i];
            return;
        }
        NULLM_DISPATCH(level_, subtract_products(gradient_.data(), n_, inputs_.metric().data(), n_, work_.data(), n_));
    }

    void descend() {
        take_gradient();
        alignas(64) std::array<float, block * lanes> change;
        const float* const metric = inputs_.metric().data();
        for (unsigned sweep = 0; sweep < how_.sweeps; ++sweep) {
            for (std::size_t b = 0; b < n_ / block; ++b) {
                const std::size_t begin = b * block, end = begin + block;
                change.fill(0.0F);
                NULLM_DISPATCH(level_, descend_block(gradient_.data() + begin * lanes, block,
                                                     metric + begin * (n_ + 1), n_, how_.start == nullptr,
                                                     scale_of(b), values_.data() + begin * lanes, change.data()));
                if (!inputs_.coupled()) continue;
                const float* const rows = metric + begin * n_;
                NULLM_DISPATCH(level_, subtract_products(gradient_.data(), begin, rows, n_, change.data(), block));
                NULLM_DISPATCH(level_, subtract_products(gradient_.data() + end * lanes, n_ - end, rows + end, n_,
                                                         change.data(), block));
            }
        }
    }

    /// (w - q)^T H (w - q), a lane a row.
    std::array<double, lanes> error() {
        take_gradient();
        std::array<double, lanes> sum{};
        for (std::size_t i = 0; i < n_ * lanes; ++i) {
            sum[i % lanes] -= static_cast<double>(work_[i]) * static_cast<double>(gradient_[i]);
        }
        return sum;
    }

    /// Values and scales of the rows from first on, as data has them.
    void read_codes(const nf4_data& data, std::size_t first) {
        for (std::size_t k = 0; k < n_; ++k) {
            for (std::size_t lane = 0; lane < lanes; ++lane) {
                const std::size_t at = (first + std::min(lane, count_ - 1)) * n_ + inputs_.order()[k];
                values_[k * lanes + lane] = nf4_codebook[nf4_code(data.packed, at)];
                scale_of(k / block)[lane] = data.absmax[at / block];
            }
        }
    }

    /// Writes each row's codes and scales where they err less than the start, or than nf4_encode's: no search
    /// is promised to win.
    void keep_better(const std::array<double, lanes>& mine, std::span<const float> w, nf4_data& data,
                     std::size_t first) {
        const std::size_t row_blocks = n_ / block;
        std::byte* const packed = data.packed.data() + first * n_ / 2;
        float* const absmax = data.absmax.data() + first * row_blocks;
        const auto chosen = values_;
        const auto chosen_scales = scales_;
        if (how_.start == nullptr) nf4_encode_range(w.data(), count_ * n_, block, packed, absmax, level_);
        read_codes(data, first);
        const auto plain = error();
        for (std::size_t lane = 0; lane < count_; ++lane) {
            if (!(mine[lane] < plain[lane])) continue;
            for (std::size_t b = 0; b < row_blocks; ++b) {
                absmax[lane * row_blocks + block_at(b)] = chosen_scales[b * lanes + lane];
            }
            for (std::size_t k = 0; k < n_; ++k) {
                const auto found = std::lower_bound(nf4_codebook.begin(), nf4_codebook.end(), chosen[k * lanes + lane]);
                const auto code = static_cast<unsigned>(found - nf4_codebook.begin());
                const std::size_t at = lane * n_ + inputs_.order()[k];
                const unsigned shift = at % 2 == 0 ? 4 : 0;
                const unsigned other = std::to_integer<unsigned>(packed[at / 2]) & (0xF0U >> shift);
                packed[at / 2] = static_cast<std::byte>(other | code << shift);
            }
        }
    }

    const input_metric& inputs_;
    const nf4_compensation& how_;
    isa level_;
    std::size_t n_;
    std::size_t count_ = 0;
    aligned_vector<float> weights_;   // [column][row], as all of these
    aligned_vector<float> work_;      // what is left to round, then its error
    aligned_vector<float> values_;    // of the codebook
    aligned_vector<float> gradient_;  // H (w - q)
    aligned_vector<float> scales_;    // [block][row]
};

}  // namespace detail

/// Encodes w (whole rows of inputs.cols() weights) so that (w - q) H (w - q)^T is small, H the metric of the
/// layer's inputs: in the order of the metric, each block takes the scale (of either sign) that errs least,
/// its columns are rounded one after the other, and every error is made up for in the columns behind it
/// (GPTQ, Frantar et al. 2022); then scales and codes take their best values in turn, all others held. With a
/// start, its codes alone do. A row never errs more than nf4_encode's, or than the start. Decodes as any NF4
/// with blocks of 64.
///
/// The same bytes on any number of threads and any instruction set. Weights must be finite. Costs about
/// (sweeps + 3) * cols multiplications a weight, and 36 * 32 for the search. Throws error if w is not whole
/// rows, or the start is not as many codes in blocks of 64.
inline nf4_data nf4_encode_compensated(std::span<const float> w, const input_metric& inputs, thread_pool& pool,
                                       const nf4_compensation& how = {}, isa level = active_isa()) {
    const std::size_t cols = inputs.cols();
    if (w.size() % cols != 0) {
        throw error("nf4_encode_compensated", "whole rows of " + std::to_string(cols), std::to_string(w.size()));
    }
    nf4_data data{.elements = w.size(), .block = nf4_scale_block, .packed = {}, .absmax = {}};
    if (how.start == nullptr) {
        data.packed.resize(nf4_packed_bytes(w.size()));
        data.absmax.resize(nf4_blocks(w.size(), nf4_scale_block));
    } else {
        check_nf4(how.start->view());
        if (how.start->elements != w.size() || how.start->block != nf4_scale_block) {
            throw error("nf4_encode_compensated start", std::to_string(w.size()) + " codes in blocks of 64",
                        std::to_string(how.start->elements) + " in blocks of " + std::to_string(how.start->block));
        }
        data = *how.start;
    }
    level = std::min(level, detected_isa());
    const std::size_t rows = w.size() / cols;
    constexpr std::size_t lanes = detail::nf4_panel::lanes;
    pool.for_each_range((rows + lanes - 1) / lanes, 4, [&](std::size_t begin, std::size_t end) {
        detail::nf4_panel panel(inputs, how, level);
        for (std::size_t p = begin; p < end; ++p) panel.encode(w, rows, p * lanes, data);
    });
    return data;
}

}  // namespace nullm::inline NULLM_ABI
