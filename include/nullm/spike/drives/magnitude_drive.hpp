#pragma once
// The original idea, literally: a token excites the neurons by the magnitude of its embedding.

#include <nullm/core/error.hpp>
#include <nullm/spike/concepts.hpp>
#include <nullm/spike/in_range.hpp>
#include <nullm/spike/vocabulary.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <utility>

namespace nullm::inline NULLM_ABI {

/// One neuron a dimension, intensity min(scale * |e_d|, 1). Kept to compare with, not to use: on SmolLM2 the
/// magnitude of an embedding is nearly noise for this purpose. AUROC of its norm for "this token is rare"
/// 0.60 (BPE rank alone: 0.92), for "the model is right here" 0.51; the lowest norms of the vocabulary are
/// names (John 1.79, Michael, David), the highest are word stubs ("strugg" 7.49), " the" 2.80 lies beside "
/// photosynthesis" 2.92 and above " quantum" 2.13. So it skips just what should not be skipped. Confidence is
/// ignored.
class magnitude_drive {
 public:
    using trace = stateless;
    using memory = stateless;

    /// Keeps vocabulary.embedding, so what that reads must outlive the drive. scale is finite and not
    /// negative. Throws nullm::error for an empty vocabulary or a scale outside its range.
    explicit magnitude_drive(const vocabulary_view& vocabulary, float scale = 1.0F)
        : size_(vocabulary.size),
          width_(vocabulary.width),
          scale_(in_range("magnitude_drive scale", scale, 0.0F, std::numeric_limits<float>::max())),
          embedding_(vocabulary.embedding) {
        if (size_ == 0 || width_ == 0 || !embedding_) {
            throw error("magnitude_drive", "a vocabulary with embeddings", "none");
        }
    }

    std::size_t width() const { return width_; }
    trace initial_trace() const { return {}; }
    memory initial_memory() const { return {}; }
    void intensities(trace&, const memory&, const gate_input& input, std::span<float> out) const {
        if (input.token < 0 || static_cast<std::size_t>(input.token) >= size_) {
            throw error("magnitude_drive token", "0 to " + std::to_string(size_ - 1),
                        std::to_string(input.token));
        }
        if (out.size() != width_) {
            throw error("magnitude_drive output", std::to_string(width_) + " intensities",
                        std::to_string(out.size()));
        }
        embedding_(input.token, out);
        for (float& x : out) x = std::min(std::fabs(x) * scale_, 1.0F);
    }
    void settle(memory&, token_id) const {}

 private:
    std::size_t size_;
    std::size_t width_;
    float scale_;
    std::function<void(token_id, std::span<float>)> embedding_;
};
static_assert(Drive<magnitude_drive>);

}  // namespace nullm::inline NULLM_ABI
